"""Claims of section 4.4 about several trainings: each can hold, can fail and can be untestable."""

from __future__ import annotations

import pytest
import xarray as xr

from invlib.comparison.stacking import stack
from papers.across.work.claims_ledger import CLAIMS
from papers.sections import SECTIONS
from tests.papers.merlin2023.test_dynamics import (
    RISE,
    TRAINED,
    WOBBLE,
    only_pretrained_inverted,
    results,
)
from tests.synthetic import UNTESTABLE, reasons, verdicts

ROBUSTNESS = CLAIMS["robustness"]
AGREES = dict(mild=WOBBLE)
NO_TREND = dict(spread=TRAINED * (0.3 - 0.2 * RISE), peak=TRAINED * (0.2 + 0.3 * RISE))
SGD, ADAM = "A-4.4-sgd-trainings-agree", "A-4.4-adam-trainings-do-not"


def trainings(**by_name: dict) -> xr.Dataset:
    """Forgetting and accuracy of several trainings, named as ``sgd_0p01`` for ``sgd:0.01``."""
    parts = {
        name.replace("_", ":").replace("p", "."): only_pretrained_inverted(results(**change))
        for name, change in by_name.items()
    }
    return stack(parts, "optimizer", shared=True)


def test_robustness_claims_hold_where_the_results_are_the_papers():
    ds = trainings(sgd_0p01=AGREES, sgd_0p003_none=AGREES, adam_0p0001=NO_TREND)
    assert verdicts(ROBUSTNESS, ds) == {SGD: "reproduced", ADAM: "reproduced"}


def test_one_training_that_does_not_agree_refutes():
    ds = trainings(sgd_0p01=AGREES, sgd_0p003=NO_TREND, adam_0p0001=NO_TREND)
    assert verdicts(ROBUSTNESS, ds) == {SGD: "not reproduced", ADAM: "reproduced"}
    ds = trainings(sgd_0p01=AGREES, sgd_0p003=AGREES, adam_0p0001=NO_TREND, adam_0p001=AGREES)
    assert verdicts(ROBUSTNESS, ds) == {SGD: "reproduced", ADAM: "not reproduced"}


def test_trainings_that_were_not_done():
    why = reasons(ROBUSTNESS, trainings(sgd_0p01=AGREES))
    assert why == {
        SGD: "trainings with SGD in these results: 1, the claim needs 2",
        ADAM: "trainings with Adam in these results: 0, the claim needs 1",
    }
    why = reasons(ROBUSTNESS, results())  # no such dim at all
    assert why[SGD] == "trainings with SGD in these results: 0, the claim needs 2"


def test_a_training_that_is_missing_is_no_number():
    ds = trainings(sgd_0p01=AGREES, sgd_0p003=AGREES, adam_0p0001=NO_TREND)
    ds = ds.where(ds["optimizer"] != "sgd:0.003")
    assert verdicts(ROBUSTNESS, ds) == {SGD: UNTESTABLE, ADAM: "reproduced"}
    assert "a run is missing" in reasons(ROBUSTNESS, ds)[SGD]


@pytest.mark.parametrize(
    ("n", "epochs", "own"), [(400, 6, True), (4000, 8, False), (None, 1, False)]
)
def test_only_short_trainings_are_left_to_the_notebook(n, epochs, own):
    section = SECTIONS["robustness"].from_parameters({"trainings_n": n, "trainings_epochs": epochs})
    assert section.own_trainings is own
