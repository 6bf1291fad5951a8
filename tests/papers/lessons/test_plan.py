"""The lesson plan: minutes follow the texts, the exercises and measured seconds, and make 90."""

from __future__ import annotations

import json

import nbformat
import pytest

from papers.lessons import plan
from tests.workspace import ROOT

KEPT = json.loads(plan.KEPT.read_text(encoding="utf-8"))


def test_the_parts_follow_one_another_and_take_a_lesson():
    rows = plan.plan(KEPT["seconds"])
    assert rows[0][0] == 0 and sum(part.minutes for _, part in rows) == 90
    for (begin, part), (end, _) in zip(rows, rows[1:], strict=False):
        assert begin + part.minutes == end
    assert rows[-1][1].minutes >= 5
    cells = nbformat.read(ROOT / "book/exercises/lesson.ipynb", as_version=4).cells
    assert sum(part.lines > 0 for _, part in rows) == sum(cell.id[0] == "a" for cell in cells)
    assert all(part.words for _, part in rows[1:-1]) and rows[1][1].figures == 3


def test_more_work_takes_longer_until_the_lesson_is_too_long():
    minutes = {part.what[:11]: part.minutes for _, part in plan.plan(KEPT["seconds"])}
    slow = plan.plan(KEPT["seconds"] | {"q2": 240})
    assert {part.what[:11]: part.minutes for _, part in slow}["Exercise 2."] == (
        minutes["Exercise 2."] + 5
    )
    assert slow[-1][1].minutes == plan.plan(KEPT["seconds"])[-1][1].minutes - 5
    with pytest.raises(ValueError, match="minutes, and a lesson has 90"):
        plan.plan(KEPT["seconds"] | {"q2": 400})


def test_the_page_and_the_notes_have_the_plan():
    assert plan.table(KEPT) in (ROOT / "book/teaching.md").read_text(encoding="utf-8")
    cells = nbformat.read(ROOT / "book/exercises/lesson.ipynb", as_version=4).cells
    assert [cell.source for cell in cells if cell.id == "plan"] == [plan.notes(KEPT)]


def test_seconds_are_those_of_a_run(monkeypatch, tmp_path):
    """A slow exercise is found where it is."""
    master = nbformat.read(ROOT / "book/exercises/lesson.ipynb", as_version=4)
    for cell in master.cells:
        if cell.id == "c2":
            cell.source += "\nimport time; time.sleep(1)"
    nbformat.write(master, tmp_path / "lesson.ipynb")
    monkeypatch.setattr(plan, "_exercises", lambda: tmp_path / "lesson.ipynb")
    found = plan.timed()
    assert set(found["seconds"]) == set(KEPT["seconds"])
    assert max(found["seconds"], key=found["seconds"].get) in ("q2", "start")
    assert found["seconds"]["q2"] > 1 and found["seconds"]["q4"] < 1
