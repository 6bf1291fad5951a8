"""What the work of every section shares: results are written with what made them, and reused."""

from __future__ import annotations

import json

import pytest
import xarray as xr

from papers.section import Section
from papers.sections import SECTIONS
from papers.work import results_of, written


@pytest.fixture(autouse=True)
def runs(monkeypatch, tmp_path):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    return tmp_path


class Timed(Section):
    name = "timed"


def measured(section: Section) -> xr.Dataset:
    said = dict(long_name="time", units="s")
    return xr.Dataset({"time": ((), 1.5, said)}, attrs={"note": "mine", "device": "a GPU of old"})


def test_results_are_read_back_from_where_they_were_written(runs):
    ds = written("benchmark")(measured)(Timed(scale="mine"))
    assert ds.equals(xr.open_dataset(runs / "mine" / "timed.nc"))
    assert ds.attrs["kind"] == "benchmark" and "note" not in ds.attrs
    assert json.loads(ds.attrs["parameters"]) == Timed(scale="mine").model_dump(mode="json")
    assert json.loads(ds.attrs["seeds"]) == [0, 1, 2]
    assert ds.attrs["device"] == "a GPU of old"  # where it was computed, says the Dataset


def test_what_made_them_can_be_said():
    write = written(
        "benchmark", seeds=lambda section: section.seeds[:1], device="abacus", keep=["note"]
    )
    ds = write(measured)(Timed())
    assert (ds.attrs["seeds"], ds.attrs["device"], ds.attrs["note"]) == ("[0]", "abacus", "mine")


def test_results_of_another_section_are_computed_once(monkeypatch):
    """`Dynamics` stands in for a section whose results another one reads."""
    calls = []

    def dataset(section: Section) -> xr.Dataset:
        calls.append(section)
        return written("benchmark")(measured)(section)

    monkeypatch.setattr(SECTIONS["dynamics"], "dataset", dataset)
    first = SECTIONS["robustness"](n=8, trainings=("sgd:0.1",))
    second = first.model_copy(update={"n": 4})
    for section in (first, first, second, second):
        assert float(results_of(section, "dynamics")["time"]) == 1.5
    assert [section.n for section in calls] == [8, 4]
