"""Continuous integration: what failed is said at the end of its log; the order of the tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.conftest import LONG
from tests.workspace import ROOT, environment

MAKEFILE = """
book:
\t@echo book of $(SCALE); seq -f "page %g" 100; echo "no such page" >&2; exit $(BOOK)
test-browser test-pages:
\t@echo $@
test:
\t@echo "5 passed, {} failed"; exit {}
"""


def run(folder: Path, *, book: int = 0, test: int = 0) -> tuple[int, list[str]]:
    """Return the status and the lines of a run in which these steps end so."""
    (folder / ".ci").mkdir()
    shutil.copy2(ROOT / ".ci" / "run", folder / ".ci")
    (folder / "Makefile").write_text(MAKEFILE.format(test, test))
    (folder / "bin").mkdir()
    for name, status in (("chromium", 0), ("apt-get", 1)):  # the one is there, nothing is installed
        (folder / "bin" / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (folder / "bin" / name).chmod(0o755)
    env = environment()
    env |= {"PATH": f"{folder / 'bin'}:{env['PATH']}", "BOOK": str(book), "TMPDIR": str(folder)}
    out = subprocess.run([folder / ".ci" / "run"], env=env, stdout=subprocess.PIPE, text=True)
    assert {path.name for path in folder.iterdir()} == {".ci", "Makefile", "bin"}
    return out.returncode, out.stdout.splitlines()


def test_when_all_is_well_the_summary_of_the_tests_is_last(tmp_path):
    status, lines = run(tmp_path)
    assert status == 0 and lines[0] == "book of smoke" and "page 1" in lines
    assert "NOT RUN: make test-cluster, because there is no SLURM" in lines
    assert lines[-1] == "5 passed, 0 failed" and not [x for x in lines if "FAILED" in x]


def test_the_end_of_every_failed_step_is_at_the_end(tmp_path):
    status, lines = run(tmp_path, book=1, test=2)
    assert status == 1
    begin = [i for i, line in enumerate(lines) if line.startswith("──── FAILED: ")]
    first, second = (lines[begin[0] : begin[1]], lines[begin[1] :])
    assert first[0].startswith("──── FAILED: make book SCALE=smoke,")
    assert "page 100" in first and "no such page" in first and "page 50" not in first
    assert len(first) == 42  # with the line that names it, and an empty one
    assert second[0].startswith("──── FAILED: make test,") and "5 passed, 2 failed" in second
    assert second[-2:] == ["FAILED: make book SCALE=smoke", "FAILED: make test"]
    # and each was shown when it was said
    shown = lines[: begin[0]]
    places = [
        shown.index(x) for x in ("page 1", "no such page", "test-pages", "5 passed, 2 failed")
    ]
    assert places == sorted(places) and "FAILED: make book SCALE=smoke" in shown


def test_the_files_that_are_taken_first_are_there():
    assert [name for name in LONG if not (ROOT / name).is_file()] == []
