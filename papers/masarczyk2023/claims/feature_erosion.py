"""Measures of paper C, Figures 1 and 2: accuracies.

Datasets are of kind ``tasks``, as `papers.claims.settings` yields them: they have one data set, and
`seed` is the seed of the training. A share of accuracy is 0 for guessing and 1 for the accuracy at
the end of the first task.
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
    """Return the training accuracy of the worst network after the last epoch of a task."""
    return _over_models(after_task(ds, "train_accuracy", task), "min")


def accuracy_left(ds: xr.Dataset) -> xr.DataArray:
    """Return the share of accuracy left after squares, the largest of all networks."""
    return _over_models(share_kept(ds, after_task(ds, "test_accuracy", SQUARES)), "max")


def accuracy_lost_share(ds: xr.Dataset) -> xr.DataArray:
    """Return the share of accuracy lost to squares, the smallest of all networks."""
    return 1 - accuracy_left(ds)


def lost_in_first_epoch(ds: xr.Dataset) -> xr.DataArray:
    """Return the share of the loss of accuracy that epoch 1 makes, the smallest of all networks."""
    second = ds["test_accuracy"].sel(task=SQUARES, drop=True)
    start, early = second.sel(epoch=0, drop=True), second.sel(epoch=1, drop=True)
    lost = start - last_known(second)
    return _over_models((start - early) / lost.where(lost > RESOLUTION, RESOLUTION), "min")


def squares_advantage(ds: xr.Dataset) -> xr.DataArray:
    """Return accuracy with squares minus that without, the smallest of all networks."""
    marked, plain = (
        after_task(ds, name, SQUARES) for name in ("test_accuracy_squares", "test_accuracy")
    )
    return _over_models(marked - plain, "min")


def share_kept(ds: xr.Dataset, after: xr.DataArray) -> xr.DataArray:
    """Return the accuracy `after` above chance as a share of that after the first task."""
    above = after_task(ds, "test_accuracy", ORIGINAL) - ds["chance"]
    # NaN for a network that learnt nothing
    return (after - ds["chance"]) / above.where(above > RESOLUTION)


def _over_models(number: xr.DataArray, how: str) -> xr.DataArray:
    """Return the largest or smallest number of all networks, if there are several."""
    return getattr(number, how)("model") if "model" in number.dims else number
