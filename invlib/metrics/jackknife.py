r"""The jackknife: how much a number depends on which images happened to be drawn.

A comparison stores ``<name>_jackknife`` beside each matrix, its diagonal with each image left out
in turn, and on request the whole matrix, ``<name>_left_out``. What follows from the diagonals or
matrices follows from these too, once for each image. The spread of these values gives an interval.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

__all__ = ["interval", "left_one_out"]

WIDTH = 1.96  # standard errors to each side: 95 % of a normal distribution lie within


def left_one_out(ds: xr.Dataset, names: Iterable[str], *, whole: bool = False) -> xr.Dataset | None:
    """Return the diagonals of matrices with each image left out in turn, along the dim left_out.

    The variables are called ``<name>_diagonal``, so `invlib.learning` and all that reads diagonals
    works on the result as on `ds`. With `whole` the result has whole matrices, for
    `invlib.invariance_flow`. It is None if these values of any of `names` are not stored.

    Examples
    --------
    >>> ds = xr.Dataset({"stir_pt_pt_jackknife": (("layer", "left_out"), [[0.5, 0.75]])})
    >>> dict(left_one_out(ds, ["stir_pt_pt"]).stir_pt_pt_diagonal.sizes)
    {'layer': 1, 'left_out': 2}
    """
    suffix, renamed = ("left_out", "{}") if whole else ("jackknife", "{}_diagonal")
    stored = {f"{name}_{suffix}": renamed.format(name) for name in names}
    if not stored or not set(stored) <= set(ds.data_vars):
        return None
    return ds[list(stored)].rename(stored).astype(float)


def interval(value: xr.DataArray, without: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    r"""Return both ends of a 95 % interval of the mean over seeds, (…, seed) -> two arrays (…).

    `value` has dims (…, seed), `without` (…, seed, left_out). For `n` images, :math:`S` seeds and
    :math:`\theta_{s,-i}`, the value of seed `s` without image `i` (Efron & Stein 1981):

    .. math:: \frac1S \sum_s \theta_s \pm 1.96\,\mathrm{SE}, \qquad \mathrm{SE}^2 = \frac1{S^2}
        \sum_s \frac{n-1}{n} \sum_i \Big(\theta_{s,-i} - \frac1n\sum_j \theta_{s,-j}\Big)^2.

    The interval covers the draw of the images, each with the noise that its inversion started from.
    It does *not* cover another training, another pretrained model, another recipe of inversion, or
    a noise that all images share (``init="same-noise"``). It treats seeds as independent draws;
    they nearly are if the pool is much larger than n. For a number that jumps, such as the layer of
    a minimum, it can be far too short. It is NaN where a value is NaN.

    Examples
    --------
    For a mean over images it is the standard error of the textbooks:

    >>> x = np.array([0.0, 1.0, 2.0, 5.0])
    >>> mean = xr.DataArray([x.mean()], dims="seed")
    >>> without = xr.DataArray([(x.sum() - x) / 3], dims=("seed", "left_out"))
    >>> low, high = interval(mean, without)
    >>> bool(np.isclose((high - low) / 2, 1.96 * x.std(ddof=1) / np.sqrt(4)))
    True
    """
    n, seeds = without.sizes["left_out"], without.sizes["seed"]
    spread = without - without.mean("left_out", skipna=False)
    variance = (n - 1) / n * (spread**2).sum("left_out", skipna=False)  # of each seed
    error = np.sqrt(variance.sum("seed", skipna=False)) / seeds
    mean = value.mean("seed", skipna=False)
    return mean - WIDTH * error, mean + WIDTH * error
