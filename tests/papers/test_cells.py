"""The parameters cells: made from the fields, current, and written without touching the rest."""

from __future__ import annotations

import json
import shutil

import pytest

from papers.__main__ import main
from papers.cells import parameters_cell, rewrite
from papers.sections import SECTIONS
from tests.workspace import ROOT


@pytest.fixture
def copies(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    monkeypatch.setattr("papers.__main__.project_root", lambda: tmp_path)
    return tmp_path / "notebooks"


def test_the_cells_are_current(capsys):
    assert main(["parameters", "--check"]) == 0, "run `make parameters`"
    assert capsys.readouterr().out == ""


def test_a_cell_that_is_not_is_named_and_written(copies, capsys):
    path = copies / "dynamics.ipynb"
    before = path.read_text()
    path.write_text(before.replace("every = 3", "every = 4"))
    stale = path.read_text()
    assert main(["parameters", "--check"]) == 1
    assert capsys.readouterr().out == "notebooks/dynamics.ipynb: out of date\n"
    assert path.read_text() == stale
    assert main(["parameters"]) == 0
    assert capsys.readouterr().out == "notebooks/dynamics.ipynb: written\n"
    assert path.read_text() == before


def test_a_default_is_changed_in_one_place():
    class Longer(SECTIONS["finetuning_task"]):
        n: int = 24

    changed = set(parameters_cell(Longer).splitlines())
    cell = set(parameters_cell(SECTIONS["finetuning_task"]).splitlines())
    assert {line for line in changed - cell if not line.startswith("#")} == {"n = 24"}
    assert Longer.from_parameters({"scale": "laptop"}).n == 24


@pytest.mark.parametrize("name", SECTIONS)
def test_every_parameter_stands_in_its_cell_once(name):
    lines = [line for line in parameters_cell(SECTIONS[name]).splitlines() if " = " in line]
    assert sorted(line.partition(" = ")[0] for line in lines) == sorted(SECTIONS[name].model_fields)
    assert max(map(len, parameters_cell(SECTIONS[name]).splitlines())) <= 100


def test_a_notebook_without_the_cell_is_refused(copies):
    path = copies / "dynamics.ipynb"
    content = json.loads(path.read_text())
    for cell in content["cells"]:
        cell["metadata"].pop("tags", None)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="one cell with the tag 'parameters' is wanted"):
        rewrite(path, SECTIONS["dynamics"])
