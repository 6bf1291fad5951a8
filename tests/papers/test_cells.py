"""The parameters cells: made from the fields, current, and written without touching the rest."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from papermill import inspect_notebook

from papers.__main__ import main
from papers.cells import PAGE, kind_of, parameters_cell, rewrite
from papers.sections import SECTIONS
from tests.workspace import ROOT


@pytest.fixture
def copies(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "book").mkdir()
    shutil.copy2(ROOT / PAGE, tmp_path / PAGE)
    monkeypatch.setattr("papers.__main__.project_root", lambda: tmp_path)
    return tmp_path / "notebooks"


def test_the_cells_are_current(capsys):
    assert main(["parameters", "--check"]) == 0, "run `make parameters`"
    assert capsys.readouterr().out == ""


def test_a_cell_that_is_not_is_named_and_written(copies, capsys):
    path = copies / "dynamics.ipynb"
    before = path.read_text()
    path.write_text(before.replace("every: int = 2", "every: int = 4"))
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
    assert {line for line in changed - cell if not line.startswith("#")} == {"n: int = 24"}
    assert Longer.from_parameters({"scale": "laptop"}).n == 24


@pytest.mark.parametrize("name", SECTIONS)
def test_every_parameter_stands_in_its_cell_once(name):
    cell = parameters_cell(SECTIONS[name])
    lines = [line for line in cell.splitlines() if " = " in line]
    assert sorted(line.partition(": ")[0] for line in lines) == sorted(SECTIONS[name].model_fields)
    assert max(map(len, cell.splitlines())) <= 100
    namespace = {}
    exec(cell, namespace)
    SECTIONS[name].from_parameters({k: namespace[k] for k in SECTIONS[name].model_fields})


@pytest.mark.parametrize("name", SECTIONS)
def test_papermill_knows_the_type_and_the_meaning_of_each(name):
    known = inspect_notebook(ROOT / "notebooks" / f"{name}.ipynb")
    assert sorted(known) == sorted(SECTIONS[name].model_fields)
    for parameter, field in SECTIONS[name].model_fields.items():
        assert known[parameter]["inferred_type_name"] == kind_of(field.annotation)
        assert known[parameter]["help"] == SECTIONS[name].notes.get(parameter, field.description)


def test_the_page_has_every_parameter_of_every_section():
    page = (ROOT / PAGE).read_text()
    shared, *own = re.split(r"^## (?=[a-z])", page, flags=re.M)
    tables = dict(re.findall(r"^## (.*?)\n(.*?)(?=^##|\Z)", shared, re.M | re.S))
    tables = {title[0].lower() + title[1:]: table for title, table in tables.items()}
    assert [text.split("\n")[0] for text in own] == list(SECTIONS)
    for text, section in zip(own, SECTIONS.values(), strict=True):
        named = re.search(r"has those of: (.*?)\.$", text, re.M)[1].split(", ")
        listed = re.findall(r"^\| `(\w+)`", text + "".join(tables.get(n, "") for n in named), re.M)
        others = [n for n in named if n not in tables]  # of other sections, whose tables follow
        listed += [
            p
            for n in others
            for t in own
            for p in re.findall(r"^\| `(\w+)`", t, re.M)
            if t.startswith(f"{n}\n")
        ]
        assert set(section.model_fields) <= set(listed), section.name


def test_a_page_out_of_date_is_named_and_written(copies, capsys):
    (copies.parent / PAGE).write_text("# Parameters of old")
    assert main(["parameters", "--check"]) == 1
    assert capsys.readouterr().out == f"{PAGE}: out of date\n"
    assert main(["parameters"]) == 0
    assert (copies.parent / PAGE).read_text() == (ROOT / PAGE).read_text()


def test_a_section_is_listed_in_the_terminal(capsys):
    assert main(["parameters", "dynamics"]) == 0
    assert "every: int = 2\n    epochs from one look" in capsys.readouterr().out


def test_a_notebook_without_the_cell_is_refused(copies):
    path = copies / "dynamics.ipynb"
    content = json.loads(path.read_text())
    for cell in content["cells"]:
        cell["metadata"].pop("tags", None)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="one cell with the tag 'parameters' is wanted"):
        rewrite(path, SECTIONS["dynamics"])
