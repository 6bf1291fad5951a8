"""Figures 1 and 2 of paper C: each claim can hold and can fail, and pages share trainings."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from invlib.results.validation import validate
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import check_claims
from papers.claims.settings import settings
from papers.masarczyk2023.base import ORIGINAL, SQUARES
from papers.masarczyk2023.collapse_and_plasticity import CollapseAndPlasticity
from papers.masarczyk2023.feature_erosion import FeatureErosion
from papers.sections import SECTIONS
from tests.papers.masarczyk2023.results import (
    EPOCHS,
    ERODE,
    LEARN,
    PAPER,
    changed,
    judge,
    synthetic,
)

FEATURE_EROSION = CLAIMS["feature_erosion"]
BY_ID = {claim.id: claim for claim in FEATURE_EROSION}

# For every claim one thing that would refute it.
FLAT = np.full(EPOCHS + 1, 0.8)
SLOWLY = np.linspace(0.8, 0.11, EPOCHS + 1)
REFUTED = {
    "C-2-first-task-is-learnt": dict(train={ORIGINAL: 0.9}),
    "C-3-training-accuracy-stays": dict(train={SQUARES: 0.9}),
    "C-2-falls-to-chance": dict(test={SQUARES: FLAT}),
    "C-1-abrupt": dict(test={SQUARES: SLOWLY}),
    "C-2-every-network": dict(test={SQUARES: FLAT}),
    "C-2-solely-the-pattern": dict(marked=0.2),
}


def test_every_claim_has_a_counterexample():
    assert set(REFUTED) == set(BY_ID)


@pytest.mark.parametrize("id", BY_ID)
def test_a_claim_holds_where_the_results_are_the_papers(id):
    out = judge([BY_ID[id]], PAPER, PAPER)
    assert set(out.verdict.values.ravel()) == {"reproduced"}, out.value.values
    assert out.reason.values == [""]


@pytest.mark.parametrize("id", BY_ID)
def test_a_claim_fails_where_they_contradict_it(id):
    other = changed(**REFUTED[id])
    assert set(judge([BY_ID[id]], other, other).verdict.values.ravel()) == {"not reproduced"}
    assert set(judge([BY_ID[id]], PAPER, other).verdict.values.ravel()) == {"undecided"}


def test_the_synthetic_results_follow_the_schema():
    validate(synthetic([PAPER, PAPER]))


def test_a_network_that_has_learnt_nothing_has_nothing_to_lose():
    nothing = changed(test={ORIGINAL: np.full(EPOCHS + 1, 0.1), SQUARES: np.full(EPOCHS + 1, 0.1)})
    out = judge([BY_ID["C-2-falls-to-chance"]], nothing)
    assert set(out.verdict.values.ravel()) == {"not testable here"}


def test_the_worst_network_decides_however_many_epochs_it_had():
    ds = synthetic([PAPER])
    short = ds["test_accuracy"].where(ds["epoch"] <= 5)  # a pretrained one, fine-tuned for 5 epochs
    both = xr.concat([ds["test_accuracy"], short], xr.Variable("model", ["long", "short"]))
    ds["test_accuracy"] = both
    ((_, one),) = settings(ds)
    value = check_claims([BY_ID["C-2-every-network"]], one).value
    # of the short one: what ERODE has lost by then, out of what LEARN had reached
    np.testing.assert_allclose(value, 1 - (ERODE[5] - 0.1) / (LEARN[5] - 0.1))


def test_pages_share_trainings():
    page = FeatureErosion.from_parameters({"erosion_models": ["vgg11_bn_cifar_w8"]})
    erosion = {run.id for run in page.runs().values()}
    collapse = CollapseAndPlasticity.from_parameters({})
    runs = collapse.runs()
    assert {runs[f"seed 0: {task}"].id for task in (ORIGINAL, SQUARES)} <= erosion
    # the pretrained model is the one that paper A's pages start from
    paper_a = SECTIONS["finetuning_task"].from_parameters({}).pretraining_run()
    assert page.runs()["vit_nano_patch8_32 on digits, seed 0: original"].parent.id == paper_a.id
    # ratio 1 is the second task itself, ratio 0 the first one again
    assert collapse.ratio_runs(0)[1.0].id == runs["seed 0: squares"].id
    assert collapse.ratio_runs(0)[0.0].squares == 0
