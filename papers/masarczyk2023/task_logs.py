"""Train networks on several tasks in turn, and collect their accuracies by epoch in a Dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from invlib import load_images, train
from invlib.training.run import TrainingRun

__all__ = ["LOGGED", "accuracy_lost", "after_task", "last_known", "task_logs", "with_untrained"]

LOGGED = ("train_accuracy", "test_accuracy", "test_accuracy_squares")


def task_logs(
    sequences: Mapping[tuple, Mapping[str, TrainingRun]], dims: Sequence[str], *, root: Path
) -> xr.Dataset:
    """Train all runs that are not trained yet; return accuracies, dims (*dims*, task, epoch).

    Parameters
    ----------
    sequences
        The runs of each task. Keys have a label for each of `dims`; one dim is ``"dataset"``.
    root
        Folder of training runs.

    Returns
    -------
    Dataset
        The `LOGGED` variables, NaN for combinations that do not exist. Epoch 0 of a task is the end
        of the task before. `chance` (dataset) is 1 over the number of classes.
    """
    labels = [list(dict.fromkeys(values)) for values in zip(*sequences, strict=True)]
    grid = dict(zip(dims, labels, strict=True))
    tasks = list(dict.fromkeys(task for runs in sequences.values() for task in runs))
    longest = max(run.epochs for runs in sequences.values() for run in runs.values())
    grid |= {"task": tasks, "epoch": np.arange(longest + 1)}
    ds = xr.Dataset({name: xr.DataArray(np.nan, grid, list(grid)) for name in LOGGED})
    for key, runs in sequences.items():
        for task, run in runs.items():
            log = train(run, root=root).log
            cell = dict(zip(dims, key, strict=True)) | {"task": task}
            for name in LOGGED:
                if name in log:
                    ds[name].loc[cell | {"epoch": log["epoch"].values}] = log[name].values
    chance = [1 / load_images(name, "test").num_classes for name in grid["dataset"]]
    ds["chance"] = ("dataset", chance)
    return ds.assign_attrs(device=log.attrs["device"])


def last_known(series: xr.DataArray) -> xr.DataArray:
    """Return the value of the last epoch that is not NaN, which networks may have at any epoch.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> series = [[0.1, 0.2, 0.3], [0.4, 0.5, np.nan]]
    >>> last_known(xr.DataArray(series, {"seed": [0, 1], "epoch": [0, 1, 2]})).values
    array([0.3, 0.5])
    """
    last = series["epoch"].where(series.notnull()).max("epoch")
    return series.where(series["epoch"] == last).mean("epoch")


def after_task(ds: xr.Dataset, variable: str, task: str) -> xr.DataArray:
    """Return `variable` after the last epoch of `task`."""
    return last_known(ds[variable].sel(task=task, drop=True))


def accuracy_lost(ds: xr.Dataset) -> xr.DataArray:
    """Return the accuracy on the first task that the second one cost, by ratio (Figure 6)."""
    return after_task(ds, "test_accuracy", "original") - ds["ratio_accuracy"]


def with_untrained(ds: xr.Dataset, name: str, tasks: Sequence[str]) -> xr.DataArray:
    """Return a measure after `tasks`, and of the untrained network where these results have it.

    What an untrained network reaches is no trace of a training.

    Examples
    --------
    >>> ds = xr.Dataset({"rank": ("task", [5, 4]), "rank_untrained": 3}, {"task": ["a", "b"]})
    >>> with_untrained(ds, "rank", ["a"]).task.values.tolist()
    ['a', 'untrained']
    """
    after = ds[name].sel(task=list(tasks))
    if f"{name}_untrained" not in ds:
        return after
    untrained = ds[f"{name}_untrained"].expand_dims(task=["untrained"])
    return xr.concat([after, untrained], "task", combine_attrs="override", join="exact")
