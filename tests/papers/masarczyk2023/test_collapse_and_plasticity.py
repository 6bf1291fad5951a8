"""Figures 3 to 6 of paper C: each claim can hold and can fail, and tasks follow each other."""

from __future__ import annotations

import numpy as np
import pytest

from papers.across.work.claims_ledger import CLAIMS
from papers.masarczyk2023.base import AGAIN
from papers.masarczyk2023.collapse_and_plasticity import CollapseAndPlasticity
from papers.parameters import ParameterError
from tests.papers.masarczyk2023.results import LEARN, PAPER, RATIOS, RELEARN, changed, judge

COLLAPSE_AND_PLASTICITY = CLAIMS["collapse_and_plasticity"]
BY_ID = {claim.id: claim for claim in COLLAPSE_AND_PLASTICITY}

# For every claim one thing that would refute it.
REFUTED = {
    "C-2-most-layers-dissimilar": dict(cka=np.array([1.0, 0.9, 0.9, 0.9, 0.2, 0.1])),
    "C-2-change-begins-at-the-bottom": dict(cka=np.array([1.0, 0.9, 0.9, 0.9, 0.9, 0.1])),
    "C-2-second-layer-suffices": dict(probe=np.linspace(0.1, 1.0, 6)),
    "C-2-rank-falls-in-every-layer": dict(rank_ratio=np.linspace(0.1, 1.0, 6)[:, None] + [0, 0, 0]),
    "C-2-rank-falls-at-any-threshold": dict(rank_ratio=np.tile([0.5, 0.5, 1.2], (6, 1))),
    "C-2-probes-lose-accuracy": dict(probe_lost=0.0),
    "C-2-relearning-is-slower": dict(test={AGAIN: LEARN + 0.05}),
    "C-2-lower-at-the-same-budget": dict(test={AGAIN: np.append(RELEARN[:-1], 0.85)}),
    "C-3-more-squares-more-forgetting": dict(lost=np.array([0.0, 0.5, 0.3, 0.2, 0.1])),
    "C-3-not-linear": dict(lost=0.69 * RATIOS),
    "C-3-modest-shares-suffice": dict(lost=np.array([0.2, 0.21, 0.22, 0.5, 0.69])),
    "C-3-grad-cam-on-the-square": dict(corner=0.3),
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


def test_tasks_follow_each_other_with_network_and_head():
    first, second, third = CollapseAndPlasticity().sequence("vgg11_bn_cifar_w8", 3).values()
    assert second.parent == first and third.parent == second
    assert second.head == third.head == "kept"
    assert (first.squares, second.squares, third.squares) == (0, 1, 0)
    names = ("model", "dataset", "epochs", "lr", "optimizer", "batch_size", "augmentation", "seed")
    assert len({tuple(getattr(run, name) for name in names) for run in (first, second, third)}) == 1


@pytest.mark.parametrize("ratios", [[0.5, 0.5], [1.5], []])
def test_impossible_ratios_are_refused(ratios):
    with pytest.raises(ParameterError, match="square_ratios"):
        CollapseAndPlasticity.from_parameters({"square_ratios": ratios})
