"""Counts in sentences: none, one and two, in the helper and where sentences are computed."""

from __future__ import annotations

import pytest
import xarray as xr

from papers.across.work.claims_ledger import verdicts_in_words
from papers.claims.claim import Claim, check_claims
from papers.claims.tables import claims_html
from papers.merlin2023.work.robustness_across_settings import what_is_left
from papers.words import counted


@pytest.mark.parametrize(
    ("count", "trainings", "verb"),
    [(0, "0 trainings", "0 are"), (1, "1 training", "1 is"), (2, "2 trainings", "2 are")],
)
def test_one_is_and_all_others_are(count, trainings, verb):
    assert counted(count, "training") == trainings
    assert counted(count, "is", "are") == verb


CLAIM = Claim(
    id="A-0-high", paper="A", section="0", figure="", words="The score is high.",
    number="the score", measure=lambda ds, self_term: ds.score, threshold=0.5,
)  # fmt: skip


def ledger(trainings: int, count: int = 1) -> xr.Dataset:
    """Return the verdicts on `count` claims."""
    scores = [[0.9, 0.8, 0.85][:trainings]] * 2
    grid = {"estimator": ["biased", "debiased"], "train_seed": list(range(trainings))}
    ds = xr.Dataset({"score": (("estimator", "train_seed"), scores)}, grid)
    claims = [Claim(**vars(CLAIM) | {"id": f"A-0-high-{i}"}) for i in range(count)]
    return check_claims(claims, ds)


@pytest.mark.parametrize(
    ("count", "said"), [(0, " 0 are undecided"), (1, " 1 is undecided"), (2, " 2 are undecided")]
)
def test_how_many_verdicts_are_undecided(count, said):
    ledgers = [ledger(3)] + ([ledger(1, count)] if count else [])
    assert f"{said} because there is a single training" in verdicts_in_words(ledgers)
    total = count + 1
    assert f"Of {total} verdict{'s' * (total > 1)}, debiased" in verdicts_in_words(ledgers)


@pytest.mark.parametrize(("count", "said"), [(1, "1 training, 1 draw"), (2, "2 trainings, 1 draw")])
def test_a_caption_counts_trainings_and_draws(count, said):
    assert f"{said} of images" in claims_html(ledger(count))


@pytest.mark.parametrize(("count", "said"), [(1, "1 setting can"), (2, "2 settings can")])
def test_settings_that_show_nothing(count, said):
    nothing = {(measure, kind): (0.0, -1.0, 1.0)
               for measure in ("spread", "forgetting")
               for kind in ("corrupted", "given clean", "effective")}  # fmt: skip
    assert f"nothing that {said} show" in what_is_left(nothing, count)
