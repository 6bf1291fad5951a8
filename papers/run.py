"""``python -m papers run SECTION n=8``: run a notebook; the one place that starts them."""

from __future__ import annotations

import argparse
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import papermill
import yaml
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from invlib.names import choices, nearest
from invlib.paths import project_root
from papers.cells import kind_of
from papers.jupyter_kernels import ThisPython
from papers.parameters import ParameterError, load_scale
from papers.section import Section
from papers.sections import SECTIONS

__all__ = ["asked", "run_notebook", "run_section"]

# Errors of ours, whose message says all there is to say.
_IN_WORDS = ("ParameterError", "FloatingPointError", "FileNotFoundError", "ConnectionError")


_SECONDS = 10  # between two lines where they cannot be written in place


def run_notebook(notebook: Path, executed: Path, parameters: Mapping, **more: object) -> None:
    """Execute a notebook; `more` are other options of papermill. It raises what papermill does."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars of others would end up in the page
    logging.getLogger("papermill").addFilter(_below_error)
    papermill.execute_notebook(
        os.fspath(notebook),
        os.fspath(executed),
        parameters=dict(parameters),
        kernel_name="python3",
        kernel_manager_class=ThisPython,
        progress_bar=False,
        log_output=False,
        # not that its sockets are unencrypted, which stay on this machine, and not how it ends
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        **more,
    )


def _below_error(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR  # an error is raised, too; a warning is only logged


def run_section(arguments: argparse.Namespace) -> int:
    """Run one notebook. It appears beside its results when it came to its end."""
    cls = SECTIONS[choices("section", arguments.section, SECTIONS)]
    own = asked(cls, arguments.set, arguments.scale, arguments.override)
    section = cls.from_parameters(own)  # what needs a kernel for its check stops in the first cell

    executed = section.output.with_suffix(".ipynb")
    running = executed.parent / "running" / executed.name
    failed = executed.parent / "failed" / executed.name
    _begin(running)
    notebook, start = project_root() / section.notebook, time.time()
    print(f"{section.notebook} into {_short(executed.parent)} ...", flush=True)
    line = _Line(cls.name, notebook)
    if not arguments.quiet:
        os.environ["INVLIB_PROGRESS"] = "1" if line.terminal else str(_SECONDS)
    try:
        run_notebook(
            notebook,
            running,
            own,
            autosave_cell_every=30,  # so that a killed one leaves something to look at
            **({} if arguments.quiet else dict(on_cell_start=line.begin, stderr_file=line)),
        )
        status, said = 0, []
        if not section.output.is_file() or section.output.stat().st_mtime < start:
            status, said = 1, [f"{cls.name}: it ended without writing {_short(section.output)}"]
    except PapermillExecutionError as error:
        status = 2 if error.ename == "ParameterError" else 1
        where = f"{cls.name}, {line.where(error.cell_index - 1)}: {error.ename}: "
        said = (("" if error.ename in _IN_WORDS else where) + error.evalue).splitlines()
        said = (
            said if len(said) < 4 - status % 2 else [said[0], f"… and {len(said) - 1} more lines"]
        )
        if arguments.traceback and status == 1:
            said = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback)).splitlines()
    except DeadKernelError:
        status, said = 1, [f"{cls.name}: its kernel died; most often for want of memory"]
    except KeyboardInterrupt:
        logging.disable()  # tasks that are left behind complain of it
        raise
    finally:
        line.clear()
    if status == 0:
        _tidy(running)
        os.replace(running, executed)
        failed.unlink(missing_ok=True)
        print(f"{_short(section.output)} and {executed.name}: {time.time() - start:.0f} s")
    elif status == 1 and running.is_file() and running.stat().st_size:
        failed.parent.mkdir(exist_ok=True)
        os.replace(running, failed)
        said.append(f"The notebook as far as it got: {_short(failed)}")
    else:  # nothing was done, so nothing is left
        running.unlink(missing_ok=True)
    _remove_empty(running.parent, executed.parent)
    if status:
        print("papers: error: " + "\n".join(said), file=sys.stderr)
    return status


def asked(
    cls: type[Section], words: Sequence[str], scale: str, override: str | None = None
) -> dict[str, Any]:
    """Return the parameters of a section for ``NAME=VALUE`` words laid over a scale's."""
    given = dict(_parameter(cls, text) for text in words)
    usual, everything = load_scale(scale), load_scale(scale, override)
    other = usual.keys() - cls.model_fields  # of other sections; a name of none is refused later
    own = {name: value for name, value in everything.items() if name not in other}
    return own | {"scale": _place(scale, given)} | given


def _begin(running: Path) -> None:
    """Make an empty file and its folder, which another run that ends just now may take along."""
    for attempt in range(1000):
        try:
            running.parent.mkdir(parents=True, exist_ok=True)
            return running.touch()
        except (FileNotFoundError, FileExistsError):
            if attempt == 999:
                raise


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        with suppress(OSError):  # it holds something, or another run has removed it
            folder.rmdir()


class _Line:
    """Shows the cell, and the last line that its work printed: in place, or as lines."""

    def __init__(self, name: str, notebook: Path):
        self.name, self.terminal, self.at = name, sys.stderr.isatty(), "starting"
        self.shown = time.monotonic()  # as a line, which there are only now and then
        self.cells = nbformat.read(notebook, as_version=4).cells
        self.shift = 0  # papermill puts a cell in

    def where(self, index: int) -> str:
        """Return the number of the code cell at `index` and the heading above it."""
        index -= self.shift
        before = self.cells[: index + 1]
        lines = [line for c in before if c.cell_type == "markdown" for line in c.source.split("\n")]
        headings = [line.lstrip("# ") for line in lines if re.match(r"#+ ", line)]
        number, of = (sum(c.cell_type == "code" for c in cells) for cells in (before, self.cells))
        return f"cell {max(1, number)} of {of}" + (f" ({headings[-1]})" if headings else "")

    def begin(self, cell: nbformat.NotebookNode, cell_index: int, **_: object) -> None:
        """Show a cell that starts; nbclient calls this."""
        self.shift += "injected-parameters" in cell.metadata.get("tags", [])
        if cell.cell_type == "code":
            self.at = self.where(cell_index)
            self._show("")

    def write(self, text: str) -> None:
        """Show the last line of what the kernel printed."""
        if lines := [line for line in re.split(r"[\r\n]+", text) if line.strip()]:
            self._show(lines[-1])

    def flush(self) -> None:
        """Do nothing: every line is shown at once."""

    def _show(self, step: str) -> None:
        line = f"{self.name}, {self.at}" + (f": {step}" if step else "")
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{line[:width]}\x1b[K", end="", file=sys.stderr, flush=True)
        elif step and time.monotonic() - self.shown > _SECONDS:
            self.shown = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self.terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _parameter(cls: type[Section], text: str) -> tuple[str, Any]:
    """Return name and value of ``NAME=VALUE``. A list may do without brackets."""
    name, _, value = text.partition("=")
    if name not in cls.model_fields:
        raise ParameterError(
            f"{cls.name}: unknown parameter {name!r}{nearest(name, cls.model_fields)}\n"
            f"python -m papers parameters {cls.name} lists those there are"
        )
    several = kind_of(cls.model_fields[name].annotation).startswith("list")
    if several and not value.startswith(("[", "None", "null")):
        value = f"[{value}]"
    try:
        parsed = yaml.safe_load("null" if value == "None" else value)
    except yaml.YAMLError:
        raise ParameterError(f"{cls.name}: {text!r} is no YAML; write lists as [0, 1]") from None
    try:  # YAML wants a dot and a sign in 1.0e-3
        return name, float(parsed) if isinstance(parsed, str) else parsed
    except ValueError:
        return name, parsed


def _place(scale: str, given: Mapping[str, object]) -> str:
    """Return the name of the folder for a run with the parameters `given`.

    Examples
    --------
    >>> _place("laptop", {}), _place("laptop", {"seeds": [0, 1], "n": 8})
    ('laptop', 'laptop-n-8-seeds-0-1')
    """
    words = " ".join(f"{name} {value}" for name, value in sorted(given.items()))
    return "-".join([scale, *re.findall(r"[a-z0-9]+", words.lower())])[:80].rstrip("-")


def _tidy(notebook: Path) -> None:
    """Fold the cell that papermill put in, and drop the lines that showed progress."""
    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("hide-cell")
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                lines = re.split(r"[\r\n]+", output.text)
                kept = [line for line in lines if line.strip() and not line.endswith(" to go")]
                output.text = "".join(f"{line}\n" for line in kept)
        if "outputs" in cell:
            cell.outputs = [o for o in cell.outputs if o.get("text", "shown")]
    nbformat.write(content, notebook)


def _short(path: Path) -> str:
    return os.path.relpath(path)
