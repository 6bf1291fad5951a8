"""A copy of the project with one tiny section of its own, to try the workflow on.

It has the real library, workflow and Makefile, so what is tested is what runs; its one section
trains two models in a second, and its book has two pages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent

SECTION = '''
"""A section for tests: two short training runs, and a result that says what it was made with."""

from invlib.training.run import TrainingRun

from papers.parameters import Natural
from papers.section import Section


class Toy(Section):
    name = "toy"

    epochs: Natural = 3
    wrong: bool = False

    def runs(self):
        first = TrainingRun(
            model="vit_pico_patch8_32", dataset="digits", n_train=64, n_test=16, batch_size=32,
            epochs=self.epochs, optimizer="adamw",
        )
        second = TrainingRun(
            model="vit_pico_patch8_32", dataset="digits", n_train=64, n_test=16, batch_size=32,
            epochs=1, weights=first, task="reconstruction",
        )
        return {"second": second}  # the first is known from what the second starts from

    def dataset(self):
        done = [self.training_root / run.id / "done.json" for run in self.runs().values()]
        assert all(path.is_file() for path in done), "a training run was not done first"
        self.output.write_text(self.model_dump_json())
        return self
'''

CELLS = (
    ("markdown", "# Toy\n\nA notebook for tests.", []),
    ("code", 'scale = "laptop"\nseeds = [0, 1, 2]\nepochs = 3\nwrong = False', ["parameters"]),
    (
        "code",
        "import os, time\n\nfrom papers.toy import Toy\n\n"
        "# not from_namespace, whose checks import PyTorch\n"
        "given = {name: globals()[name] for name in Toy.model_fields if name in globals()}\n"
        "section = Toy.from_parameters(given)\n"
        "time.sleep(float(os.environ.get('TOY_SECONDS', 0)))  # so that it is killed in its middle",
        [],
    ),
    ("code", "assert not section.wrong, 'this went wrong on purpose'\nsection.dataset()", []),
)

# papers/sections.py with this section alone
_SECTIONS = (ROOT / "papers" / "sections.py").read_text()
REGISTRY = (
    "from __future__ import annotations\n\nfrom papers.toy import Toy\n\n"
    'SECTIONS = {"toy": Toy}\n\n\ndef runs_of'
) + _SECTIONS.partition("def runs_of")[2]

SCALE = "scale: smoke\nseeds: [0, 1]\nepochs: 2\n"

CONFIG = """
title: A book for tests
execute:
  execute_notebooks: "off"
only_build_toc_files: true
"""

TOC = """
format: jb-book
root: book/intro
chapters:
  - file: notebooks/toy
"""


def copy_project(folder: Path, *names: str) -> Path:
    """Copy these files and folders of the project, and what tells that `folder` is one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pyproject.toml", "invlib", "papers", *names):
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, folder / name)
    return folder


def make_workspace(folder: Path) -> Path:
    """Copy the project to `folder`, with the tiny section in the place of the real ones."""
    copy_project(folder, "workflow", "Makefile")
    (folder / "papers" / "toy.py").write_text(SECTION)
    (folder / "papers" / "sections.py").write_text(REGISTRY)
    kernels = folder / "papers" / "jupyter_kernels.py"
    kernels.write_text(_without_what_the_toy_does_not_import(kernels.read_text()))

    (folder / "notebooks" / "scales").mkdir(parents=True)
    (folder / "notebooks" / "scales" / "smoke.yaml").write_text(SCALE)
    nbformat.write(toy_notebook(), folder / "notebooks" / "toy.ipynb")
    (folder / "_config.yml").write_text(CONFIG)
    (folder / "_toc.yml").write_text(TOC)
    (folder / "book").mkdir()
    (folder / "book" / "intro.md").write_text("# Introduction\n\nSee [](../notebooks/toy.ipynb).\n")
    return folder


def _without_what_the_toy_does_not_import(kernels: str) -> str:
    """The server of kernels without PyTorch and the like, which take it seconds to import."""
    before, start, rest = kernels.partition("_IMPORTS = (")
    imports, end, after = rest.partition(")")
    own = [name for name in imports.split() if name.startswith('"ipykernel')]
    assert start and end and 0 < len(own) < len(imports.split())
    return f"{before}{start}{' '.join(own)}{end}{after}"


def toy_notebook() -> nbformat.NotebookNode:
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    cells = [
        make[kind](source, id=f"cell-{i}", metadata={"tags": tags} if tags else {})
        for i, (kind, source, tags) in enumerate(CELLS)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=kernel)


def workflow_command(target: str, *more: str) -> list[str]:
    """Return the command that make runs."""
    return [sys.executable, "workflow/run.py", target, "--scale", "smoke", "--jobs", "1", *more]


def environment(folder: Path = ROOT) -> dict[str, str]:
    """Return the environment of a make in `folder`: nothing of pytest's own."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV_"))}
    return mine | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}


def run_workflow(folder: Path, target: str, *more: str) -> subprocess.CompletedProcess:
    """Make `target` in the workspace; standard output and error together in `.stdout`."""
    return subprocess.run(
        workflow_command(target, *more),
        cwd=folder,
        env=environment(folder),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
