"""Measures of paper A, Table 1: accuracies by the start of a training."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from papers.claims.curves import of_start, starts_missing, this_dataset
from papers.claims.measures import obstacle

__all__ = ["accuracy_above_imagenet", "accuracy_beyond"]


def _start_missing(
    ds: xr.Dataset, *, start: str, variable: str = "test_accuracy", **_: object
) -> str:
    return starts_missing(ds, start, variable=variable)


def _a_start_missing(ds: xr.Dataset, *, start: str) -> str:
    return starts_missing(ds, start, "imagenet", variable="test_accuracy")


@obstacle(_start_missing)
def accuracy_beyond(
    ds: xr.Dataset,
    *,
    start: str,
    reported: Mapping[str, float],
    variable: str = "test_accuracy",
) -> xr.DataArray:
    """Return an accuracy after training from `start`, minus the one `reported` for the data set."""
    return of_start(ds, start)[variable] - reported[this_dataset(ds)]


@obstacle(_a_start_missing)
def accuracy_above_imagenet(ds: xr.Dataset, *, start: str) -> xr.DataArray:
    """Return test accuracy after training from `start`, minus that from ImageNet weights."""
    ours, theirs = (of_start(ds, name)["test_accuracy"] for name in (start, "imagenet"))
    return ours - theirs
