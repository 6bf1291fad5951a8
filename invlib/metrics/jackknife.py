r"""How far a number might have come out otherwise with other images: the jackknife.

A comparison stores, beside each matrix, ``<name>_jackknife``: its diagonal with each image left out
in turn; where it was asked for, ``<name>_left_out``: the whole matrix. A number computed from the
diagonals or matrices is computed from those as well, and its spread gives an interval. Dataset in,
DataArray out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

__all__ = ["interval", "left_one_out"]

WIDTH = 1.96  # standard errors to each side: 95 % of a normal distribution


def left_one_out(ds: xr.Dataset, names: Iterable[str], *, whole: bool = False) -> xr.Dataset | None:
    """Return the diagonals of matrices without each image, as a Dataset with one more dim.

    Dim left_out, variables ``<name>_diagonal``, so that `invlib.learning` and whatever else reads
    diagonals takes it as it takes `ds`; with `whole`, the matrices themselves, for
    `invlib.invariance_flow`. None where any of `names` is not stored so.

    Examples
    --------
    >>> ds = xr.Dataset({"stir_pt_pt_jackknife": (("layer", "left_out"), [[0.5, 0.75]])})
    >>> dict(left_one_out(ds, ["stir_pt_pt"]).stir_pt_pt_diagonal.sizes)
    {'layer': 1, 'left_out': 2}
    >>> left_one_out(ds, ["stir_pt_pt", "test_accuracy"]) is None
    True
    """
    kept, becomes = ("left_out", "{}") if whole else ("jackknife", "{}_diagonal")
    stored = {f"{name}_{kept}": becomes.format(name) for name in names}
    if not stored or not set(stored) <= set(ds.data_vars):
        return None
    return ds[list(stored)].rename(stored).astype(float)


def interval(value: xr.DataArray, without: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    r"""Return the ends of a 95 % interval of the mean over seeds, (…, seed) -> two of (…).

    `value` has dims (…, seed), `without` (…, seed, left_out). With :math:`\theta_{s,-i}` the number
    of seed `s` without image `i`, of `n`, and :math:`S` seeds (Efron & Stein 1981):

    .. math:: \frac1S \sum_s \theta_s \pm 1.96\,\mathrm{SE}, \qquad \mathrm{SE}^2 = \frac1{S^2}
        \sum_s \frac{n-1}{n} \sum_i \Big(\theta_{s,-i} - \frac1n\sum_j \theta_{s,-j}\Big)^2.

    It covers the draw of the images, each with the noise that its own inversion started from.
    It does *not* cover another training, another pretrained model or another recipe of inversion,
    nor a noise that all images share (``init="same-noise"``). Seeds count as independent draws,
    which they nearly are from a pool much larger than n. It is made for smooth numbers: for one
    that jumps, such as the layer of a minimum, it can be far too short, and it does not know that
    a correlation ends at 1. NaN where a value is.

    Examples
    --------
    Of a mean over images it is the textbook's standard error:

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
