"""Comparisons read at a distance: STIR is a function of how far inversion got.

Pure functions of a comparison Dataset with a dim ``snapshot`` (`invlib.compare`).
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from invlib.names import choices

__all__ = ["at_distance", "extrapolate", "gap"]

# Forms of a value y over the distance d that have the value a at d = 0.
FORMS = {"a + b·d": lambda d: d, "a + b·d²": np.square}


def at_distance(ds: xr.Dataset, distance: float, *, unit: str = "relative") -> xr.Dataset:
    r"""Return a comparison as it was when inversion had come to `distance`, without ``snapshot``.

    The distance is :math:`\lVert m(x') - m(x)\rVert / \lVert m(x)\rVert` in the mean over images,
    of the model and layer that was inverted (``inversion_loss_…``). All images share a large part
    of m(x), so ``unit="centred"`` takes :math:`\lVert m(x') - m(x)\rVert` relative to the root
    mean square distance of two images instead (``inversion_loss_centred_…``).

    Between two snapshots STIR is interpolated linearly in the distance. It is NaN where inversion
    did not come so far, and where it was nearer already at the first snapshot: nothing is
    extrapolated. `learning`, `forgetting` and `invariance_flow` take the result as they take any
    comparison. ValueError for a Dataset without snapshots, or another distance or unit.

    Examples
    --------
    >>> ds = xr.Dataset(
    ...     {"stir_ft_pt": (("snapshot", "ref_layer", "layer"), [[[0.6]], [[0.8]]]),
    ...      "inversion_loss_pt": (("snapshot", "ref_layer"), [[0.4], [0.2]])},
    ...     {"snapshot": [25, 50], "ref_layer": [3], "layer": [3]})
    >>> at_distance(ds, 0.3).stir_ft_pt.values
    array([[0.7]])
    >>> at_distance(ds, 0.1).stir_ft_pt.values
    array([[nan]])
    """
    if "snapshot" not in ds.dims:
        raise ValueError("this comparison has no snapshots: compare(..., snapshots=(25, 50, 100))")
    if not distance > 0:
        raise ValueError(f"distance={distance!r} must be a positive number")
    out = ds.drop_dims("snapshot")
    measure = {"relative": "inversion_loss", "centred": "inversion_loss_centred"}
    measure = measure[choices("unit", unit, measure)]
    for name in [name for name, values in ds.items() if "snapshot" in values.dims]:
        if not str(name).startswith(("stir", "inversion_loss")):
            continue
        short = str(name).removesuffix("_jackknife").removesuffix("_left_out")
        short = short.removesuffix("_diagonal").rpartition("_")[2]  # stir_ft_pt: inverted was pt
        left = ds[f"{measure}_{short}"]
        if "ref_layer" not in ds[name].dims:  # of a diagonal
            left = left.rename(ref_layer="layer")
        dims = [["snapshot"], ["snapshot"], []]
        read = xr.apply_ufunc(
            _read, ds[name], left, distance, input_core_dims=dims, keep_attrs=True
        )
        order = [dim for dim in ds[name].dims if dim != "snapshot"]
        out[name] = read.transpose(*order).drop_vars("snapshot", errors="ignore")
    return out


def gap(values: xr.DataArray, left: xr.DataArray, dim: str) -> xr.DataArray:
    r"""Return how far apart curves of values over distance lie, (…, `dim`), from the first.

    `values` and `left` (the distance) share the dims ``snapshot`` and `dim`, such as ``recipe``.
    Each curve is compared with the first of `dim` at the distances of its own snapshots, where the
    first lies on both sides. The largest absolute difference is returned; NaN where the two have no
    distance in common. If it stays within what draws differ by, the distance is all that matters.

    Examples
    --------
    >>> dims, recipes = ("recipe", "snapshot"), {"recipe": ["fast", "ngd"]}
    >>> left = xr.DataArray([[0.4, 0.2], [0.5, 0.3]], recipes, dims)
    >>> values = xr.DataArray([[0.6, 0.8], [0.1, 0.6]], recipes, dims)
    >>> gap(values, left, "recipe").round(3).values
    array([0. , 0.1])
    """
    for name in {dim, "snapshot"} - (set(values.dims) & set(left.dims)):
        has = f"they have {values.dims} and {left.dims}"
        raise ValueError(f"values and left need a dim {name!r}; {has}")
    first = values.isel({dim: 0}), left.isel({dim: 0})
    dims = [["snapshot"]] * 4
    return xr.apply_ufunc(_gap, values, left, *first, input_core_dims=dims, vectorize=True)


def _gap(values: np.ndarray, left: np.ndarray, first: np.ndarray, first_left: np.ndarray) -> float:
    known = np.isfinite(first) & np.isfinite(first_left)
    order = np.argsort(first_left[known])
    at, curve = first_left[known][order], first[known][order]
    if not len(at):
        return np.nan
    inside = np.isfinite(values) & (left >= at[0]) & (left <= at[-1])
    off = abs(values[inside] - np.interp(left[inside], at, curve))
    return off.max() if len(off) else np.nan


def extrapolate(values: xr.DataArray, left: xr.DataArray, *, last: int = 3) -> xr.Dataset:
    r"""Return what values would be at distance 0, by two forms, and how well each form predicts.

    Each form, :math:`a + b d` and :math:`a + b d^2`, is fitted by least squares to the `last`
    snapshots. To judge it, it is also fitted to the `last` snapshots before the deepest one, and
    predicts that one. The forms' range is a lower bound of the error, and no verdict should rest on
    an extrapolation alone.

    Returns ``at_zero`` and ``held_out`` (predicted minus found), (form, …), NaN with too few
    snapshots.

    Examples
    --------
    >>> left = xr.DataArray([0.8, 0.4, 0.2, 0.1], dims="snapshot")
    >>> extrapolate(1 - 2 * left, left).at_zero.round(3).values  # its own form finds 1
    array([1. , 0.8])
    """
    parts = []
    for form in FORMS.values():
        found = xr.apply_ufunc(
            lambda y, d, form=form: _fitted(y, form(d), last),
            values,
            left,
            input_core_dims=[["snapshot"], ["snapshot"]],
            output_core_dims=[[], []],
            vectorize=True,
        )
        parts.append(xr.Dataset(dict(zip(("at_zero", "held_out"), found, strict=True))))
    return xr.concat(parts, xr.Variable("form", list(FORMS)))


def _fitted(y: np.ndarray, d: np.ndarray, last: int) -> tuple[float, float]:
    """Return the line's value at 0, and what the line through those before misses the last by."""
    known = np.isfinite(y) & np.isfinite(d)
    y, d = y[known], d[known]
    if len(y) < last or np.ptp(d[-last:]) == 0:
        return np.nan, np.nan
    slope, at_zero = np.polyfit(d[-last:], y[-last:], 1)
    before = slice(-last - 1, -1)
    if len(y) == last or np.ptp(d[before]) == 0:
        return at_zero, np.nan
    return at_zero, np.polyval(np.polyfit(d[before], y[before], 1), d[-1]) - y[-1]


def _read(values: np.ndarray, left: np.ndarray, distance: float) -> np.ndarray:
    """Interpolate values (…, S) at a distance between those of the snapshots (…, S), which fall."""
    values, left = np.broadcast_arrays(values, left)
    last = left.shape[-1] - 1
    after = (left > distance).sum(-1)  # the first snapshot that is as near, if any
    reached = (after <= last) & ((after > 0) | (left[..., 0] == distance))
    after = after.clip(0, last)[..., None]
    before = (after - 1).clip(0)

    def at(array: np.ndarray, where: np.ndarray) -> np.ndarray:
        return np.take_along_axis(array, where, -1)[..., 0]

    step = at(left, before) - at(left, after)
    weight = np.divide(at(left, before) - distance, step, out=np.ones_like(step), where=step > 0)
    between = at(values, before) * (1 - weight) + at(values, after) * weight
    return np.where(reached, between, np.nan)
