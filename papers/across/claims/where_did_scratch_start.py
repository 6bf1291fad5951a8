"""Measures of the page on what "from scratch" started from: claims of paper A under a reading."""

from __future__ import annotations

from functools import cache

import xarray as xr

from papers.claims.claim import Claim, over_columns
from papers.claims.curves import OTHER, this_dataset
from papers.claims.measures import claims_of, obstacle
from papers.merlin2023.claims import accuracy

__all__ = ["beyond_threshold"]


@cache
def printed() -> dict[str, Claim]:
    """Return by id the claims of paper A that its section 4.2 and its Table 1 decide."""
    claims = (*claims_of("pretraining_dataset"), *claims_of("accuracy", accuracy))
    return {claim.id: claim for claim in claims}


def under(ds: xr.Dataset, reading: str, elsewhere: bool) -> xr.Dataset:
    """Return the results of one reading; `elsewhere`: accuracies on the other CIFAR set."""
    one = ds.sel(reading=reading, drop=True)
    if not elsewhere:
        return one
    return one.assign(test_accuracy=one["other_accuracy"]).assign_coords(
        dataset=OTHER.get(this_dataset(ds), "another data set")
    )


def _lacking(ds: xr.Dataset, *, claim: str, reading: str, elsewhere: bool = False) -> str:
    return printed()[claim].lacking(under(ds, reading, elsewhere))


@obstacle(_lacking)
def beyond_threshold(
    ds: xr.Dataset, *, self_term: str, claim: str, reading: str, elsewhere: bool = False
) -> xr.DataArray:
    """Return how far the number of a claim of paper A is on the side where that claim holds."""
    of_paper = printed()[claim]
    threshold = over_columns(of_paper.threshold, ds["estimator"], self_term)
    beyond = of_paper.measure(under(ds, reading, elsewhere), self_term) - threshold
    return beyond if of_paper.holds == "above" else -beyond
