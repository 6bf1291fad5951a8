"""Section 4.1: each claim can hold, can fail and can be untestable; the runs are the paper's."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from invlib import compare, load_images, load_model
from invlib.metrics.invariance import cka_divergence, diagonal, forgetting, learning
from invlib.paths import results_root
from invlib.results.netcdf import open_results
from invlib.results.provenance import provenance
from invlib.results.validation import validate
from invlib.training.run import TrainingRun
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import check_claims
from papers.claims.shapes import last_minus_first
from papers.merlin2023.work.base import compare_untrained, of_untrained, pretrained_model
from papers.parameters import load_scale
from papers.sections import SECTIONS
from tests.synthetic import trainings

CLAIMS_4_1 = CLAIMS["finetuning_task"]
BY_ID = {claim.id: claim for claim in CLAIMS_4_1}
CLS, REC = "classification", "reconstruction"
LAYERS = np.arange(13)
SEEDS = 3
ATTRS = {"kind": "comparison"} | provenance(
    parameters={"scale": "smoke"}, seeds=range(SEEDS), wall_time=1.0, command="papermill a b"
)

# What section 4.1 and Figure 1 describe, one number a layer.
PAPER = {
    "self": np.full(13, 0.998),
    "learning": {
        CLS: np.interp(LAYERS, [0, 1, 5, 10, 12], [0.28, 0.26, 0.10, 0.30, 0.34]),
        REC: np.interp(LAYERS, [0, 3, 5, 9, 12], [0.33, 0.31, 0.32, 0.58, 0.50]),
    },
    "forgetting": {
        CLS: np.interp(LAYERS, [0, 1, 5, 10, 12], [0.25, 0.24, 0.08, 0.28, 0.33]),
        REC: np.interp(LAYERS, [0, 1, 3, 5, 9, 12], [0.30, 0.27, 0.24, 0.36, 0.60, 0.61]),
    },
    "cka": {
        CLS: np.interp(LAYERS, [0, 3, 5, 12], [0.0, 0.004, 0.02, 0.45]),
        REC: np.interp(LAYERS, [0, 5, 12], [0.05, 0.20, 0.70]),
    },
}


def synthetic(curves_by_seed: list[dict]) -> xr.Dataset:
    """A comparison whose learning, forgetting and CKA divergence are these curves, seed by seed."""
    diagonal = np.eye(len(LAYERS), dtype=bool)

    def matrix(curve, off):
        return np.where(diagonal, np.asarray(curve)[:, None], off)

    def over_seeds(pick, off=0.3, tasks=(CLS, REC)):
        """(task, estimator, seed, ref_layer, layer): both estimators are the same here."""
        cells = [[matrix(pick(c, task), off) for c in curves_by_seed] for task in tasks]
        return np.stack([np.stack([cell, cell]) for cell in np.asarray(cells)])

    dims = ("task", "estimator", "seed", "ref_layer", "layer")
    variables = {
        "stir_ft_ft": (dims, over_seeds(lambda c, task: c["self"])),
        "stir_pt_ft": (dims, over_seeds(lambda c, task: c["self"] - c["learning"][task])),
        "stir_ft_pt": (dims, over_seeds(lambda c, task: c["self"] - c["forgetting"][task])),
        "stir_pt_pt": (dims[1:], over_seeds(lambda c, task: c["self"], tasks=(CLS,))[0]),
        "cka_ft_pt": (dims, over_seeds(lambda c, task: 1 - c["cka"][task])),
        "cka_pt_pt": (dims[1:], over_seeds(lambda c, task: np.ones(13), tasks=(CLS,))[0]),
    }
    seeds = len(curves_by_seed)
    for short in ("pt", "ft"):
        variables[f"inversion_loss_{short}"] = (("seed", "ref_layer"), np.full((seeds, 13), 0.3))
        variables[f"stir_control_{short}"] = (dims[1:3] + dims[4:], np.full((2, seeds, 13), 0.1))
    names = ["embed", *(f"block {k}" for k in LAYERS[1:])]
    ds = xr.Dataset(
        variables,
        {
            "task": [CLS, REC], "estimator": ["biased", "debiased"], "seed": range(seeds),
            "layer": LAYERS, "ref_layer": LAYERS,
            "layer_name": ("layer", names), "depth": ("layer", LAYERS / 12),
        },
        attrs=ATTRS,
    )  # fmt: skip
    return trainings(ds)


def as_the_paper(**changes) -> dict:
    """The paper's curves, some of them changed: ``learning={CLS: ...}``, ``self=...``."""
    curves_ = copy.deepcopy(PAPER)
    for name, change in changes.items():
        if isinstance(change, dict):
            curves_[name] |= {task: np.asarray(curve, float) for task, curve in change.items()}
        else:
            curves_[name] = np.asarray(change, float)
    return curves_


def with_layers(curve: np.ndarray, values: dict[int, float]) -> np.ndarray:
    curve = curve.copy()
    for layer, value in values.items():
        curve[layer] = value
    return curve


RISING = np.linspace(0.05, 0.5, 13)
ALIKE = np.full(13, 0.05)  # less than between two seeds
ZIGZAG = np.where(LAYERS % 2, 0.1, 0.3)
L, F, C = PAPER["learning"], PAPER["forgetting"], PAPER["cka"]

# For every claim one thing that would refute it, and nothing subtle: (name, changed curves).
REFUTED = {
    "A-3.1-self-term-is-one": dict(self=with_layers(PAPER["self"], {11: 0.9})),
    "A-3.1-directional": dict(learning=F),
    "A-4.1-u-shape-learning": dict(learning={CLS: RISING}),
    "A-4.1-u-shape-forgetting": dict(forgetting={CLS: RISING[::-1]}),
    "A-4.1-early-like-late-learning": dict(learning={CLS: RISING}),
    "A-4.1-early-like-late-forgetting": dict(forgetting={CLS: RISING}),
    "A-4.1-late-above-early-learning": dict(learning={CLS: RISING[::-1]}),
    "A-4.1-late-above-early-forgetting": dict(forgetting={CLS: RISING[::-1]}),
    "A-4.1-cka-early-near-zero": dict(cka={CLS: C[CLS] + 0.2}),
    "A-4.1-cka-early-below-late": dict(cka={CLS: np.full(13, 0.02)}),
    "A-4.1-similarity-is-not-invariance": dict(cka={CLS: L[CLS]}),
    "A-4.1-both-tasks-learn": dict(self=np.ones(13), learning={CLS: np.zeros(13)}),
    "A-4.1-more-than-another-seed-learning-classification": dict(learning={CLS: ALIKE}),
    "A-4.1-more-than-another-seed-learning-reconstruction": dict(learning={REC: ALIKE}),
    "A-4.1-more-than-another-seed-forgetting-classification": dict(forgetting={CLS: ALIKE}),
    "A-4.1-more-than-another-seed-forgetting-reconstruction": dict(forgetting={REC: ALIKE}),
    "A-4.1-reconstruction-learns-more": dict(learning={REC: with_layers(L[REC], {7: 0.01})}),
    "A-4.1-forgetting-rises-earlier": dict(forgetting={REC: F[CLS]}),
    "A-4.1-forgetting-rises-earlier-by-level": dict(forgetting={REC: F[CLS]}),
    "A-4.1-learning-flat-forgetting-rises": dict(learning={REC: F[REC] + 0.1}),
    "A-4.1-forgetting-flat-learning-falls": dict(forgetting={REC: L[REC]}),
    "A-4.1-reconstruction-learning-flat": dict(learning={REC: with_layers(L[REC], {5: 0.4})}),
    "A-4.1-reconstruction-forgetting-flat": dict(forgetting={REC: with_layers(F[REC], {12: 0.7})}),
    "A-4.1-cka-reconstruction-higher": dict(cka={REC: with_layers(C[REC], {0: 0.0})}),
    "A-4.1-cka-late-above-early-classification": dict(cka={CLS: C[CLS][::-1]}),
    "A-4.1-cka-late-above-early-reconstruction": dict(cka={REC: C[REC][::-1]}),
    "A-C.1-correlation-classification": dict(learning={CLS: ZIGZAG}),
    "A-C.1-correlation-reconstruction": dict(learning={REC: ZIGZAG}),
    "A-C.1-correlation-lower-for-reconstruction": dict(learning={REC: F[REC]}),
}


def judge(*seeds: dict, claims=CLAIMS_4_1) -> xr.Dataset:
    return check_claims(claims, synthetic(list(seeds)))


def test_every_claim_has_a_counterexample():
    assert set(REFUTED) == set(BY_ID)
    assert len(BY_ID) == len(CLAIMS_4_1) >= 20


@pytest.mark.parametrize("claim", CLAIMS_4_1, ids=list(BY_ID))
def test_a_claim_is_well_formed(claim):
    assert claim.id.startswith(f"{claim.paper}-{claim.section}-")
    assert claim.words.endswith(".") and not claim.number.endswith(".")
    assert claim.unit in ("STIR", "CKA", "ratio", "layers", "correlation")
    assert claim.needs["layer"] == tuple(range(13)) and claim.needs["task"]


@pytest.mark.parametrize("id", BY_ID)
def test_a_claim_holds_where_the_results_are_the_papers(id):
    out = judge(*[as_the_paper()] * SEEDS, claims=[BY_ID[id]])
    assert set(out.verdict.values.ravel()) == {"reproduced"}, out.value.values
    assert not out.value.isnull().any() and out.reason.values == [""]


@pytest.mark.parametrize("id", BY_ID)
def test_a_claim_fails_where_they_contradict_it(id):
    out = judge(*[as_the_paper(**REFUTED[id])] * SEEDS, claims=[BY_ID[id]])
    assert set(out.verdict.values.ravel()) == {"not reproduced"}, out.value.values
    assert not out.value.isnull().any() and out.reason.values == [""]


@pytest.mark.parametrize("id", BY_ID)
def test_trainings_that_disagree_are_undecided(id):
    yes, no = as_the_paper(), as_the_paper(**REFUTED[id])
    out = judge(yes, no, yes, claims=[BY_ID[id]])
    assert set(out.verdict.values.ravel()) == {"undecided"}


@pytest.mark.parametrize("id", BY_ID)
def test_two_models_that_are_the_same_confirm_no_change(id):
    """Nothing moved: only what says that something stays put or is 1 may hold."""
    none = {CLS: np.zeros(13), REC: np.zeros(13)}
    same = as_the_paper(self=np.ones(13), learning=none, forgetting=none, cka=none)
    out = judge(same, same, claims=[BY_ID[id]])
    expected = {"not reproduced"}
    if "C.1" in id:  # the correlation of constants does not exist
        expected = {"not testable here"}
        assert "constant" in str(out.reason.values)
    if id in ("A-3.1-self-term-is-one", "A-4.1-cka-early-near-zero") or id.endswith("-flat"):
        expected = {"reproduced"}
    assert set(out.verdict.values.ravel()) == expected


def test_the_synthetic_results_have_the_curves_they_are_made_of():
    ds = synthetic([as_the_paper()])
    for function, name in [(learning, "learning"), (forgetting, "forgetting")]:
        for task in (CLS, REC):
            measured = function(ds.sel(task=task)).isel(estimator=0, train_seed=0, seed=0)
            np.testing.assert_allclose(measured, PAPER[name][task], atol=1e-12)
    measured = cka_divergence(ds).isel(estimator=1, train_seed=0, seed=0)
    np.testing.assert_allclose(measured.sel(task=REC), C[REC], atol=1e-12)


# --- not testable here ----------------------------------------------------------------------------


def first_layers(ds: xr.Dataset, last: int) -> xr.Dataset:
    ds = ds.sel(layer=slice(0, last), ref_layer=slice(0, last))
    return ds.assign_coords(depth=("layer", np.arange(last + 1) / last))


def untestable(ds: xr.Dataset, id: str) -> str:
    out = check_claims([BY_ID[id]], ds)
    assert set(out.verdict.values.ravel()) == {"not testable here"}
    validate(out)
    return out.reason.item()


@pytest.mark.parametrize("id", BY_ID)
def test_a_network_of_another_length(id):
    ds = synthetic([as_the_paper()])
    reason = untestable(first_layers(ds, 3), id)
    assert reason == ("the paper's network has layers 0–12, these results have 4 layers, 0–3")
    deeper = ds.assign_coords(depth=("layer", LAYERS / 24))  # the first half of 24 blocks
    assert untestable(deeper, id) == "this network has more layers than the paper's"


@pytest.mark.parametrize("id", BY_ID)
def test_a_missing_run_is_no_number(id):
    """A combination nobody ran is NaN throughout; one layer missing is as bad."""
    ds = synthetic([as_the_paper()] * 2)
    task = BY_ID[id].needs["task"][-1]
    for where in (
        dict(task=task),
        dict(task=task, layer=4),
        dict(task=task, layer=4, train_seed=0),
    ):
        part = ds.copy(deep=True)
        for name in ("stir_ft_ft", "stir_pt_ft", "stir_ft_pt", "cka_ft_pt"):
            part[name].loc[where] = np.nan
        assert "a run is missing" in untestable(part, id)


def test_diagonals_are_as_good_as_matrices():
    ds = synthetic([as_the_paper()] * SEEDS)
    names = [name for name in ds if {"layer", "ref_layer"} <= set(ds[name].dims)]
    diagonals = {
        f"{name}_diagonal": ds[name].sel(ref_layer=ds["layer"]).drop_vars("ref_layer")
        for name in names
    }
    expected = check_claims(CLAIMS_4_1, ds)
    found = check_claims(CLAIMS_4_1, ds.drop_vars(names).assign(diagonals))
    xr.testing.assert_allclose(found.value, expected.value)


# --- what is run ----------------------------------------------------------------------------------


def test_the_paper_scale_is_the_papers():
    section = SECTIONS["finetuning_task"].from_parameters(load_scale("paper"))
    assert (section.model, section.n, section.iterations) == ("vit_base_patch32_224", 500, 50)
    usual = TrainingRun(model=section.model, dataset="cifar10")  # whose defaults are the paper's
    run = section.finetuning_run("cifar10", "classification")
    assert run == TrainingRun(
        model=usual.model, dataset=usual.dataset, img_size=224, weights="timm"
    )


# --- an untrained network beside it --------------------------------------------------------------


def test_an_untrained_network_sees_the_inversions_of_the_comparison(tmp_path, monkeypatch):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    section = SECTIONS["finetuning_task"].from_parameters(
        load_scale("smoke") | {"finetuning_seeds": [0, 3], "tasks": [CLS]}
    )
    ds = section.dataset()
    assert ds.attrs["kind"] == "comparison"
    dims = ("dataset", "estimator", "seed", "layer")  # no task, no training
    assert ds["stir_untrained_pt"].dims == ds["stir_control_untrained"].dims == dims
    kept = sorted(section.inversions.glob("*.safetensors"))
    pretrained = pretrained_model(section)
    again = compare_untrained(section, pretrained, section.datasets[0])
    assert sorted(section.inversions.glob("*.safetensors")) == kept  # nothing was inverted for it
    one = load_model(section.model, img_size=pretrained.img_size, seed=4)  # trained are 0 and 3
    usual = dict(n=section.n, seeds=section.seeds, iterations=section.iterations, examples=0)
    pool = load_images(section.datasets[0], "test")
    direct = compare(pretrained, one, pool, optimizer=section.recipe, inverted="pt", cache=False,
                     subspace_k=section.subspace_k, **usual)  # fmt: skip
    for found in (again, ds.isel(dataset=0)):
        np.testing.assert_allclose(
            found["stir_untrained_pt"], diagonal(direct, "stir_ft_pt"), atol=1e-6
        )
    ((_, row),) = section.rows({"this run": ds}, estimator="debiased")
    for one, given in ((row, 3), (row.drop_vars("stir_untrained_pt"), 2)):  # of older results
        panels = section.work.directions(one)
        assert [values.sizes["given"] for values in panels.values()] == [given, 2]
        assert len(of_untrained(one)) == given - 2
    stir, left = section.work.directions(row).values()
    np.testing.assert_array_equal(
        stir.sel(given="STIR(pretrained | fine-tuned)"), diagonal(row, "stir_pt_ft").sel(task=CLS)
    )
    np.testing.assert_array_equal(
        left.sel(given="STIR(pretrained | fine-tuned)"), row["inversion_loss_ft"].sel(task=CLS)
    )


# --- what the page says ---------------------------------------------------------------------------


def test_the_numbers_in_the_findings_are_those_of_the_results():
    cells = json.loads(Path("notebooks/finetuning_task.ipynb").read_text(encoding="utf-8"))["cells"]
    text = " ".join(" ".join("".join(cell["source"]).split()) for cell in cells)
    ds = open_results(results_root("cifar") / "finetuning_task.nc").isel(dataset=0)
    rec = ds.sel(task=REC)
    rises = {
        (estimator, measure.__name__): float(
            last_minus_first(measure(rec).sel(estimator=estimator), layers=[3, 5]).mean()
        )
        for estimator in ("debiased", "biased")
        for measure in (learning, forgetting)
    }
    said = [f"{value:.2f}" for value in rises.values()]
    assert f"it rises by {said[0]} there and forgetting by {said[1]}. Biased, by {said[2]}" in text
    assert f"Biased, by {said[2]} and {said[3]}, and the paper's contrast holds" in text
    assert f"accuracy of {float(ds.test_accuracy.sel(task=CLS).mean()):.2f}," in text
    left = {"pretrained": ds.inversion_loss_pt}
    left |= {task: ds.inversion_loss_ft.sel(task=task) for task in (CLS, REC)}
    ends = {}
    for name, one in left.items():
        late = one.sel(ref_layer=slice(10, 12))
        late = late.mean([dim for dim in late.dims if dim != "ref_layer"])
        ends[name] = [f"{float(x):.2f}" for x in (late.min(), late.max())]
    assert " to ".join(ends["pretrained"]) + " of the distance is left" in text
    for task in (CLS, REC):
        assert " to ".join(ends[task]) + f" ({task})" in text
    assert f"{ds.sizes['seed'] * ds.sizes['left_out']} images" in text
    crossed = {}
    for task in (CLS, REC):
        curve = forgetting(ds.sel(task=task, estimator="debiased")).mean("seed")
        crossed[task] = (curve > 0.1).argmax("layer")
    assert set((crossed[CLS] - crossed[REC]).values.tolist()) == {3, 4}
