"""Claims of sections 4.2 and C.1: each can hold, can fail and can be untestable."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from invlib.results.netcdf import open_results
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import check_claims
from papers.merlin2023.pretraining_dataset import PretrainingDataset
from papers.merlin2023.work.pretraining_dataset import by_accuracy, like_with_like
from papers.merlin2023.work.trainings import stacked
from papers.parameters import load_scale
from tests.synthetic import (
    LAYERS,
    UNTESTABLE,
    by_layer,
    comparison,
    curve,
    diagonals,
    reasons,
    verdicts,
)

COMPARED = CLAIMS["pretraining_dataset"]
STARTS = ("imagenet", "cifar100", "none", "none, matched")

# What section 4.2 and Figures 2 and 3 describe of CIFAR-10, one number a layer.
PAPER = {
    "learning": {
        "imagenet": curve([0, 1, 5, 10, 12], [0.28, 0.26, 0.10, 0.30, 0.34]),
        "cifar100": curve([0, 1, 5, 10, 12], [0.30, 0.28, 0.14, 0.44, 0.50]),
        "none": curve([0, 2, 6, 12], [0.50, 0.60, 0.62, 0.80]),
    },
    "forgetting": {
        "imagenet": curve([0, 1, 5, 10, 12], [0.25, 0.24, 0.08, 0.28, 0.33]),
        "cifar100": curve([0, 1, 5, 10, 12], [0.28, 0.27, 0.11, 0.40, 0.48]),
        "none": curve([0, 2, 4, 6, 12], [0.48, 0.50, 0.62, 0.55, 0.70]),
    },
    "divergence": {
        "imagenet": curve([0, 5, 12], [0.01, 0.04, 0.40]),
        "cifar100": curve([0, 5, 12], [0.01, 0.03, 0.15]),
        "none": curve([0, 5, 12], [0.30, 0.50, 0.80]),
    },
}
for _curves in PAPER.values():  # no figure of the paper shows it: as the other one from scratch
    _curves["none, matched"] = _curves["none"]
L, F, C = PAPER.values()


def results(dataset: str = "cifar10", **changes: dict[str, np.ndarray]) -> xr.Dataset:
    """The paper's curves, some of them changed: ``learning={"none": ...}``."""
    curves = {name: by_layer(PAPER[name] | changes.get(name, {}), "pretraining") for name in PAPER}
    ds = comparison(diagonals(**curves), dataset=dataset)
    other = {"cifar10": "cifar100", "cifar100": "cifar10"}[dataset]
    return ds.assign_coords(pretraining=["imagenet", other, *STARTS[2:]])


def with_layers(curve: np.ndarray, values: dict[int, float]) -> np.ndarray:
    return np.array([values.get(layer, value) for layer, value in enumerate(curve)])


def just_above(curves: dict[str, np.ndarray]) -> np.ndarray:
    """Highest in every layer, and not by much."""
    return np.maximum(curves["imagenet"], curves["cifar100"]) + 0.02


ZIGZAG = np.where(LAYERS % 2, 0.7, 0.9)

# For every claim one thing that would refute it, and the other claims that fall with it.
REFUTED = {
    "A-4.2-pretrained-below-scratch-learning": (
        dict(learning={"none": just_above(L)}), {"A-C.1-correlation-from-scratch"},
    ),
    "A-4.2-pretrained-below-scratch-forgetting": (
        dict(forgetting={"none": just_above(F)}), {"A-C.1-correlation-from-scratch"},
    ),
    "A-4.2-matched-imagenet-below-scratch-learning": (
        dict(learning={"none, matched": just_above(L)}), set(),
    ),
    "A-4.2-matched-imagenet-below-scratch-forgetting": (
        dict(forgetting={"none, matched": just_above(F)}), set(),
    ),
    "A-4.2-imagenet-lowest-late-learning": (
        dict(learning={"imagenet": with_layers(L["imagenet"], {12: 0.51})}), set(),
    ),
    "A-4.2-imagenet-lowest-late-forgetting": (
        dict(forgetting={"imagenet": with_layers(F["imagenet"], {9: 0.38})}),
        {"A-C.1-correlation-lower-from-scratch"},
    ),
    "A-4.2-scratch-highest-learning": (
        dict(learning={"none": with_layers(L["none"], {0: 0.27})}), set(),
    ),
    "A-4.2-scratch-highest-forgetting": (
        dict(learning={"none": L["none"] - 0.05}, forgetting={"cifar100": F["cifar100"] + 0.3}),
        {"A-4.2-pretrained-below-scratch-forgetting"},
    ),
    "A-4.2-cka-pretrained-early-near-zero": (
        dict(divergence={"cifar100": with_layers(C["cifar100"], dict.fromkeys(range(4), 0.12))}),
        set(),
    ),
    "A-4.2-cka-scratch-much-higher": (
        dict(divergence={"none": C["imagenet"]}), {"A-4.2-cka-pretrained-late-small"},
    ),
    "A-4.2-cka-imagenet-above-cifar": (
        dict(divergence={"cifar100": C["imagenet"] + 0.01}), {"A-4.2-cka-orders-contrary"},
    ),
    "A-4.2-cka-pretrained-late-small": (
        dict(divergence={"none": with_layers(C["none"], dict.fromkeys(range(10, 13), 0.6))}), set(),
    ),
    "A-4.2-cka-orders-contrary": (
        dict(divergence={"cifar100": C["imagenet"] + 0.02}), {"A-4.2-cka-imagenet-above-cifar"},
    ),
    "A-C.1-correlation-cifar-pretraining": (
        dict(learning={"cifar100": curve([0, 1, 5, 7, 9, 12], [0.3, 0.2, 0.3, 0.5, 0.3, 0.5])}),
        set(),
    ),
    "A-C.1-correlation-from-scratch": (
        dict(learning={"none": ZIGZAG}), set(),
    ),
    "A-C.1-correlation-lower-from-scratch": (
        dict(learning={"none": F["none"]}), set(),
    ),
}  # fmt: skip


def test_every_claim_has_a_counterexample():
    assert set(REFUTED) == {claim.id for claim in COMPARED}


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_claims_hold_where_the_results_are_the_papers(dataset):
    assert verdicts(COMPARED, results(dataset)) == dict.fromkeys(REFUTED, "reproduced")


@pytest.mark.parametrize("id", REFUTED)
def test_a_claim_fails_where_they_contradict_it_and_its_neighbours_hold(id):
    changes, others = REFUTED[id]
    found = verdicts(COMPARED, results(**changes))
    assert {name for name, verdict in found.items() if verdict == "not reproduced"} == {id, *others}


@pytest.mark.parametrize("id", REFUTED)
def test_trainings_that_disagree_are_undecided(id):
    yes, no = results(), results(**REFUTED[id][0])
    parts = [yes.isel(train_seed=[0]), no.isel(train_seed=[1])]
    both = xr.concat(parts, "train_seed", data_vars="minimal")
    assert verdicts(COMPARED, both)[id] == "undecided"


def test_models_that_did_not_change_confirm_nothing_but_what_stays():
    """From any start: only what is said to stay near 0 may hold."""
    none = {start: np.zeros(13) for start in STARTS}
    found = verdicts(COMPARED, results(learning=none, forgetting=none, divergence=none))
    for id, verdict in found.items():
        near_zero = id == "A-4.2-cka-pretrained-early-near-zero"
        expected = UNTESTABLE if "C.1" in id else "reproduced" if near_zero else "not reproduced"
        assert verdict == expected, id  # the correlation of constants does not exist


def test_the_other_cifar_set_depends_on_the_data_set():
    """Results of two data sets have three starts of which one is a hole for each."""
    both = xr.concat(
        [results("cifar10"), results("cifar100")],
        xr.Variable("dataset", ["cifar10", "cifar100"]),
        data_vars="minimal", join="outer", compat="override", coords="minimal",
    )  # fmt: skip
    assert both["pretraining"].size == 5
    for dataset in ("cifar10", "cifar100"):
        found = verdicts(COMPARED, both.sel(dataset=dataset))
        assert set(found.values()) == {"reproduced"}


# --- not testable here ----------------------------------------------------------------------------


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("hole", [False, True])
def test_a_start_that_was_not_run(start, hole):
    """Absent, or NaN because another data set has it: the claims about it say so."""
    ds = results()
    if hole:
        ds = ds.where(ds["pretraining"] != start)
    else:
        ds = ds.sel(pretraining=[other for other in STARTS if other != start])
    why = reasons(COMPARED, ds)
    assert set(why.values()) == {"", f"these results have no pretraining {start}"}
    matched = {
        f"A-4.2-matched-imagenet-below-scratch-{name}" for name in ("learning", "forgetting")
    }
    alone = {
        "imagenet": {"A-C.1-correlation-cifar-pretraining", "A-C.1-correlation-from-scratch"},
        "cifar100": {"A-C.1-correlation-from-scratch", "A-C.1-correlation-lower-from-scratch"},
        "none": {
            "A-4.2-cka-pretrained-early-near-zero", "A-4.2-cka-imagenet-above-cifar",
            "A-4.2-cka-orders-contrary", "A-C.1-correlation-cifar-pretraining", *matched,
        },
        "none, matched": REFUTED.keys() - matched,
    }  # fmt: skip
    alone["cifar100"] |= matched
    assert {id for id, reason in why.items() if not reason} == alone[start]
    verdicts(COMPARED, ds)  # no NaN verdict


def test_a_data_set_that_is_no_cifar():
    why = reasons(COMPARED, results().assign_coords(dataset="digits"))
    assert why["A-4.2-scratch-highest-learning"] == "the paper says this of cifar10, cifar100 only"
    assert why["A-C.1-correlation-from-scratch"] == ""
    assert reasons(COMPARED, results().drop_vars("dataset")) == why


def test_no_learning_where_only_the_pretrained_model_was_inverted():
    ds = results().drop_vars(["stir_ft_ft_diagonal", "stir_pt_ft_diagonal"])
    for id, reason in reasons(COMPARED, ds).items():
        needs_learning = "learning" in id or "C.1" in id or "contrary" in id
        assert reason == ("these results have no stir_ft_ft" if needs_learning else ""), id


def test_another_networks_layers():
    ds = results().sel(layer=slice(0, 6)).assign_coords(depth=("layer", LAYERS[:7] / 6))
    assert set(reasons(COMPARED, ds).values()) == {
        "the paper's network has layers 0–12, these results have 7 layers, 0–6"
    }


def test_a_layer_that_is_missing():
    ds = results()
    ds = ds.where(ds["layer"] != 5)
    for id, reason in reasons(COMPARED, ds).items():
        assert "a run is missing" in reason, id


def test_images_left_out_one_by_one_find_the_same_starts():
    """What the interval is computed from has only the variables of one claim."""
    ds = results()
    images = xr.DataArray([-1e-3, 0.0, 1e-3], dims="left_out")
    names = [str(name) for name in ds if str(name).endswith("_diagonal")]
    left_out = {name.replace("diagonal", "jackknife"): ds[name] + images for name in names}
    out = check_claims(COMPARED, ds.assign(left_out))
    assert (out.verdict == "reproduced").all()
    assert (out.value_low <= out.value_high).all()


# --- Table 1 --------------------------------------------------------------------------------------


def test_the_papers_values_are_of_its_appendix():
    """C.1 gives eight correlations; four of them are of section 4.2's models."""
    by_id = {claim.id: claim for claim in (*COMPARED, *CLAIMS["finetuning_task"])}
    said = {
        (id, dataset): by_id[f"A-C.1-correlation-{id}"].paper_value[dataset]
        for id in ("classification", "reconstruction", "cifar-pretraining", "from-scratch")
        for dataset in ("cifar10", "cifar100")
    }
    assert list(said.values()) == [0.97, 0.97, 0.86, 0.88, 0.98, 0.99, 0.83, 0.84]
    texts = json.loads(check_claims(COMPARED, results()).attrs["claims"])
    assert {text["section"] for text in texts} == {"4.2", "C.1"}


# --- several trainings ----------------------------------------------------------------------------


def twice(**more: object) -> PretrainingDataset:
    small = {"seeds": [0], "train_seeds": [0, 1]}
    return PretrainingDataset.from_parameters(load_scale("smoke") | small | more)


def test_every_training_is_repeated_and_its_start_with_it():
    runs = twice(pretrainings=["shapes", "street_digits", "none"]).runs()
    assert list(runs) == [
        f"digits from {start}, seed {seed}"
        for start in ("shapes", "street_digits", "none")
        for seed in (0, 1)
    ]
    assert {run.seed for name, run in runs.items() if name.endswith("1")} == {1}
    for start in ("shapes", "street_digits"):
        parents = [runs[f"digits from {start}, seed {seed}"].parent for seed in (0, 1)]
        assert [parent.seed for parent in parents] == [0, 1]
        assert {parent.dataset for parent in parents} == {start}
    assert runs["digits from shapes, seed 0"].parent == twice().pretraining_run()
    photos = twice(weights="timm", pretrainings=["imagenet", "none"]).runs()
    assert {photos[f"digits from imagenet, seed {seed}"].weights for seed in (0, 1)} == {"timm"}
    matched = twice(weights="timm", pretrainings=["none, matched"]).runs()
    for seed in (0, 1):  # the fine-tuning, but for its start
        tuned = photos[f"digits from imagenet, seed {seed}"]
        same = tuned.model_copy(update={"weights": None})
        assert matched[f"digits from none, matched, seed {seed}"] == same
    assert list(twice(train_seeds=[3]).runs()) == ["digits from shapes", "digits from none"]


def test_results_of_several_trainings_are_judged_and_drawn_by_training(tmp_path, monkeypatch):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    section = twice()
    ds = section.dataset()
    xr.testing.assert_identical(ds, open_results(section.output))
    grid = {"dataset": 1, "pretraining": 2, "train_seed": 2}
    assert dict(ds["test_accuracy"].sizes) == grid
    start = ds["stir_pt_pt_diagonal"].isel(dataset=0)
    for name in ("shapes", "none"):  # random weights, and a pretraining, of its own each
        first, second = start.sel(pretraining=name).transpose("train_seed", ...)
        assert abs(first - second).max() > 0
    untrained = ds["stir_untrained_pt"].isel(dataset=0)  # a model of no training, on every start
    assert untrained.dims == start.dims and untrained.notnull().all()
    assert abs(untrained - ds["stir_ft_pt_diagonal"].isel(dataset=0)).max() > 1e-3
    assert abs(untrained - start).max() > 1e-3
    before = ds["pretraining_accuracy"].isel(dataset=0)
    assert before.sel(pretraining="shapes").notnull().all()
    assert before.sel(pretraining="none").isnull().all()
    ((_, row),) = section.rows({"this run": ds}, estimator="debiased")
    assert row.sizes["seed"] == 2 and "train_seed" not in row.dims
    judged = check_claims(COMPARED, ds.isel(dataset=0))
    known = judged.sel(claim="A-C.1-correlation-from-scratch")
    assert known["value"].sizes["train_seed"] == 2


def test_a_training_from_scratch_stands_among_fine_tunings_by_accuracy():
    def curves(accuracy: float, lost: float) -> xr.Dataset:
        made = by_layer({"none": np.full(13, lost)}, "pretraining").isel(pretraining=0, drop=True)
        ds = xr.Dataset(diagonals(learning=made / 2, forgetting=made, divergence=made))
        spread = xr.DataArray([-0.01, 0, 0.01], {"train_seed": range(3)})
        return ds.assign(test_accuracy=accuracy + spread)

    starts = {"none": curves(0.5, 0.4), "none, matched": curves(0.3, 0.6)}
    scratch = stacked({(start,): ds for start, ds in starts.items()}, ["pretraining"])
    scratch.attrs["parameters"] = json.dumps({"scratch_n": 3000, "finetuning_n": 1000})
    parts = {
        (n, b): curves(0.4 + n / 5000, n / 5000) for n in (100, 1000) for b in ("steps", "all")
    }
    sizes = stacked(parts, ["n_train", "budget"])
    table = by_accuracy(scratch, sizes)
    assert table.index.tolist() == [
        "from scratch, 1,000 images, as fine-tuned",
        "pretrained, 100 images, equal steps", "pretrained, 100 images, equal all",
        "from scratch, 3,000 images", "pretrained, 1,000 images",
    ]  # fmt: skip
    assert table["forgetting, layers 1–6"].tolist() == [
        "0.60 ± 0.00", "0.02 ± 0.00", "0.02 ± 0.00", "0.40 ± 0.00", "0.20 ± 0.00"
    ]  # fmt: skip
    assert table["test accuracy"].iloc[-1] == "0.60 ± 0.02"  # t, two degrees of freedom


def test_the_start_from_photographs_stands_between_two_from_random_weights():
    ds = results().expand_dims(dataset=["cifar10"])
    ends = {"imagenet": 0.8, "cifar100": 0.6, "none": 0.5, "none, matched": 0.3}
    accuracy = xr.DataArray(list(ends.values()), {"pretraining": list(ends)})
    ds["test_accuracy"] = accuracy + 0 * ds["train_seed"]
    ds.attrs["parameters"] = json.dumps({"scratch_n": 3000, "finetuning_n": 1000})
    table = like_with_like(ds)
    assert table.index.tolist() == [
        ("cifar10", "random, 1,000 images, as fine-tuned"), ("cifar10", "ImageNet, 1,000 images"),
        ("cifar10", "random, 3,000 images"),
    ]  # fmt: skip
    assert table["test accuracy"].tolist() == ["0.30 ± 0.00", "0.80 ± 0.00", "0.50 ± 0.00"]
    early = [
        f"{F[start][1:7].mean():.2f} ± 0.00" for start in ("none, matched", "imagenet", "none")
    ]
    assert table["forgetting, layers 1–6"].tolist() == early
