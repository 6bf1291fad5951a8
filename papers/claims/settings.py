"""What claims are judged for, one at a time: the data sets and recipes of a section's results."""

import itertools
from collections.abc import Iterator

import xarray as xr

from invlib.names import ESTIMATORS

__all__ = ["SETTINGS", "settings"]

# Dims of an experiment that are no part of a statement.
SETTINGS = ("dataset", "recipe")


def settings(ds: xr.Dataset) -> Iterator[tuple[list[str], xr.Dataset]]:
    """Yield (words, part) for each data set, and recipe, of a section's results.

    Where trainings were repeated, verdicts count these: `train_seed` becomes `seed`, and draws of
    images are averaged first. What does not depend on the estimator of CKA is the same under both.

    Examples
    --------
    >>> import xarray as xr
    >>> ds = xr.Dataset(coords={"dataset": ["cifar10", "cifar100"], "epoch": [0, 1]})
    >>> [words for words, part in settings(ds)]
    [['cifar10'], ['cifar100']]
    """
    if "train_seed" in ds.dims:
        drawn = ds.drop_dims("seed") if "seed" in ds.dims else ds
        if "seed" in ds.dims:
            mean = ds.drop_vars(list(drawn)).mean("seed", keep_attrs=True)
            drawn = drawn.merge(mean, compat="no_conflicts", join="exact")
        ds = drawn.rename(train_seed="seed")
        if "estimator" not in ds.dims:
            ds = ds.assign_coords(estimator=list(ESTIMATORS))
    dims = [dim for dim in SETTINGS if dim in ds.dims]
    for labels in itertools.product(*(ds[dim].values.tolist() for dim in dims)):
        yield [str(label) for label in labels], ds.sel(dict(zip(dims, labels, strict=True)))
