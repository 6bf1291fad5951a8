"""Measures of curves over the layers: the numbers that decide claims about the shape of a figure.

A claim in ``data/papers/*.yaml`` may use the names of `SHAPES`. Every curve is a DataArray with dim
layer; the returned number has no such dim. A list of layers means all from its first to its last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np
import xarray as xr

from papers.claims import correlation
from papers.claims.data import RESOLUTION

__all__ = [
    "SHAPES",
    "early_peak_of",
    "gain",
    "greatest",
    "least",
    "level",
    "loss_since_best",
    "pearson",
    "ratio",
]


def level(curve: xr.DataArray, layers: Sequence[int]) -> xr.DataArray:
    """Return the mean of a curve over `layers`, from the first to the last.

    Examples
    --------
    >>> float(level(xr.DataArray([0.0, 0.5, 1.5, 4.0], {"layer": range(4)}), [1, 2]))
    1.0
    """
    return curve.sel(layer=list(range(layers[0], layers[-1] + 1))).mean("layer")


def ratio(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Return a / b, where b is raised to `RESOLUTION` if it is smaller.

    Examples
    --------
    >>> float(ratio(0.3, 0.1).round(3)), float(ratio(0.0003, 0.0001).round(3))
    (3.0, 0.03)
    """
    return a / np.maximum(b, RESOLUTION)


def least(numbers: Iterable[xr.DataArray]) -> xr.DataArray:
    """Return the smallest of several numbers."""
    return reduce(np.minimum, numbers)


def greatest(numbers: Iterable[xr.DataArray]) -> xr.DataArray:
    """Return the largest of several numbers."""
    return reduce(np.maximum, numbers)


def onset(curve: xr.DataArray) -> xr.DataArray:
    """Return the layer of the minimum, where the curve begins to rise; the last if it never does.

    Examples
    --------
    >>> curves = [[0.3, 0.1, 0.2], [0.3, 0.2, 0.1]]
    >>> onset(xr.DataArray(curves, {"seed": [0, 1], "layer": [0, 1, 2]})).values
    array([1., 2.])
    """
    lowest = curve.idxmin("layer")
    after = curve.where(curve["layer"] >= lowest).max("layer")
    rises = (after - curve.min("layer") > RESOLUTION) | lowest.isnull()
    return lowest.where(rises, curve["layer"].values[-1])


def crossing(curve: xr.DataArray, value: xr.DataArray | float) -> xr.DataArray:
    """Return where a curve rises above `value` for good, between layers by straight lines.

    It is the first layer if the curve is never below, and the last if it ends below.

    Examples
    --------
    >>> curves = [[0.0, 0.3, 0.1, 0.3], [0.3, 0.2, 0.1, 0.0]]
    >>> crossing(xr.DataArray(curves, {"seed": [0, 1], "layer": range(4)}), 0.2).values
    array([2.5, 3. ])
    """
    layers = curve["layer"].astype(float)
    below = layers.where(curve <= value).max("layer")  # the last one
    before, after = (curve.where(layers == below + by).max("layer") for by in (0, 1))
    found = (below + (value - before) / (after - before)).fillna(layers.values[-1])
    known = (curve - value).notnull().all("layer")
    return xr.where(below.isnull(), layers.values[0], found).where(known)


def early_peak_of(series: xr.DataArray) -> xr.DataArray:
    """Return the highest value of the first half of training minus the last value.

    Epoch 0 is left out. A positive value means that there was an early peak.

    Examples
    --------
    >>> peaked = xr.DataArray([0.0, 0.4, 0.3, 0.25, 0.2], {"epoch": range(5)})
    >>> round(float(early_peak_of(peaked)), 2), round(float(early_peak_of(-peaked)), 2)
    (0.2, -0.1)
    """
    epochs = series["epoch"].values
    first = series.sel(epoch=[e for e in epochs if 0 < e <= epochs[-1] / 2])
    return first.max("epoch", skipna=False) - series.isel(epoch=-1, drop=True)


def gain(series: xr.DataArray) -> xr.DataArray:
    """Return the value of the last epoch minus that of epoch 1.

    Examples
    --------
    >>> float(gain(xr.DataArray([0.0, 0.5, 0.75], {"epoch": range(3)})))
    0.25
    """
    trained = series.sel(epoch=slice(1, None))
    return series.isel(epoch=-1, drop=True) - trained.isel(epoch=0, drop=True)


def loss_since_best(series: xr.DataArray) -> xr.DataArray:
    """Return the highest value of all epochs minus the last value.

    Examples
    --------
    >>> float(loss_since_best(xr.DataArray([0.0, 0.75, 0.5], {"epoch": range(3)})))
    0.25
    """
    return series.max("epoch", skipna=False) - series.isel(epoch=-1, drop=True)


# --- what a claim may name ------------------------------------------------------------------------


def lowest(*curves: xr.DataArray) -> xr.DataArray:
    """Return the smallest value of all curves at all layers."""
    return least(curve.min("layer") for curve in curves)


def least_level(*curves: xr.DataArray, layers: Sequence[int]) -> xr.DataArray:
    """Return the smallest mean over `layers` of all curves."""
    return least(level(curve, layers) for curve in curves)


def greatest_level(*curves: xr.DataArray, layers: Sequence[int]) -> xr.DataArray:
    """Return the largest mean over `layers` of all curves."""
    return greatest(level(curve, layers) for curve in curves)


def level_ratio(
    *curves: xr.DataArray,
    of: Sequence[int],
    to: Sequence[int],
    beside: Sequence[xr.DataArray] = (),
) -> xr.DataArray:
    """Return `least_level` of `curves` at layers `of` over `greatest_level` of `beside` at `to`.

    By default `beside` are the same curves.
    """
    return ratio(least_level(*curves, layers=of), greatest_level(*(beside or curves), layers=to))


def level_difference(
    *curves: xr.DataArray,
    of: Sequence[int],
    to: Sequence[int],
    beside: Sequence[xr.DataArray] = (),
) -> xr.DataArray:
    """Return `least_level` of `curves` at layers `of` minus `greatest_level` of `beside` at `to`.

    By default `beside` are the same curves.
    """
    return least_level(*curves, layers=of) - greatest_level(*(beside or curves), layers=to)


def least_level_difference(
    *curves: xr.DataArray, beside: Sequence[xr.DataArray], layers: Sequence[int]
) -> xr.DataArray:
    """Return the smallest difference in level of each curve to the one `beside` it."""
    pairs = zip(curves, beside, strict=True)
    return least(level(one, layers) - level(other, layers) for one, other in pairs)


def least_difference(
    *curves: xr.DataArray, beside: Sequence[xr.DataArray], layers: Sequence[int] = ()
) -> xr.DataArray:
    """Return the smallest difference of `curves` to those `beside`, at `layers` (default: all)."""
    difference = least(curves) - greatest(beside)
    return (difference.sel(layer=slice(layers[0], layers[-1])) if layers else difference).min(
        "layer"
    )


def valley_depth(
    curve: xr.DataArray, *, left: Sequence[int], floor: Sequence[int], right: Sequence[int]
) -> xr.DataArray:
    """Return the level of the lower of both sides minus that of the floor between them."""
    return least([level(curve, left), level(curve, right)]) - level(curve, floor)


def last_minus_first(curve: xr.DataArray, *, layers: Sequence[int]) -> xr.DataArray:
    """Return the value of a curve at the last of `layers` minus that at the first."""
    first, last = (curve.sel(layer=layers[i], drop=True) for i in (0, -1))
    return last - first


def rise_beside_flat(
    rising: xr.DataArray, flat: xr.DataArray, *, layers: Sequence[int]
) -> xr.DataArray:
    """Return the rise of `rising` over `layers`, divided by the range of `flat` there.

    The range is the highest value minus the lowest, so it includes a bump in between.
    """
    part = flat.sel(layer=slice(layers[0], layers[-1]))
    return ratio(last_minus_first(rising, layers=layers), part.max("layer") - part.min("layer"))


def fall_beside_flat(
    falling: xr.DataArray, flat: xr.DataArray, *, layers: Sequence[int]
) -> xr.DataArray:
    """Return the fall of `falling` over `layers`, divided by the range of `flat` there."""
    return rise_beside_flat(-falling, flat, layers=layers)


def onset_difference(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Return the layer where `a` begins to rise minus that of `b` (`onset`)."""
    return onset(a) - onset(b)


def crossing_difference(
    a: xr.DataArray, b: xr.DataArray, *, value: xr.DataArray | float
) -> xr.DataArray:
    """Return the layer from which `a` lies by `value` above its minimum, minus that of `b`.

    Both are places between layers (`crossing`).
    """
    a, b = (crossing(curve - curve.min("layer"), value) for curve in (a, b))
    return a - b


def pearson(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Return Pearson's correlation of two curves over layers; NaN if a curve is constant."""
    return xr.apply_ufunc(correlation.pearson, a, b, input_core_dims=[["layer"], ["layer"]])


def pearson_difference(
    a: xr.DataArray, b: xr.DataArray, *, beside: Sequence[xr.DataArray]
) -> xr.DataArray:
    """Return the correlation of `a` with `b` minus that of the two curves `beside`."""
    return pearson(a, b) - pearson(*beside)


def greatest_gap(*curves: xr.DataArray, beside: Sequence[xr.DataArray]) -> xr.DataArray:
    """Return how far the means of two curves lie apart, of the pair where it is most.

    The means are over all layers, so that noise of single layers is no gap.
    """
    pairs = zip(curves, beside, strict=True)
    return greatest(abs(one.mean("layer") - other.mean("layer")) for one, other in pairs)


def early_peak(curve: xr.DataArray, *, layers: Sequence[int]) -> xr.DataArray:
    """Return `early_peak_of` the mean of a curve over `layers`."""
    return early_peak_of(level(curve, layers))


SHAPES = {
    shape.__name__: shape
    for shape in (
        lowest,
        least_level,
        greatest_level,
        level_ratio,
        level_difference,
        least_level_difference,
        least_difference,
        greatest_gap,
        valley_depth,
        last_minus_first,
        rise_beside_flat,
        fall_beside_flat,
        onset_difference,
        crossing_difference,
        pearson,
        pearson_difference,
        early_peak,
    )
}
