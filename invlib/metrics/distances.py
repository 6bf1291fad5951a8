"""Comparisons read at a distance: STIR is a function of how far inversion got.

Pure functions of a comparison Dataset with a dim ``snapshot`` (`invlib.compare`).
"""

from __future__ import annotations

import numpy as np
import xarray as xr

__all__ = ["at_distance"]


def at_distance(ds: xr.Dataset, distance: float) -> xr.Dataset:
    r"""Return a comparison as it was when inversion had come to `distance`, without ``snapshot``.

    The distance is :math:`\lVert m(x') - m(x)\rVert / \lVert m(x)\rVert` in the mean over images,
    of the model and layer that was inverted (``inversion_loss_…``). Between two snapshots STIR is
    interpolated linearly in it. It is NaN where inversion did not come so far, and where it was
    nearer already at the first snapshot: nothing is extrapolated. `learning`, `forgetting` and
    `invariance_flow` take the result as they take any comparison.

    Raises
    ------
    ValueError
        For a Dataset without snapshots, or a distance that is not positive.

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
    for name in [name for name, values in ds.items() if "snapshot" in values.dims]:
        words = str(name).split("_")  # stir_ft_pt…: inverted was pt; inversion_loss_pt
        left = ds[f"inversion_loss_{words[2]}"]
        if "ref_layer" not in ds[name].dims:  # of a diagonal
            left = left.rename(ref_layer="layer")
        read = xr.apply_ufunc(
            _read,
            ds[name],
            left,
            distance,
            input_core_dims=[["snapshot"], ["snapshot"], []],
            keep_attrs=True,
        )
        order = [dim for dim in ds[name].dims if dim != "snapshot"]
        out[name] = read.transpose(*order).drop_vars("snapshot", errors="ignore")
    return out


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
