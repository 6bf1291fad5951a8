"""Run a section's notebook: ``python workflow/execute.py finetuning_task --scale smoke``

The executed notebook appears under data/runs/<scale>/ only when it ran to its end and its results
are there. One that failed is kept in data/runs/<scale>/failed/, and its error is printed.
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path

# progress bars would end up in the page
os.environ.setdefault("TQDM_DISABLE", "1")

import nbformat
from kernel import run_notebook
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from papers.parameters import ParameterError, load_scale
from papers.sections import SECTIONS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("section", choices=list(SECTIONS))
    parser.add_argument("--scale", default="laptop")
    parser.add_argument("--override")
    arguments = parser.parse_args()
    try:
        everything = load_scale(arguments.scale, arguments.override)
        section = SECTIONS[arguments.section].from_parameters(everything)
    except ParameterError as error:
        print(error, file=sys.stderr)
        return 2
    known = type(section).model_fields
    parameters = {name: value for name, value in everything.items() if name in known}

    executed = section.output.with_suffix(".ipynb")
    running = executed.parent / "running" / executed.name
    failed = executed.parent / "failed" / executed.name
    running.parent.mkdir(parents=True, exist_ok=True)

    print(f"{section.notebook} at scale {section.scale} ...", flush=True)
    start = time.time()
    try:
        run_notebook(
            section.notebook,
            running,
            parameters,
            autosave_cell_every=30,  # so that a killed one leaves something to look at
        )
        problem = None
        if not section.output.is_file() or section.output.stat().st_mtime < start:
            problem = f"it ended without writing {_short(section.output)}"
    except PapermillExecutionError as error:
        problem = f"cell [{error.exec_count}] failed\n" + "\n".join(error.traceback)
        if not sys.stderr.isatty():
            problem = re.sub(r"\x1b\[[0-9;]*m", "", problem)  # its colours
    except DeadKernelError:
        problem = "its kernel died; most often the machine has too little memory for this scale"
    except KeyboardInterrupt:
        said = "interrupted; the same command goes on from the last epoch and inversion"
        print(f"\n{section.notebook}: {said}", file=sys.stderr)
        return 130
    if problem is None:
        fold_parameters(running)
        os.replace(running, executed)
        failed.unlink(missing_ok=True)
        print(f"{section.notebook}: {time.time() - start:.0f} s", flush=True)
        return 0
    print(f"\n{section.notebook}: {problem}", file=sys.stderr)
    if running.is_file():
        failed.parent.mkdir(exist_ok=True)
        os.replace(running, failed)
        print(f"\nThe notebook as far as it got: {_short(failed)}", file=sys.stderr)
    return 1


def fold_parameters(notebook: Path) -> None:
    """Fold the cell that papermill put in: on a page it stands before the question."""
    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("hide-cell")
    nbformat.write(content, notebook)


def _short(path: Path) -> str:
    return os.path.relpath(path)


if __name__ == "__main__":
    sys.exit(main())
