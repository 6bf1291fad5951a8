"""Numbers from curves over the layers: what a claim about the shape of a figure comes down to.

Every curve is a DataArray with dim layer; what comes back has lost it. Imports no xarray.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["early_peak", "gain", "loss_since_best"]

# A hundredth of the range of STIR and CKA. Less than that is no change worth a sentence: a curve
# has to rise by more to rise at all, and no ratio has a smaller denominator, or noise over
# noise could be a finding. As a denominator it only ever makes a claim harder to reproduce.
RESOLUTION = 0.01


def level(curve: xr.DataArray, layers: Iterable[int]) -> xr.DataArray:
    """Return the mean over `layers`."""
    return curve.sel(layer=list(layers)).mean("layer")


def rise(curve: xr.DataArray, first: int, last: int) -> xr.DataArray:
    """Return by how much the curve is higher at `last` than at `first`."""
    return curve.sel(layer=last, drop=True) - curve.sel(layer=first, drop=True)


def span(curve: xr.DataArray, first: int, last: int) -> xr.DataArray:
    """Return highest minus lowest, from `first` to `last`; a bump in between is not flat."""
    part = curve.sel(layer=slice(first, last))
    return part.max("layer") - part.min("layer")


def ratio(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Return a / b, b at least `RESOLUTION`.

    Examples
    --------
    >>> float(ratio(0.3, 0.1).round(3)), float(ratio(0.0003, 0.0001).round(3))
    (3.0, 0.03)
    """
    return a / np.maximum(b, RESOLUTION)


def least(*numbers: xr.DataArray) -> xr.DataArray:
    """Return the smallest of several numbers."""
    return reduce(np.minimum, numbers)


def greatest(*numbers: xr.DataArray) -> xr.DataArray:
    """Return the largest of several numbers."""
    return reduce(np.maximum, numbers)


def valley_depth(
    curve: xr.DataArray, left: Iterable[int], floor: Iterable[int], right: Iterable[int]
) -> xr.DataArray:
    """Return how far the lower of the two sides lies above the floor between them."""
    return least(level(curve, left), level(curve, right)) - level(curve, floor)


def onset(curve: xr.DataArray) -> xr.DataArray:
    """Return the layer of the minimum, from which the curve rises; the last where it never does.

    Examples
    --------
    >>> import xarray as xr
    >>> curves = [[0.3, 0.1, 0.2], [0.3, 0.2, 0.1]]
    >>> onset(xr.DataArray(curves, {"seed": [0, 1], "layer": [0, 1, 2]})).values
    array([1., 2.])
    """
    lowest = curve.idxmin("layer")
    after = curve.where(curve["layer"] >= lowest).max("layer")
    return lowest.where(after - curve.min("layer") > RESOLUTION, curve["layer"].values[-1])


def least_difference(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Return the smallest a - b of any layer."""
    return (a - b).min("layer")


def pearson(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Return Pearson's correlation over layers; NaN where a curve is constant."""
    a, b = a - a.mean("layer"), b - b.mean("layer")
    norm = np.sqrt((a**2).sum("layer") * (b**2).sum("layer"))
    return (a * b).sum("layer") / norm.where(norm > 1e-12)  # what rounding leaves of a constant


def early_peak(series: xr.DataArray) -> xr.DataArray:
    """Return how far the highest value of the first half of training lies above the last value.

    Epoch 0, before any step, is no peak. Positive: there was an early peak and it has gone.

    Examples
    --------
    >>> import xarray as xr
    >>> peaked = xr.DataArray([0.0, 0.4, 0.3, 0.25, 0.2], {"epoch": range(5)})
    >>> round(float(early_peak(peaked)), 2), round(float(early_peak(-peaked)), 2)
    (0.2, -0.1)
    """
    epochs = series["epoch"].values
    first = series.sel(epoch=[e for e in epochs if 0 < e <= epochs[-1] / 2])
    return first.max("epoch", skipna=False) - series.isel(epoch=-1, drop=True)


def gain(series: xr.DataArray) -> xr.DataArray:
    """Return the last value minus that of the first epoch after 0.

    Examples
    --------
    >>> import xarray as xr
    >>> float(gain(xr.DataArray([0.0, 0.5, 0.75], {"epoch": range(3)})))
    0.25
    """
    return series.isel(epoch=-1, drop=True) - series.sel(epoch=slice(1, None)).isel(
        epoch=0, drop=True
    )


def loss_since_best(series: xr.DataArray) -> xr.DataArray:
    """Return the highest value of any epoch minus the last.

    Examples
    --------
    >>> import xarray as xr
    >>> float(loss_since_best(xr.DataArray([0.0, 0.75, 0.5], {"epoch": range(3)})))
    0.25
    """
    return series.max("epoch", skipna=False) - series.isel(epoch=-1, drop=True)
