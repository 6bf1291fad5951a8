"""How the book is built: from executed notebooks at the sources' own paths, or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.workspace import environment, make_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A workspace whose notebook counts as run, so that only the book is to be made."""
    folder = make_workspace(tmp_path_factory.mktemp("book"))
    notebook = nbformat.read(folder / "notebooks" / "toy.ipynb", as_version=4)
    notebook.cells[-1].outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="the-output-of-the-run")
    ]
    executed = folder / "data" / "runs" / "smoke" / "toy.ipynb"
    executed.parent.mkdir(parents=True)
    nbformat.write(notebook, executed)
    return folder


def render(folder: Path):
    command = [sys.executable, "workflow/render.py", "--scale", "smoke"]
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=300
    )


def test_the_book_shows_the_executed_notebook_at_the_sources_path(workspace):
    out = render(workspace)
    assert out.returncode == 0, out.stdout + out.stderr
    html = workspace / "_build" / "html"
    assert "the-output-of-the-run" in (html / "notebooks" / "toy.html").read_text()
    assert 'href="../notebooks/toy.html"' in (html / "book" / "intro.html").read_text()
    assert json.loads((html / "built.json").read_text()) == {
        "scale": "smoke", "notebooks": ["toy"]
    }  # fmt: skip
    # nothing generated lies beside the sources
    assert "the-output-of-the-run" not in (workspace / "notebooks" / "toy.ipynb").read_text()


def test_a_warning_fails_the_build_and_leaves_the_book_that_was_there(workspace):
    page = workspace / "_build" / "html" / "book" / "intro.html"
    before = page.read_text()
    intro = workspace / "book" / "intro.md"
    text = intro.read_text()
    intro.write_text(text + "\nSee {ref}`a-place-that-is-not-there`, and [](nowhere.md).\n")
    try:
        out = render(workspace)
    finally:
        intro.write_text(text)
    assert out.returncode != 0
    assert "a-place-that-is-not-there" in out.stderr and "nowhere.md" in out.stderr
    assert page.read_text() == before


def test_a_notebook_that_was_not_run_is_named(workspace):
    executed = workspace / "data" / "runs" / "smoke" / "toy.ipynb"
    aside = executed.with_suffix(".aside")
    os.replace(executed, aside)
    try:
        out = render(workspace)
    finally:
        os.replace(aside, executed)
    assert out.returncode != 0
    assert "notebooks/toy.ipynb has not been run" in out.stderr
