"""The classroom copy: what students get, what teachers get, and that the answers are right."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
import xarray as xr

from tests.workspace import ROOT

sys.path.append(str(ROOT / "workflow"))
import classroom  # noqa: E402

MASTERS = sorted((ROOT / "book/exercises").glob("*.ipynb"))
assert MASTERS


def run(notebook: nbformat.NotebookNode) -> None:
    namespace: dict = {}
    try:
        for cell in notebook.cells:
            if cell.cell_type == "code":
                exec(cell.source, namespace)
    finally:  # HDF5 has crashed where a file was opened while a forgotten handle of it was closed
        for value in namespace.values():
            if isinstance(value, xr.Dataset):
                value.close()


@pytest.fixture
def results(monkeypatch) -> Path:
    folder = ROOT / "data/results/cifar"
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_the_solution_passes_its_own_checks(path, results, capsys):
    master = nbformat.read(path, as_version=4)
    run(classroom.solution(master))
    checks = [cell for cell in master.cells if "check" in cell.metadata.get("tags", [])]
    assert capsys.readouterr().out.count("is right.") == len(checks) == 4


@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_a_wrong_answer_is_noticed(path, results):
    master = nbformat.read(path, as_version=4)
    for wrong, right in [
        ("(z - z.mean(0)) @ (z - z.mean(0)).T", "z @ z.T"),
        ('at_itself("stir_ft_pt")', 'at_itself("stir_pt_ft")'),
        ('1 - self_term.mean("seed")', 'self_term.mean("seed")'),
        ('stir.rename(ref_layer="layer", layer="ref_layer")\n###', "stir\n###"),
    ]:
        text = nbformat.writes(master)
        spoilt = nbformat.reads(text, as_version=4)
        for cell in spoilt.cells:
            cell.source = cell.source.replace(wrong, right)
        assert nbformat.writes(spoilt) != text
        with pytest.raises(AssertionError):
            run(classroom.solution(spoilt))


@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_students_see_no_answer(path):
    master = nbformat.read(path, as_version=4)
    given = nbformat.writes(classroom.student(master))
    assert given.count("# your code") == 4 and "Likely wrong" not in given
    for answer in classroom._SOLUTION.finditer("\n".join(c.source for c in master.cells)):
        assert answer[0].splitlines()[1].strip() not in given
    assert classroom.notes(master).count("Likely wrong") == 4


@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_nbgrader_finds_answers_and_checks(path):
    """The metadata are those of its schema 3, in what the teacher and the students get."""
    master = nbformat.read(path, as_version=4)
    for notebook in (classroom.student(master), classroom.solution(master)):
        marked = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
        marks = [cell.metadata.nbgrader for cell in marked]
        assert len({mark.grade_id for mark in marks}) == len(marks) == 8
        for cell, mark in zip(marked, marks, strict=True):
            check = "check" in cell.metadata.get("tags", [])
            assert (mark.grade, mark.locked, mark.get("points")) == (check, check, check or None)
            assert mark.solution is not check and not mark.task and mark.schema_version == 3
            assert ("your code" in cell.source or "BEGIN SOLUTION" in cell.source) is not check
        # each answer comes right before its check
        assert [mark.grade for mark in marks] == [False, True] * 4


def test_the_zip_opens_from_a_memory_stick(tmp_path):
    (tmp_path / "html").mkdir()
    (tmp_path / "html/index.html").write_text("a book")
    for name, figures in classroom.SLIDES.items():
        cells = []
        for figure in figures:
            meta = {"mystnb": {"figure": {"name": figure, "caption": "a <b>"}}}
            output = nbformat.v4.new_output("display_data", {"image/png": "QUJD"})
            cells.append(nbformat.v4.new_code_cell("", metadata=meta, outputs=[output]))
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    target = tmp_path / "classroom.zip"
    data = ROOT / "data/results/cifar"
    classroom.pack(target, tmp_path / "html", tmp_path, data, ROOT / "book/exercises")
    with zipfile.ZipFile(target) as file:
        names = set(file.namelist())
        assert {"book/index.html", "slides.html", "exercises/student_lesson.ipynb",
                "exercises/finetuning_task.nc", "teacher/notes_lesson.md"} <= names  # fmt: skip
        page = file.read("slides.html").decode()
    assert page.count("<section>") == 4 and "http" not in page and "a &lt;b&gt;" in page


def test_every_slide_has_its_figure():
    for name, figures in classroom.SLIDES.items():
        text = (ROOT / f"notebooks/{name}.ipynb").read_text(encoding="utf-8")
        assert all(f'"name": "{figure}"' in text for figure in figures)


def test_the_code_on_the_page_runs_and_says_what_the_page_says(capsys):
    page = (ROOT / "book/teaching.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(code, {})
    independent, effective = (
        [float(n) for n in re.findall(r"0\.\d+", line)]
        for line in capsys.readouterr().out.splitlines()
    )
    assert independent[0] > 0.5 and abs(effective[0] - 0.05) < 0.02
