"""Split a section's results by data set and recipe, because claims are judged for each of these."""

import itertools
from collections.abc import Iterator

import xarray as xr

from invlib.names import ESTIMATORS

__all__ = ["SETTINGS", "by_training", "named", "settings"]

# Dims of an experiment that statements do not mention.
SETTINGS = ("dataset", "recipe")

# What a data set of our results stands in for in a figure of the papers.
STAND_INS = {"caltech101": "Oxford-IIIT Pet"}


def settings(ds: xr.Dataset) -> Iterator[tuple[list[str], xr.Dataset]]:
    """Yield (labels, part) for each data set and recipe of a section's results.

    A training that was not run for one of them is left out there. Results without an estimator of
    CKA get both, with the same values.

    Examples
    --------
    >>> import xarray as xr
    >>> ds = xr.Dataset(coords={"dataset": ["cifar10", "cifar100"], "epoch": [0, 1]})
    >>> [words for words, part in settings(ds)]
    [['cifar10'], ['cifar100']]
    >>> accuracy = (("dataset", "train_seed"), [[0.9, 0.8], [0.7, float("nan")]])
    >>> ds = xr.Dataset({"test_accuracy": accuracy}, {"dataset": ["cifar10", "eurosat"]})
    >>> [part.sizes["train_seed"] for words, part in settings(ds)]
    [2, 1]
    """
    if "estimator" not in ds.dims and "train_seed" in ds.dims:
        ds = ds.assign_coords(estimator=list(ESTIMATORS))
    dims = [dim for dim in SETTINGS if dim in ds.dims]
    for labels in itertools.product(*(ds[dim].values.tolist() for dim in dims)):
        part = ds.sel(dict(zip(dims, labels, strict=True)))
        yield [named(label) for label in labels], _that_were_run(part)


def named(label: object) -> str:
    """Return a data set or recipe as text, with what it stands in for.

    Examples
    --------
    >>> named("caltech101"), named("cifar10")
    ('caltech101 (stands in for Oxford-IIIT Pet)', 'cifar10')
    """
    stand_in = STAND_INS.get(str(label))
    return f"{label} (stands in for {stand_in})" if stand_in else str(label)


def _that_were_run(ds: xr.Dataset) -> xr.Dataset:
    """Leave out trainings that are NaN throughout, unless all are."""
    if "train_seed" not in ds.dims:
        return ds
    run = ds.dropna("train_seed", how="all")
    return run if run.sizes["train_seed"] else ds


def by_training(ds: xr.Dataset) -> xr.Dataset:
    """Return the results of a setting with its trainings as `seed`, for a figure.

    Draws of images are averaged. What is the same for all trainings, such as inversions of their
    start, is repeated. Results of a single training are returned as they are: their seeds are the
    draws.

    Examples
    --------
    >>> drawn = (("train_seed", "seed"), [[0.1, 0.3], [0.5, float("nan")]])
    >>> ds = xr.Dataset({"stir": drawn, "loss": ("train_seed", [1.0, 2.0])})
    >>> by_training(ds)["stir"].values.tolist(), by_training(ds)["loss"].dims
    ([0.2, 0.5], ('seed',))
    """
    if "train_seed" not in ds.dims:
        return ds
    if "seed" in ds.dims:
        rest = ds.drop_dims("seed")
        drawn = ds.drop_vars(list(rest)).mean("seed", keep_attrs=True)
        drawn = drawn.broadcast_like(ds["train_seed"], exclude=set(ds.dims) - {"train_seed"})
        ds = rest.merge(drawn, compat="no_conflicts", join="exact")
    return ds.rename(train_seed="seed")
