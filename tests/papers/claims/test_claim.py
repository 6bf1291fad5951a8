"""The claims ledger: every claim can hold and can fail, and a verdict is nothing but its number."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import invlib.paths
from invlib.metrics.invariance import cka_divergence, forgetting, learning
from invlib.results.netcdf import open_results, save_results
from invlib.results.provenance import provenance
from invlib.results.validation import validate
from papers.__main__ import main
from papers.across.work.claims_ledger import CLAIMS
from papers.claims import shapes
from papers.claims.claim import (
    Claim,
    check_claims,
    claims_html,
    claims_table,
    claims_text,
    reported,
)

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
        CLS: np.interp(LAYERS, [0, 5, 12], [0.01, 0.04, 0.45]),
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
    return xr.Dataset(
        variables,
        {
            "task": [CLS, REC], "estimator": ["biased", "debiased"], "seed": range(seeds),
            "layer": LAYERS, "ref_layer": LAYERS,
            "layer_name": ("layer", names), "depth": ("layer", LAYERS / 12),
        },
        attrs=ATTRS,
    )  # fmt: skip


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
ZIGZAG = np.where(LAYERS % 2, 0.1, 0.3)
L, F, C = PAPER["learning"], PAPER["forgetting"], PAPER["cka"]

# For every claim one thing that would refute it, and nothing subtle: (name, changed curves).
REFUTED = {
    "A-3.1-self-term-is-one": dict(self=with_layers(PAPER["self"], {11: 0.9})),
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
    "A-4.1-reconstruction-learns-more": dict(learning={REC: with_layers(L[REC], {7: 0.01})}),
    "A-4.1-forgetting-rises-earlier": dict(forgetting={REC: F[CLS]}),
    "A-4.1-learning-flat-forgetting-rises": dict(learning={REC: F[REC] + 0.1}),
    "A-4.1-forgetting-flat-learning-falls": dict(forgetting={REC: L[REC]}),
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
def test_seeds_that_disagree_are_mixed(id):
    yes, no = as_the_paper(), as_the_paper(**REFUTED[id])
    out = judge(yes, no, yes, claims=[BY_ID[id]])
    assert set(out.verdict.values.ravel()) == {"mixed"}


@pytest.mark.parametrize("id", BY_ID)
def test_two_models_that_are_the_same_confirm_no_change(id):
    """Nothing moved: only what says that something stays put or is 1 may hold."""
    none = {CLS: np.zeros(13), REC: np.zeros(13)}
    out = judge(as_the_paper(self=np.ones(13), learning=none, forgetting=none, cka=none),
                claims=[BY_ID[id]])  # fmt: skip
    expected = {"not reproduced"}
    if "C.1" in id:  # the correlation of constants does not exist
        expected = {"not testable here"}
        assert "constant" in str(out.reason.values)
    if id in ("A-3.1-self-term-is-one", "A-4.1-cka-early-near-zero"):
        expected = {"reproduced"}
    assert set(out.verdict.values.ravel()) == expected


def test_the_synthetic_results_have_the_curves_they_are_made_of():
    ds = synthetic([as_the_paper()])
    for function, name in [(learning, "learning"), (forgetting, "forgetting")]:
        for task in (CLS, REC):
            measured = function(ds.sel(task=task)).isel(estimator=0, seed=0)
            np.testing.assert_allclose(measured, PAPER[name][task], atol=1e-12)
    measured = cka_divergence(ds).isel(estimator=1, seed=0)
    np.testing.assert_allclose(measured.sel(task=REC), C[REC], atol=1e-12)


def test_estimators_and_self_terms_are_judged_apart():
    ds = synthetic([as_the_paper(self=np.full(13, 0.9), learning={CLS: np.zeros(13)})])
    ds["stir_pt_ft"].loc[dict(estimator="debiased")] -= 0.2
    ds["stir_ft_ft"].loc[dict(estimator="debiased", task=CLS)] -= 0.3
    out = check_claims([BY_ID["A-4.1-both-tasks-learn"]], ds).isel(claim=0, seed=0)
    verdicts = out.verdict.to_series().to_dict()
    assert verdicts == {
        ("biased", "measured"): "not reproduced",  # 0.9 - 0.9
        ("biased", "one"): "reproduced",  # 1 - 0.9
        ("debiased", "measured"): "not reproduced",  # 0.6 - 0.7
        ("debiased", "one"): "reproduced",  # 1 - 0.7
    }
    assert out.value.sel(estimator="debiased", self_term="one").item() == pytest.approx(0.3)


# --- not testable here ----------------------------------------------------------------------------


def untestable(ds: xr.Dataset, id: str) -> str:
    out = check_claims([BY_ID[id]], ds)
    assert set(out.verdict.values.ravel()) == {"not testable here"}
    validate(out)
    return out.reason.item()


def first_layers(ds: xr.Dataset, last: int) -> xr.Dataset:
    ds = ds.sel(layer=slice(0, last), ref_layer=slice(0, last))
    return ds.assign_coords(depth=("layer", np.arange(last + 1) / last))


def test_a_task_that_was_not_run():
    ds = synthetic([as_the_paper()]).sel(task=[CLS])
    reason = untestable(ds, "A-4.1-forgetting-rises-earlier")
    assert reason == "these results have no task reconstruction"
    out = check_claims([BY_ID["A-4.1-u-shape-learning"]], ds)
    assert set(out.verdict.values.ravel()) == {"reproduced"}  # which needs classification only


@pytest.mark.parametrize("id", BY_ID)
def test_a_network_of_another_length(id):
    ds = synthetic([as_the_paper()])
    reason = untestable(first_layers(ds, 3), id)
    assert reason == ("the paper's network has layers 0–12, these results have 4 layers, 0–3")
    deeper = ds.assign_coords(depth=("layer", LAYERS / 24))  # the first half of 24 blocks
    assert untestable(deeper, id) == "this network has more layers than the paper's"


def test_a_variable_that_was_not_computed():
    ds = synthetic([as_the_paper()])
    names = [name for name in ds if str(name).startswith("stir")]
    without = ds.drop_vars(names)
    assert untestable(without, "A-4.1-u-shape-learning") == "these results have no stir_ft_ft"
    out = check_claims([BY_ID["A-4.1-cka-early-near-zero"]], without)
    assert set(out.verdict.values.ravel()) == {"reproduced"}


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


@pytest.mark.parametrize("id", BY_ID)
def test_a_missing_run_is_no_number(id):
    """A combination nobody ran is NaN throughout; one layer missing is as bad."""
    ds = synthetic([as_the_paper()] * 2)
    task = BY_ID[id].needs["task"][-1]
    for where in (dict(task=task), dict(task=task, layer=4), dict(task=task, layer=4, seed=0)):
        part = ds.copy(deep=True)
        for name in ("stir_ft_ft", "stir_pt_ft", "stir_ft_pt", "cka_ft_pt"):
            part[name].loc[where] = np.nan
        assert "a run is missing" in untestable(part, id)


# --- the ledger -----------------------------------------------------------------------------------


def test_a_ledger_is_a_valid_result(tmp_path):
    ds = synthetic([as_the_paper()] * SEEDS).assign_coords(dataset="cifar10")
    out = check_claims(CLAIMS_4_1, ds)
    validate(out)
    assert out.value.dims == ("claim", "estimator", "self_term", "seed")
    assert out.verdict.dims == ("claim", "estimator", "self_term")
    assert {k: v for k, v in out.attrs.items() if k not in ("kind", "claims")} == {
        k: v for k, v in ds.attrs.items() if k != "kind"
    }
    read = open_results(save_results(out, tmp_path / "claims.nc"))
    xr.testing.assert_identical(read.value, out.value)
    assert (read.verdict == out.verdict).all() and read["dataset"].item() == "cifar10"
    assert claims_table(read).equals(claims_table(out))  # it needs nothing but the file


def test_the_papers_value_depends_on_the_data_set():
    ds = synthetic([as_the_paper()])
    claim = BY_ID["A-C.1-correlation-reconstruction"]
    for dataset, expected in [("cifar10", 0.86), ("cifar100", 0.88), ("digits", math.nan)]:
        out = check_claims([claim], ds.assign_coords(dataset=dataset))
        np.testing.assert_equal(out.paper_value.item(), expected)
    np.testing.assert_equal(check_claims([claim], ds).paper_value.item(), math.nan)


def test_all_data_sets_at_once_are_refused():
    ds = synthetic([as_the_paper()])
    both = xr.concat([ds, ds], xr.Variable("dataset", ["cifar10", "cifar100"]))
    with pytest.raises(ValueError, match=r"for each of dataset; .*ds.sel\(dataset="):
        check_claims(CLAIMS_4_1, both)


@pytest.mark.parametrize(
    ("claims", "options", "said"),
    [
        ([], {}, "at least one of each"),
        (CLAIMS_4_1[:1] * 2, {}, "each once"),
        (CLAIMS_4_1, {"self_terms": ()}, "at least one of each"),
        (CLAIMS_4_1, {"self_terms": ["mesured"]}, "did you mean 'measured'"),
    ],
)
def test_what_cannot_be_asked(claims, options, said):
    with pytest.raises(ValueError, match=said):
        check_claims(claims, synthetic([as_the_paper()]), **options)
    with pytest.raises(ValueError, match="no dim 'seed'"):
        check_claims(CLAIMS_4_1, synthetic([as_the_paper()]).isel(seed=0))


def test_one_self_term_alone():
    ds = synthetic([as_the_paper()])
    out = check_claims(CLAIMS_4_1, ds, self_terms=["one"])
    whole = check_claims(CLAIMS_4_1, ds)
    xr.testing.assert_identical(out.value, whole.value.sel(self_term=["one"]))
    assert list(claims_table(out, compact=True)) == ["claim", "biased, self term 1 (as the paper)"]


def test_a_number_without_seeds_counts_for_all_of_them():
    claim = Claim(
        id="A-0-x", paper="A", section="0", figure="", words="Words.", number="a number",
        measure=lambda ds, self_term: xr.DataArray(2.0), threshold=1.0, above=False,
    )  # fmt: skip
    out = judge(*[as_the_paper()] * 2, claims=[claim])
    assert (out.value == 2).all() and set(out.verdict.values.ravel()) == {"not reproduced"}
    with pytest.raises(ValueError, match="threshold=inf"):
        Claim(**{**vars(claim), "threshold": math.inf})


def test_an_infinite_number_is_undefined():
    claim = Claim(
        id="A-0-x", paper="A", section="0", figure="", words="Words.", number="a number",
        measure=lambda ds, self_term: ds.stir_pt_pt.mean(["layer", "ref_layer"]) + math.inf,
        threshold=1.0,
    )  # fmt: skip
    out = judge(as_the_paper(), claims=[claim])
    validate(out)
    assert set(out.verdict.values.ravel()) == {"not testable here"}


def test_tables():
    yes, no = as_the_paper(), as_the_paper(learning={CLS: RISING})
    ds = synthetic([yes, no]).assign_coords(dataset="cifar10")
    out = check_claims(CLAIMS_4_1, ds)
    full, compact = claims_table(out), claims_table(out, compact=True)
    assert list(compact) == ["claim", "debiased", "biased", "biased, self term 1 (as the paper)"]
    assert list(full.index) == list(compact.index) == list(BY_ID)
    assert full.loc["A-C.1-correlation-classification", "paper"] == "0.97"
    assert full.loc["A-4.1-forgetting-rises-earlier", "paper"] == "2"
    row = full.loc["A-4.1-u-shape-learning"]
    values = out.value.sel(claim="A-4.1-u-shape-learning", estimator="biased", self_term="one")
    low, mean, high = (f"{x:.3g}" for x in (values.min(), values.mean(), values.max()))
    assert row["biased, self term 1 (as the paper)"] == f"mixed ({mean}; {low} to {high})"
    assert row["holds when"].endswith("(STIR) > 0") and row["figure"] == "1a"
    assert compact.loc["A-4.1-u-shape-learning", "biased"] == f"mixed ({mean})"
    for id, claim in BY_ID.items():
        assert compact.loc[id, "claim"] == claim.words


def test_tables_say_why_a_claim_is_not_testable():
    out = check_claims(CLAIMS_4_1, first_layers(synthetic([as_the_paper()]), 3))
    compact = claims_table(out, compact=True)
    assert compact["claim"].str.endswith("4 layers, 0–3.)").all()
    assert (compact["biased"] == "not testable here").all()
    assert claims_table(out)["reason"].str.contains("layers 0–12").all()


def test_a_page_shows_whole_statements():
    ds = synthetic([as_the_paper()] * 2).assign_coords(dataset="<cifar10>")
    page = claims_html(check_claims(CLAIMS_4_1, ds))
    for claim in CLAIMS_4_1:
        assert claim.words in page
    assert "<caption>scale smoke, data set &lt;cifar10&gt;, 2 seeds</caption>" in page
    assert page.count("<tr") == len(CLAIMS_4_1) + 1


@pytest.mark.parametrize(("debiased", "cells"), [(0.9, 1), (0.8, 2)])
def test_a_page_says_once_what_no_estimator_changes(debiased, cells):
    claim = Claim(
        id="A-0-high", paper="A", section="0", figure="", words="High.", number="the score",
        measure=lambda ds, self_term: ds.score, threshold=0.5,
    )  # fmt: skip
    scores = (("estimator", "seed"), [[0.9], [debiased]])
    ds = xr.Dataset({"score": scores}, {"estimator": ["biased", "debiased"], "seed": [0]})
    page = claims_html(check_claims([claim], ds))
    assert page.count("reproduced (") == cells and f'<td colspan="{4 - cells}">' in page


def test_text_fits_its_columns():
    text = claims_text(check_claims(CLAIMS_4_1, synthetic([as_the_paper()])))
    assert max(map(len, text.splitlines())) <= 58 + 3 * 26
    for id in BY_ID:
        assert text.count(f"\n{id} ") == 1


# --- the claims as data ---------------------------------------------------------------------------


def test_what_the_paper_reports():
    assert reported("A")["correlation_classification"] == {"cifar10": 0.97, "cifar100": 0.97}
    with pytest.raises(ValueError, match="paper='Z' is not one of"):
        reported("Z")


@pytest.mark.parametrize("claim", CLAIMS_4_1, ids=list(BY_ID))
def test_a_claim_is_well_formed(claim):
    assert claim.id.startswith(f"{claim.paper}-{claim.section}-")
    assert claim.words.endswith(".") and not claim.number.endswith(".")
    assert claim.unit in ("STIR", "CKA", "ratio", "layers", "correlation")
    assert claim.needs["layer"] == tuple(range(13)) and claim.needs["task"]


def test_the_layer_from_which_a_curve_rises():
    def onset(*curve):
        return float(shapes.onset(xr.DataArray(list(curve), {"layer": range(len(curve))})))

    assert onset(0.3, 0.1, 0.2, 0.5) == 1
    assert onset(0.1, 0.2, 0.3, 0.5) == 0
    assert onset(0.5, 0.3, 0.2, 0.1) == 3  # never
    assert onset(0.5, 0.3, 0.101, 0.1, 0.105) == 4  # nor by what is no change
    assert onset(0.2, 0.1, 0.3, 0.1) == 1  # the first of equals


def test_the_table_of_claims_is_read_without_torch():
    code = (
        "import sys, papers.across.claims_ledger as ledger; assert ledger.ClaimsLedger.uses; "
        "assert not {'torch', 'timm', 'xarray', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- python -m invlib claims ----------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(invlib.paths, "project_root", lambda: tmp_path)
    monkeypatch.setattr("papers.__main__.project_root", lambda: tmp_path)
    return tmp_path


def test_the_command_says_what_has_no_results(project, capsys):
    assert main(["claims", "--scale", "cifar"]) == 0
    assert capsys.readouterr().out.startswith(
        "finetuning_task: no results at scale cifar; there is no data/results/cifar/finetuning_task"
    )


@pytest.mark.parametrize("folder", ["results", "runs"])
def test_the_command_prints_a_table_for_each_data_set(project, capsys, folder):
    ds = synthetic([as_the_paper()] * 2)
    both = xr.concat([ds, ds], xr.Variable("dataset", ["cifar10", "digits"]))
    save_results(both, project / "data" / folder / "smoke" / "finetuning_task.nc")
    options = ["--runs"] if folder == "runs" else []
    assert main(["claims", "--scale", "smoke", *options]) == 0
    out = capsys.readouterr().out
    assert f"judged on data/{folder}/smoke/finetuning_task.nc" in out
    for dataset in ("cifar10", "digits"):
        assert f"scale smoke, data set {dataset}, 2 seeds" in out
    assert out.count("A-4.1-u-shape-learning") == 2
    assert json.loads(ds.attrs["parameters"])["scale"] == "smoke"


def test_the_command_refuses_a_scale_that_does_not_exist(capsys):
    assert main(["claims", "--scale", "cifra"]) == 2
    assert "did you mean 'cifar'?" in capsys.readouterr().err
