"""One lens on three papers: every measure on every case, of the networks of the other pages."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
import xarray as xr

from invlib.models.loading import load_model
from invlib.results.netcdf import save_results
from invlib.results.provenance import provenance
from papers.across.lens_figures import depth_curves
from papers.parameters import load_scale
from papers.sections import SECTIONS

SECTION = SECTIONS["one_lens_on_three_papers"].from_parameters(load_scale("smoke"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of its own for what is run; the work asks it for the results of other pages."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("papers.section.runs_root", lambda scale: folder / scale)
        patch.setattr(SECTION.work, "runs_root", lambda scale: folder / scale)
        yield folder / "smoke"


@pytest.fixture(scope="module")
def ds(runs):
    return SECTION.dataset()


def test_a_shorter_network_ends_in_nothing(ds):
    assert ds["case"].size == 4
    layers = {"A: a ViT fine-tuned": 4, "B: random labels": 5, "C: squares": 9}
    for case, count in layers.items():
        one = ds.sel(case=case)
        assert one["layer_depth"].dropna("place").values[[0, -1]].tolist() == [0, 1]
        for name in ("learning", "forgetting", "cka_divergence", "probe_accuracy"):
            there = one[name].notnull()
            assert (
                there.isel(place=slice(count)).all() and not there.isel(place=slice(count, 9)).any()
            )


def test_measures_keep_their_bounds(ds):
    swapped = ds["flow"].rename(place="ref_place", ref_place="place")
    np.testing.assert_allclose((ds["flow"] + swapped).fillna(0), 0, atol=1e-12)
    assert abs(ds["flow"]).max() > 0.01
    assert ds["numerical_rank"].max() < SECTION.lens_probe_test_n  # of centred features
    assert ds["when"].values.tolist() == ["before", "after", "untrained"]
    for one, other in itertools.combinations(ds["when"].values, 2):
        differ = ds["probe_accuracy"].sel(when=one) != ds["probe_accuracy"].sel(when=other)
        assert differ.where(ds["layer_depth"].notnull(), False).any()


def test_an_untrained_network_is_drawn_where_the_results_have_one(ds):
    for one, more in (
        (ds, {"before", "untrained"}),
        (ds.sel(when=["before", "after"]), {"before"}),
    ):
        figure = depth_curves({"probe accuracy": one["probe_accuracy"]}, one["layer_depth"])
        (legend,) = figure.legends
        assert {text.get_text() for text in legend.get_texts()} == {*ds["case"].values, *more}
        assert len(figure.axes[0].get_lines()) == ds["case"].size * one["when"].size


def test_an_untrained_network_has_the_seed_of_no_training_of_its_case(runs):
    for case in SECTION.work._cases(SECTION).values():
        model = SECTION.work.untrained(case.before, case.seed)
        assert (model.name, model.img_size) == (case.before.name, case.before.img_size)
        own = load_model(case.before.name, img_size=case.before.img_size, seed=case.seed)
        mine = dict(own.trunk())
        assert all(torch.equal(mine[key], value) for key, value in model.trunk().items())
        for other in (case.before, case.after):
            assert any(not torch.equal(mine[key], value) for key, value in other.trunk().items())


def test_it_looks_at_the_networks_of_the_other_pages(ds, runs):
    """What is in the folder of trainings are runs that those pages need as well."""
    needed = {"dynamics", "unlearning", "feature_erosion", "collapse_and_plasticity"}
    assert set(SECTION.uses) == needed and SECTION.runs() == {}
    theirs = set()
    for name in needed:
        for run in SECTIONS[name].from_parameters(load_scale("smoke")).runs().values():
            while run is not None:
                theirs.add(run.id)
                run = run.parent
    assert {path.parent.name for path in runs.glob("training/*/done.json")} <= theirs


def test_a_page_that_was_run_with_other_parameters_is_looked_at_as_it_was_run(runs):
    usual = SECTION.work._as_run(SECTION, "dynamics")
    assert usual == SECTIONS["dynamics"].from_parameters(load_scale("smoke"))
    other = usual.model_copy(update={"finetuning_lr": 0.02})
    made = provenance(parameters=other, seeds=[0], wall_time=1.0, command="papermill a b")
    time = xr.Dataset({"time": ((), 1.5, {"long_name": "time", "units": "s"})})
    path = save_results(time.assign_attrs({"kind": "benchmark"} | made), runs / "dynamics.nc")
    try:
        assert SECTION.work._as_run(SECTION, "dynamics") == other
    finally:
        path.unlink()
    assert json.loads(made["parameters"])["finetuning_lr"] == 0.02 != usual.finetuning_lr
