"""Other images: claims that can hold and fail, and a relation with clean accuracy held fixed."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from papers.across.claims.other_images import robustness_relation
from papers.across.other_images import OtherImages
from papers.across.work.claims_ledger import CLAIMS
from papers.across.work.other_images import findings
from papers.claims.settings import settings
from papers.parameters import ParameterError, load_scale
from papers.sections import SECTIONS
from tests.synthetic import LAYERS, comparison, everywhere, verdicts

SETTINGS = ["sgd:0.02", "sgd:0.005", "adam:0.0003", "adam:0.0001"]
SPREAD = np.array([0.1, 0.3, 0.2, 0.4])
CLEAN = np.array([0.9, 0.92, 0.88, 0.9])  # hardly goes with the spread


def results(corrupted: np.ndarray = SPREAD, flow: float = 0.2) -> xr.Dataset:
    """Settings of that spread of forgetting, in three trainings, with a flow below the diagonal."""
    grid = {"setting": SETTINGS, "train_seed": range(3), "ref_layer": LAYERS, "layer": LAYERS}
    alternating = 0.5 * np.where(LAYERS % 2, 1, -1)  # whose spread is that of the layers
    lost = 0.3 + SPREAD[:, None] * alternating
    stir = np.stack([np.diag(1 - row) + flow * np.tril(np.ones((13, 13)), -1) for row in lost])
    shape = [len(values) for values in grid.values()]
    values = xr.DataArray(np.broadcast_to(stir[:, None], shape), grid, list(grid))
    own = xr.DataArray(np.eye(13), {k: grid[k] for k in ("ref_layer", "layer")})
    by_severity = np.stack([CLEAN, *[0.4 + 0.5 * corrupted] * 5], axis=1)
    by_severity = np.repeat(by_severity[:, None], 3, axis=1)
    accuracy = xr.DataArray(
        by_severity, {**{k: grid[k] for k in ("setting", "train_seed")}, "severity": range(6)},
        ["setting", "train_seed", "severity"],
    )  # fmt: skip
    made = {"stir_ft_pt": everywhere(values), "stir_pt_pt": everywhere(own)}
    made |= {"corrupted_accuracy": accuracy, "test_accuracy": accuracy.isel(severity=0, drop=True)}
    return comparison(made).expand_dims(dataset=["eurosat"])


def judged(**changes: object) -> dict[str, str]:
    ((_, part),) = settings(results(**changes))
    return {k[4:]: v for k, v in verdicts(CLAIMS["other_images"], part).items()}


def test_all_claims_hold_on_what_was_expected():
    assert set(judged().values()) == {"reproduced"} and len(judged()) == 3


def test_each_claim_can_fail():
    assert judged(flow=0.0)["compression"] == "not reproduced"
    found = judged(corrupted=-SPREAD)
    assert found["spread-goes-with-robustness"] == "not reproduced"
    only_clean = judged(corrupted=CLEAN)
    assert only_clean["spread-beyond-clean-accuracy"] != "reproduced"


def test_the_partial_correlation_is_that_of_residuals():
    rng = np.random.default_rng(0)
    ds = results(corrupted=rng.random(4)).isel(dataset=0, train_seed=[0])
    found = robustness_relation(ds, given_clean=True).sel(estimator="debiased", seed=0)

    def residual(y: np.ndarray) -> np.ndarray:
        return y - np.polyval(np.polyfit(CLEAN, y, 1), CLEAN)

    corrupted = ds["corrupted_accuracy"].isel(train_seed=0, severity=1)
    want = np.corrcoef(residual(SPREAD), residual(corrupted.values))[0, 1]
    assert float(found) == pytest.approx(want)


def test_the_usual_training_is_that_of_the_pool():
    parameters = load_scale("cifar", "notebooks/scales/overrides/cpu_questions.yaml")
    found = OtherImages.from_parameters(parameters).trainings()
    task = SECTIONS["finetuning_task"].from_parameters(parameters)
    assert found["eurosat", "sgd:0.02", 1] == task.finetuning_run("eurosat", seed=1)
    laptop = SECTIONS["finetuning_task"]().finetuning_run("digits")
    assert list(OtherImages().trainings().values()) == [laptop]


def test_what_is_refused():
    with pytest.raises(ParameterError, match="is not optimiser:learning rate"):
        OtherImages.from_parameters({"other_settings": ["sgd"]})


def test_sentences_say_the_numbers():
    (said,) = findings(results())
    assert "*eurosat*, sgd:0.02: test accuracy 0.90" in said and "over 12 trainings" in said
