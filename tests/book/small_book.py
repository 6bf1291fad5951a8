"""A small book with a page for each explorer, built as the real one is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
import yaml
from ipywidgets import Widget
from ipywidgets.embed import embed_data

from tests.workspace import ROOT, environment

VIEW, STATE = (f"application/vnd.jupyter.widget-{what}+json" for what in ("view", "state"))


def build(folder: Path, pages: Mapping[str, str | Widget], in_intro: Sequence[str] = ()) -> Path:
    """Render HTML and widgets as pages called by their names; return the folder of the built book.

    Its first page shows those named in `in_intro`, too.
    """
    for name in ("_static", "_ext"):
        shutil.copytree(ROOT / "book" / name, folder / "book" / name)
    for name in ("_config.yml", "book/references.bib"):
        shutil.copy(ROOT / name, folder / name)
    toc = {"format": "jb-book", "root": "intro", "chapters": [{"file": name} for name in pages]}
    (folder / "_toc.yml").write_text(yaml.safe_dump(toc))
    shown = "".join(
        f"```{{notebook-element}} {name}.ipynb\n:cell: {name}\n```\n" for name in in_intro
    )
    text = f"# A small book\n\nIt has a page for each explorer.\n\n{shown}"
    (folder / "intro.md").write_text(text)
    for name, shown in pages.items():
        data, state, words = {"text/html": shown}, {}, "Words."
        if isinstance(shown, Widget):
            (data, state), words = widget(shown), "Words, and a formula, $x$."  # both use MathJax
        output = nbformat.v4.new_output("execute_result", data, execution_count=1)
        cell = nbformat.v4.new_code_cell("explorer", outputs=[output], execution_count=1)
        cell["id"] = name
        title = nbformat.v4.new_markdown_cell(f"# {name}\n\n## A part\n\n{words}")
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        kernel |= {"language_info": {"name": "python", "pygments_lexer": "ipython3"}} | state
        notebook = nbformat.v4.new_notebook(cells=[title, cell], metadata=kernel)
        nbformat.write(notebook, folder / f"{name}.ipynb")
    program = Path(sys.executable).with_name("jupyter-book")
    command = [str(program), "build", str(folder), "-W", "-n", "--keep-going", "--quiet"]
    subprocess.run(command, check=True, env=environment(ROOT), timeout=300)
    return folder / "_build" / "html"


def widget(shown: Widget) -> tuple[dict, dict]:
    """Return what a notebook keeps of a widget, once it ran: its output, and metadata."""
    kept = embed_data(views=[shown])
    return {VIEW: kept["view_specs"][0]}, {"widgets": {STATE: kept["manager_state"]}}
