"""The hypotheses of the scan: the paper's counts come out exactly."""

from collections import Counter

from papers.merlin2023.hypotheses import QUANTITIES, Hypothesis, hypotheses

PAPER = "std of forgetting, layers 2-12"


def test_the_papers_numbers_come_out_exactly():
    counts = Counter(QUANTITIES[h.quantity] for h in hypotheses())
    assert counts == {
        "learning and forgetting": 352,
        "CKA divergence": 88,
        "subspace similarity": 88,
    }
    assert len(set(hypotheses())) == 528
    assert len({str(h) for h in hypotheses()}) == 528
    assert len({(h.first, h.last) for h in hypotheses()}) == 22


def test_the_papers_own_hypotheses_are_among_them():
    found = hypotheses()
    assert Hypothesis("forgetting", 2, 12, "std") in found
    assert Hypothesis("CKA divergence", 1, 8, "std") in found
    assert str(Hypothesis("forgetting", 2, 12, "std")) == PAPER
    assert not any(h.first == 0 or (h.first, h.last) == (1, 12) for h in found)


def test_other_depths():
    assert len(hypotheses(["learning"], layers=range(1, 7))) == 10 * 4
    assert {h.layers for h in hypotheses(["learning"], layers=[1, 2, 3])} == {
        "1",
        "1-2",
        "2-3",
        "3",
    }
