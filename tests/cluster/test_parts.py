"""A section cut into jobs: together they invert just what the section would, and nothing twice."""

from __future__ import annotations

import shutil

import pytest
import xarray as xr

from invlib.inversion import cache
from papers.__main__ import main
from papers.parameters import load_scale
from papers.sections import SECTIONS, runs_of
from tests.workspace import ROOT

CUT = ("finetuning_task", "pretraining_dataset", "dynamics")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that runs are kept in, and the scales."""
    (tmp_path / "invlib").mkdir()
    for name in ("pyproject.toml", "invlib/paths.py"):
        shutil.copy2(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "notebooks" / "scales", tmp_path / "notebooks" / "scales")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def made(monkeypatch) -> tuple[list[str], list[str]]:
    """Keys of the inversions asked for so far, and names of the models really inverted."""
    asked, names, key, invert = [], [], cache.inversion_key, cache.invert

    def noted(*arguments, **more):
        asked.append(key(*arguments, **more))
        return asked[-1]

    def counted(model, *arguments, **more):
        names.append(model.name)
        return invert(model, *arguments, **more)

    monkeypatch.setattr(cache, "inversion_key", noted)
    monkeypatch.setattr(cache, "invert", counted)
    return asked, names


@pytest.mark.parametrize("name", CUT)
def test_the_parts_of_a_section_leave_it_nothing_to_invert(name, checkout, made):
    section = SECTIONS[name].from_parameters(load_scale("smoke"))
    (asked, inverted), wanted, parts = made, section.to_invert(), 3
    assert len(wanted) > parts
    for part in range(parts, 0, -1):  # in any order
        assert main(["part", name, "--part", f"{part}/{parts}", "--scale", "smoke"]) == 0
    assert len(inverted) == len(wanted)  # none is asked for twice
    by_parts = set(asked)
    asked.clear()
    gathered = section.dataset()
    assert len(inverted) == len(wanted)
    assert set(asked) == by_parts  # and the section asks for no less
    if name == CUT[0]:
        shutil.rmtree(section.inversions)
        xr.testing.assert_identical(gathered.drop_attrs(), section.dataset().drop_attrs())


@pytest.mark.parametrize("scale", ["smoke", "laptop", "cifar", "paper"])
def test_what_is_cut_off_needs_only_trainings_that_are_jobs_too(scale):
    for section in SECTIONS.values():
        section = section.from_parameters(load_scale(scale))
        if wanted := section.to_invert():
            assert not section.own_trainings
            assert len(set(map(repr, wanted))) == len(wanted)
            ids = runs_of([section])
            for run, epoch, seed in wanted:
                assert run.id in ids and seed in section.seeds
                assert epoch in (0, run.epochs) or (run.keep == "all" and 0 < epoch < run.epochs)


def test_without_a_cache_there_is_nothing_to_cut():
    section = SECTIONS["dynamics"].from_parameters(load_scale("smoke"))
    assert section.model_copy(update={"cache": False}).to_invert() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dynamics", "--part", "3/2"], "part='3/2' of dynamics at scale smoke: allowed is i/k"),
        (["dynamics", "--part", "0/2"], "1 <= i <= k <= 4"),
        (["accuracy"], "allowed is none, it has no inversions to cut"),
        (["dynamic"], "did you mean 'dynamics'?"),
    ],
)
def test_parts_that_there_are_not_are_named(arguments, said, capsys):
    assert main(["part", *arguments, "--scale", "smoke"]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1
