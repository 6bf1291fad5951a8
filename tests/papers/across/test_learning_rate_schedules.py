"""Learning-rate schedules: the same sum of rates, claims that can hold and fail, sentences."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from invlib import forgetting, learning
from papers.across.learning_rate_schedules import LearningRateSchedules
from papers.across.work.claims_ledger import CLAIMS
from papers.across.work.learning_rate_schedules import at_the_end, findings, rates
from papers.claims.settings import settings
from papers.parameters import ParameterError, load_scale
from papers.sections import SECTIONS
from tests.synthetic import LAYERS, comparison, diagonals, verdicts

EPOCHS = np.arange(9)
RISE = (EPOCHS > 0) * 0.3
PEAK = RISE + 0.1 * (EPOCHS == 1)
ALL = ["constant", "cosine", "linear", "one-cycle", "step", "constant at equal peak"]
AS_EXPECTED = dict.fromkeys(ALL, PEAK) | {
    "constant": RISE, "one-cycle": RISE, "constant at equal peak": 1.5 * RISE,
}  # fmt: skip


def results(**changes: np.ndarray) -> xr.Dataset:
    """Forgetting of every layer by epoch, as expected but for `changes`, in three trainings."""
    series = AS_EXPECTED | {name.replace("_", " "): v for name, v in changes.items()}
    grid = {"schedule": ALL, "train_seed": range(3), "epoch": EPOCHS, "layer": LAYERS}
    values = np.stack([series[name] for name in ALL])[:, None, :, None]
    lost = xr.DataArray(np.broadcast_to(values, [len(v) for v in grid.values()]), grid, list(grid))
    accuracy = xr.full_like(lost.isel(layer=0, drop=True), 0.8)
    curves = diagonals(learning=lost, forgetting=lost, divergence=lost, test_accuracy=accuracy)
    return comparison(curves, dataset="cifar100")


def judged(**changes: np.ndarray) -> dict[str, str]:
    ((_, part),) = settings(results(**changes))
    return {k[4:]: v for k, v in verdicts(CLAIMS["learning_rate_schedules"], part).items()}


def test_all_claims_hold_on_what_was_expected():
    assert set(judged().values()) == {"reproduced"} and len(judged()) == 6


REFUTED = {
    "cosine-peaks-early": (
        dict(cosine=RISE), {"falling-rates-peak-higher", "one-cycle-peaks-less"},
    ),
    "constant-has-no-peak": (dict(constant=PEAK), {"falling-rates-peak-higher"}),
    "falling-rates-peak-higher": (dict(step=RISE), set()),
    "one-cycle-peaks-less": ({"one-cycle": PEAK}, set()),
    "same-sum-same-end": (dict(linear=PEAK + 0.2 * (EPOCHS > 1)), {"falling-rates-peak-higher"}),
    "higher-rate-forgets-more": (dict(constant_at_equal_peak=RISE), set()),
}  # fmt: skip


@pytest.mark.parametrize("id", REFUTED)
def test_each_claim_can_fail(id):
    changes, others = REFUTED[id]
    fallen = {claim for claim, verdict in judged(**changes).items() if verdict != "reproduced"}
    assert fallen >= {id} and fallen <= {id} | others


@pytest.mark.parametrize(
    ("scale", "override", "images"),
    [("cifar", None, 50_000), ("cifar", "cpu_questions", 2_000), ("cifar", "cpu", 16_000),
     ("paper", None, 50_000)],
)  # fmt: skip
def test_the_rates_of_equal_sum_have_the_same_sum(scale, override, images):
    file = override and f"notebooks/scales/overrides/{override}.yaml"
    section = LearningRateSchedules.from_parameters(load_scale(scale, file))
    by_label = {label: run for (label, _), run in section.trainings().items()}
    sums = {label: sum(rates(run, images)) for label, run in by_label.items()}
    equal = [value for label, value in sums.items() if "at equal peak" not in label]
    assert len(equal) == 5 and max(equal) / min(equal) < 1.01
    highest = {max(rates(by_label[f"{k} at equal peak"], images)) for k in ("constant", "step")}
    assert highest == {by_label["cosine"].lr}


def test_learning_on_fewer_draws_is_that_on_all_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    found = {}
    for draws in (None, 1):
        given = load_scale("smoke") | {"seeds": [0, 1], "learning_draws": draws, "cache": False}
        section = LearningRateSchedules.from_parameters(given | {"scale": f"draws-{draws or 2}"})
        found[draws] = section.dataset().load()
        piece = next(iter(section.pieces().values()))
        assert piece.image_steps == (draws or 2) * section.n * section.iterations
    both, one = (learning(ds) for ds in found.values())
    assert both.notnull().all() and one.sel(seed=1).isnull().all()
    xr.testing.assert_allclose(one.sel(seed=0), both.sel(seed=0), atol=1e-5)
    xr.testing.assert_allclose(*(forgetting(ds) for ds in found.values()), atol=1e-5)
    assert at_the_end(found[1])["learning"].notnull().all()  # the mean over draws that have it


def test_the_usual_training_is_that_of_dynamics():
    for scale in ("laptop", "smoke"):
        theirs = SECTIONS["dynamics"].from_parameters(load_scale(scale)).runs()["digits"]
        assert theirs in LearningRateSchedules.from_parameters(load_scale(scale)).runs().values()


@pytest.mark.parametrize(
    ("given", "said"),
    [({"equal_sum": ["cosin:0.1"]}, "did you mean 'cosine'"),
     ({"equal_sum": ["cosine"]}, "is not schedule:learning rate"),
     ({"equal_sum": ["cosine:0.1", "cosine:0.2"]}, "the same schedule twice"),
     ({"equal_peak": ["stp"]}, "did you mean 'step'")],
)  # fmt: skip
def test_what_is_refused(given, said):
    with pytest.raises(ParameterError, match=said):
        LearningRateSchedules.from_parameters(given)


def test_sentences_say_the_numbers():
    said = " ".join(findings(results()))
    assert (
        "*cosine*: forgetting of the last 3 layers is highest after epoch 1, ends at 0.30" in said
    )
    assert "had an early peak of 0.10" in said and "*constant*" in said
