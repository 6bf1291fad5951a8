"""Split a section's results by data set and recipe, because claims are judged for each of these."""

import itertools
from collections.abc import Iterator

import xarray as xr

from invlib.names import ESTIMATORS

__all__ = ["SETTINGS", "settings"]

# Dims of an experiment that statements do not mention.
SETTINGS = ("dataset", "recipe")


def settings(ds: xr.Dataset) -> Iterator[tuple[list[str], xr.Dataset]]:
    """Yield (labels, part) for each data set and recipe of a section's results.

    If trainings were repeated, verdicts count trainings: draws of images are averaged, and
    `train_seed` becomes `seed`. Results without an estimator of CKA get both, with the same values.

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
