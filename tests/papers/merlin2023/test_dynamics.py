"""Claims of section 4.4 about one training: each can hold, can fail and can be untestable."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

from invlib.metrics.invariance import forgetting
from invlib.results.netcdf import open_results
from papers import explorers, lessons
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import check_claims
from papers.claims.correlation import correlation_up_to
from papers.merlin2023.dynamics import Dynamics
from papers.merlin2023.figures import (
    accuracy_by_severity,
    correlation_curves,
    epoch_curves,
    scan_overview,
    spread_and_accuracy,
)
from papers.merlin2023.robustness_scan import (
    correlation_scan,
    forgetting_spread,
    mean_corrupted_accuracy,
)
from papers.parameters import load_scale
from papers.sections import SECTIONS
from tests.synthetic import LAYERS, UNTESTABLE, comparison, diagonals, everywhere, reasons, verdicts

mpl.use("agg")

DYNAMICS = CLAIMS["dynamics"]
EPOCHS = np.arange(41)
TRAINED = EPOCHS > 0  # nothing has changed at epoch 0
HALF, END = 20, 40

# Series over the epochs. Those of the paper peak early and settle; the jitter is what makes
# neighbouring epochs more than one point of a slow curve.
PEAK = TRAINED * (0.3 + 0.2 * np.exp(-(((EPOCHS - 6) / 6) ** 2)))
JITTERY = PEAK + TRAINED * 0.03 * (-1.0) ** EPOCHS
RISE = EPOCHS / END
WOBBLE = 0.05 * np.sin(1.3 * EPOCHS)
CLEAN = np.where(TRAINED, 0.97 - 0.07 * np.exp(-EPOCHS / 8), 0.1)

# What is in proportion to a series, layer by layer. The spread is that of layers 2-12.
PROFILE = np.where(LAYERS < 2, 1.0, 0.5 + LAYERS / 24)
EARLY_FORGETS = np.where(LAYERS < 2, 1.0, 0.0)
LATE_FORGETS = np.where(LAYERS < 2, -1.0, 1.0)  # the mean of layers 0-3 and the spread stay
LATE = LAYERS > 6


def over_layers(late: np.ndarray, early: np.ndarray) -> np.ndarray:
    """Two series as an array (epoch, layer): one of the late layers, one of the early."""
    return np.where(LATE, late[:, None], early[:, None])


def accuracies(peak: np.ndarray, clean: np.ndarray, mild: np.ndarray | float) -> np.ndarray:
    """Accuracy (epoch, severity): `mild` is added at severities 1 and 2, which no claim is about
    but for their part in the mean."""
    severities = [clean, 0.5 + 0.3 * peak + mild, 0.45 + 0.3 * peak + mild]
    severities += [base + 0.6 * peak for base in (0.35, 0.25, 0.15)]
    return np.stack(severities, axis=1)


DEFAULT = dict(
    spread=JITTERY,  # of forgetting
    peak=JITTERY,  # of accuracy on corrupted images
    more_forgetting=np.zeros((41, 13)),
    learning=over_layers(PEAK, TRAINED * (0.2 + 0.1 * RISE)),
    divergence=over_layers(TRAINED * (0.2 + 0.3 * np.exp(-(((EPOCHS - 3) / 3) ** 2))), 0.05 * RISE),
    lost_subspace=TRAINED * (0.1 + 0.1 * RISE),
    clean=CLEAN,
    mild=0.4 * WOBBLE,
    severest=0.0,  # added at severity 5, and taken from severity 1
)


def results(**changes: np.ndarray | float) -> xr.Dataset:
    """A trajectory as section 4.4 and Figures 5 and 11-14 describe it, in part changed."""
    made = DEFAULT | changes
    grid = {"epoch": EPOCHS, "layer": LAYERS}

    def by_epoch(values: np.ndarray) -> xr.DataArray:
        return xr.DataArray(np.broadcast_to(values, (41, 13)), grid, list(grid))

    accuracy = accuracies(made["peak"], made["clean"], made["mild"])
    accuracy[:, 5] += made["severest"]
    accuracy[:, 1] -= made["severest"]
    subspace = by_epoch(1 - made["lost_subspace"][:, None] * PROFILE)
    curves = diagonals(
        learning=by_epoch(made["learning"]),
        forgetting=by_epoch(made["spread"][:, None] * PROFILE + made["more_forgetting"]),
        divergence=by_epoch(made["divergence"]),
        subspace_ft_pt_diagonal=everywhere(subspace).isel(estimator=0, drop=True),
        corrupted_accuracy=xr.DataArray(accuracy, {"epoch": EPOCHS, "severity": range(6)}),
    )
    return comparison(curves, dataset="cifar10")


def mean_accuracy() -> np.ndarray:
    """That on corrupted images, as the paper's results have it."""
    return accuracies(DEFAULT["peak"], CLEAN, DEFAULT["mild"])[:, 1:].mean(axis=1)


# For every claim one thing that would refute it, and the other claims that fall with it.
REFUTED = {
    "early-peak-learning": (
        dict(learning=over_layers(0.4 * RISE, TRAINED * (0.2 + 0.1 * RISE))), set(),
    ),
    "early-peak-forgetting": (
        dict(more_forgetting=0.3 * RISE[:, None] * LATE_FORGETS), {"peaks-coincide"},
    ),
    "early-peak-early-layers-forgetting": (
        dict(more_forgetting=0.5 * RISE[:, None] * EARLY_FORGETS), set(),
    ),
    "no-peak-early-layers-learning": (
        dict(learning=over_layers(PEAK, PEAK)), set(),
    ),
    "early-peak-cka": (
        dict(divergence=over_layers(0.4 * RISE, 0.05 * RISE)), set(),
    ),
    "clean-accuracy-rises": (
        dict(clean=np.where(TRAINED, 0.9, 0.1)), set(),
    ),
    "clean-accuracy-has-no-early-peak": (
        dict(clean=CLEAN - 0.04 * (EPOCHS == END)), set(),
    ),
    "severe-corruptions-peak-early": (
        dict(severest=0.2 * RISE), set(),
    ),
    "peaks-coincide": (
        dict(more_forgetting=0.3 * RISE[:, None] * LATE_FORGETS), {"early-peak-forgetting"},
    ),
    "levels-off": (
        dict(mild=0.5 * np.maximum(EPOCHS - 30, 0) / 10),
        {"peaks-coincide", "spread-correlates-with-robustness", "spread-without-epoch-0",
         "spread-above-cka-divergence", "spread-survives-bonferroni",
         "spread-survives-autocorrelation"},
    ),
    # Late in training accuracy goes up again, and forgetting does not.
    "spread-correlates-with-robustness": (
        dict(mild=0.29 * np.maximum(EPOCHS - HALF, 0) / HALF),
        {"spread-without-epoch-0", "spread-above-cka-divergence", "peaks-coincide"},
    ),
    # Most of it is the step from epoch 0.
    "spread-without-epoch-0": (
        dict(mild=WOBBLE + TRAINED * (0.5 - 0.8 * JITTERY)), set(),
    ),
    # Too few epochs for 352 hypotheses.
    "spread-survives-bonferroni": (
        dict(every=8, mild=0.05 * (-1.0) ** (EPOCHS // 8)), {"spread-survives-autocorrelation"},
    ),
    # Slow curves: many epochs, few independent ones.
    "spread-survives-autocorrelation": (
        dict(spread=PEAK, peak=PEAK, mild=0.2 * np.sin(EPOCHS / 5)), {"levels-off"},
    ),
    "spread-above-cka-divergence": (
        dict(divergence=mean_accuracy()[:, None] * PROFILE), set(),
    ),
    "spread-above-subspace-similarity": (
        dict(lost_subspace=mean_accuracy()), set(),
    ),
    "spread-strong-in-early-epochs": (
        dict(mild=np.where(EPOCHS <= HALF, 4.4 * WOBBLE, 0)),
        {"spread-early-epochs", "spread-without-epoch-0"},
    ),
    "spread-early-epochs": (
        dict(mild=np.where(EPOCHS <= HALF, 2 * WOBBLE, 0)), set(),
    ),
}  # fmt: skip
REFUTED = {
    f"A-4.4-{id}": (changes, {f"A-4.4-{other}" for other in others})
    for id, (changes, others) in REFUTED.items()
}


def refuting(id: str) -> xr.Dataset:
    changes = dict(REFUTED[id][0])
    every = changes.pop("every", 1)
    return results(**changes).isel(epoch=slice(None, None, every))


def test_every_claim_has_a_counterexample():
    assert set(REFUTED) == {claim.id for claim in DYNAMICS}


def test_claims_hold_where_the_results_are_the_papers():
    assert verdicts(DYNAMICS, results()) == dict.fromkeys(REFUTED, "reproduced")


@pytest.mark.parametrize("id", REFUTED)
def test_a_claim_fails_where_they_contradict_it_and_its_neighbours_hold(id):
    found = verdicts(DYNAMICS, refuting(id))
    refuted = {name for name, verdict in found.items() if verdict == "not reproduced"}
    assert refuted == {id, *REFUTED[id][1]}


def test_a_correlation_the_other_way_round_survives_no_correction():
    """Its p-value is as small; what it says is the opposite."""
    upside_down = 0.6 - 0.6 * JITTERY
    found = verdicts(DYNAMICS, results(peak=upside_down))
    for name in ("survives-bonferroni", "survives-autocorrelation", "correlates-with-robustness"):
        assert found[f"A-4.4-spread-{name}"] == "not reproduced", name


def test_trainings_that_disagree_are_undecided():
    yes, no = results(), refuting("A-4.4-early-peak-cka")
    parts = [yes.isel(train_seed=[0]), no.isel(train_seed=[1])]
    both = xr.concat(parts, "train_seed", data_vars="minimal")
    mixed = {id for id, verdict in verdicts(DYNAMICS, both).items() if verdict == "undecided"}
    # the second holds in one of them by far more than in the other
    assert mixed == {"A-4.4-early-peak-cka", "A-4.4-spread-above-cka-divergence"}


def test_corruptions_apart_are_averaged():
    ds = results()
    unlike = xr.DataArray([-0.01, 0.01], {"corruption": ["fog", "snow"]})
    ds["corrupted_accuracy"] = ds["corrupted_accuracy"] + unlike
    assert verdicts(DYNAMICS, ds) == dict.fromkeys(REFUTED, "reproduced")


# --- not testable here ----------------------------------------------------------------------------


def test_no_learning_where_only_the_pretrained_model_was_inverted():
    ds = only_pretrained_inverted(results())
    why = {id: reason for id, reason in reasons(DYNAMICS, ds).items() if reason}
    of_learning = {"A-4.4-early-peak-learning", "A-4.4-no-peak-early-layers-learning"}
    assert why == dict.fromkeys(of_learning, "these results have no stir_ft_ft")


def test_a_training_that_is_too_short():
    had = {1: "0 epochs", 2: "1 epoch", 3: "2 epochs", 4: "3 epochs"}  # with epoch 0, and after it
    for count, words in had.items():
        why = set(reasons(DYNAMICS, results().isel(epoch=slice(0, count))).values())
        assert why == {f"these results have {words} of training, the claim needs 4"}
    why = set(reasons(DYNAMICS, results().isel(epoch=-1)).values())
    assert why == {"these results have 0 epochs of training, the claim needs 4"}
    assert UNTESTABLE not in verdicts(DYNAMICS, results().isel(epoch=slice(0, 5))).values()


def test_severities_that_were_not_tested():
    ds = results().sel(severity=[0, 1, 3, 5])
    for id, reason in reasons(DYNAMICS, ds).items():
        if "spread" in id:
            assert reason == "these results have no severity 2, 4", id
        elif "severe" in id:
            assert reason == "these results have no severity 4", id
        else:
            assert reason == "", id


def test_another_networks_layers():
    ds = results().sel(layer=slice(0, 6)).assign_coords(depth=("layer", LAYERS[:7] / 6))
    assert set(reasons(DYNAMICS, ds).values()) == {
        "the paper's network has layers 0–12, these results have 7 layers, 0–6"
    }


@pytest.mark.parametrize("where", [dict(layer=11), dict(epoch=6)])
def test_what_was_not_compared_is_no_number(where):
    """A layer that is missing, or the epoch of the peak; correlations do without an epoch."""
    ds = results()
    for name in ds:
        if str(name).endswith("_diagonal"):
            ds[name].loc[where] = np.nan
    why = reasons(DYNAMICS, ds)
    for id, verdict in verdicts(DYNAMICS, ds).items():
        of_series = "spread" in id or "levels" in id
        needs_it = "layer" in where if of_series else "peak" in id and "no-early" not in id
        needs_it &= "severe" not in id
        assert (verdict == UNTESTABLE) == needs_it, id
        assert ("a run is missing" in why[id]) == needs_it, id


def test_constant_series_correlate_with_nothing():
    why = reasons(DYNAMICS, results(spread=np.zeros(41)))
    assert "a curve is constant" in why["A-4.4-spread-correlates-with-robustness"]


# --- several trainings ----------------------------------------------------------------------------


def tiny(name: str, **more: object) -> Dynamics:
    few = {"seeds": [0], "n": 6, "finetuning_seeds": [0, 1], "trainings": ["sgd:0.05"]}
    return SECTIONS[name].from_parameters(load_scale("smoke") | few | more)


def test_every_training_is_repeated_from_the_same_start():
    along = tiny("dynamics", datasets=["digits", "shapes"])
    assert list(along.runs()) == [
        f"{name}, seed {seed}" for name in ("digits", "shapes") for seed in (0, 1)
    ]
    assert [run.seed for run in along.runs().values()] == [0, 1, 0, 1]
    assert {run.parent for run in along.runs().values()} == {along.pretraining_run()}
    across = tiny("robustness", trainings=["sgd:0.05", "adam:0.01"])
    assert list(across.runs())[1:3] == ["sgd:0.05, seed 1", "adam:0.01, seed 0"]
    assert across.repeats()["adam:0.01"][1].optimizer == "adam"
    assert list(tiny("dynamics", finetuning_seeds=[1]).runs()) == ["digits"]


def test_results_of_several_trainings_are_judged_drawn_scanned_and_asked_about(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    section = tiny("dynamics", finetuning_epochs=3, every=2)
    ds = section.dataset()
    xr.testing.assert_identical(ds, open_results(section.output))
    grid = {"dataset": 1, "train_seed": 2, "epoch": 3}
    assert dict(ds["test_accuracy"].sizes) == grid
    assert "train_seed" not in ds["stir_pt_pt_diagonal"].dims  # one start
    values = check_claims(DYNAMICS, ds.isel(dataset=0))["value"]
    assert values.sizes["train_seed"] == 2

    shown = {"this run": ds}
    ((_, row),) = section.rows(shown, estimator="debiased")
    assert row["corrupted_accuracy"].sizes["seed"] == 2
    epoch_curves({"this run": {"forgetting": forgetting(row)}})
    accuracy_by_severity({"this run": row["corrupted_accuracy"]})
    scan = correlation_scan(row)
    scan_overview({"this run": scan})
    mean = ds.sel(estimator="debiased").isel(dataset=0).mean(("seed", "train_seed"))
    xr.testing.assert_allclose(scan["correlation"], correlation_scan(mean)["correlation"])
    each = correlation_up_to(forgetting_spread(row, seeds="each"), mean_corrupted_accuracy(row))
    assert each["correlation"].sizes["seed"] == 2
    correlation_curves({"this run": {"from epoch 0": each["correlation"]}})
    read = explorers.p_value(shown).data
    assert "Find your own p-value" in read
    for name in ("dynamics", "robustness"):
        assert "data-right='true'" in lessons.quiz(name, shown).data

    across = tiny("robustness", trainings_epochs=1).dataset()
    assert across["corrupted_accuracy"].dims[:2] == ("optimizer", "train_seed")
    one = across.sel(estimator="biased")
    spread_and_accuracy(forgetting_spread(one), mean_corrupted_accuracy(one, seeds="mean"))


def only_pretrained_inverted(ds: xr.Dataset) -> xr.Dataset:
    """What is there where only the pretrained model was inverted."""
    return ds.drop_vars(["stir_ft_ft_diagonal", "stir_pt_ft_diagonal"])
