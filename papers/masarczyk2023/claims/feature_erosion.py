"""Measures of paper C's accuracies: Figures 1 and 2.

Datasets are of kind ``tasks``, as `papers.claims.settings` yields them: one data set,
`seed` counts repeats of the training. Accuracies are measured from chance up: a share of 0 is
guessing, and 1 what the first task ended with.
"""

from __future__ import annotations

import xarray as xr

from papers.claims.data import RESOLUTION
from papers.masarczyk2023.base import ORIGINAL, SQUARES
from papers.masarczyk2023.task_logs import after_task, last_known

__all__ = [
    "accuracy_left",
    "accuracy_lost_share",
    "lost_in_first_epoch",
    "squares_advantage",
    "training_accuracy",
]


def training_accuracy(ds: xr.Dataset, *, task: str) -> xr.DataArray:
    """Return training accuracy after the last epoch of a task, of the worst network."""
    return _over_models(after_task(ds, "train_accuracy", task), "min")


def accuracy_left(ds: xr.Dataset) -> xr.DataArray:
    """Return the share of accuracy left after squares, of the network where most is."""
    return _over_models(share_kept(ds, after_task(ds, "test_accuracy", SQUARES)), "max")


def accuracy_lost_share(ds: xr.Dataset) -> xr.DataArray:
    """Return the share of accuracy lost to squares, of the network where least is."""
    return 1 - accuracy_left(ds)


def lost_in_first_epoch(ds: xr.Dataset) -> xr.DataArray:
    """Return the share of the final loss that one epoch makes, of the slowest network."""
    second = ds["test_accuracy"].sel(task=SQUARES, drop=True)
    start, early = second.sel(epoch=0, drop=True), second.sel(epoch=1, drop=True)
    lost = start - last_known(second)
    return _over_models((start - early) / lost.where(lost > RESOLUTION, RESOLUTION), "min")


def squares_advantage(ds: xr.Dataset) -> xr.DataArray:
    """Return accuracy on images with squares minus without, of the network where it is least."""
    marked, plain = (
        after_task(ds, name, SQUARES) for name in ("test_accuracy_squares", "test_accuracy")
    )
    return _over_models(marked - plain, "min")


def share_kept(ds: xr.Dataset, after: xr.DataArray) -> xr.DataArray:
    """Return the share of the first task's accuracy above chance that is left in `after`."""
    above = after_task(ds, "test_accuracy", ORIGINAL) - ds["chance"]
    # a network that has learnt nothing has nothing to lose
    return (after - ds["chance"]) / above.where(above > RESOLUTION)


def _over_models(number: xr.DataArray, how: str) -> xr.DataArray:
    """The largest or smallest of the networks that were run; a page has one or several."""
    return getattr(number, how)("model") if "model" in number.dims else number
