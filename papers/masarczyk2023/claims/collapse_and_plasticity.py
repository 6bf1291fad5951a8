"""Measures of paper C, Figures 3 to 6 and Grad-CAM: layers, relearning, shares of squares.

Datasets and shares are as in the module `feature_erosion`.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from invlib.metrics.invariance import diagonal
from papers.claims.data import RESOLUTION
from papers.masarczyk2023.base import AGAIN, ORIGINAL, SQUARES
from papers.masarczyk2023.claims.feature_erosion import share_kept
from papers.masarczyk2023.task_logs import after_task

__all__ = [
    "bend",
    "dissimilar_share",
    "distance_to_probe",
    "first_dissimilar_depth",
    "grad_cam_on_square",
    "kendall_correlation",
    "largest_rank_ratio",
    "lost_at_modest_shares",
    "median_rank_ratio",
    "probe_accuracy_lost",
    "relearning_minus_learning",
    "relearnt_minus_learnt",
]


def dissimilar_share(ds: xr.Dataset, *, low: float) -> xr.DataArray:
    """Return the share of layers whose CKA before and after squares is below `low`."""
    return (_cka(ds) < low).mean("layer")


def first_dissimilar_depth(ds: xr.Dataset, *, low: float) -> xr.DataArray:
    """Return the depth of the first layer with CKA below `low`; 1, the end, if there is none."""
    return ds["depth"].where(_cka(ds) < low).min("layer").fillna(1.0)


def distance_to_probe(ds: xr.Dataset, *, layer: int) -> xr.DataArray:
    """Return the distance between test accuracy with squares and that of a probe of `layer`."""
    probe = ds["probe_accuracy"].sel(task=SQUARES, carrying=SQUARES, layer=layer, drop=True)
    return abs(after_task(ds, "test_accuracy_squares", SQUARES) - probe)


def largest_rank_ratio(ds: xr.Dataset, *, rtol: float) -> xr.DataArray:
    """Return the largest ratio, over layers, of the rank after squares to the rank before."""
    return _rank_ratio(ds).sel(rtol=rtol, method="nearest", drop=True).max("layer")


def median_rank_ratio(ds: xr.Dataset) -> xr.DataArray:
    """Return the median of that ratio over layers, the largest over all thresholds."""
    return _rank_ratio(ds).median("layer").max("rtol")


def probe_accuracy_lost(ds: xr.Dataset) -> xr.DataArray:
    """Return the accuracy of linear probes on original images that squares cost, mean of layers."""
    probe = ds["probe_accuracy"].sel(carrying=ORIGINAL, drop=True).sel(layer=slice(1, None))
    before, after = (probe.sel(task=task, drop=True) for task in (ORIGINAL, SQUARES))
    return (before - after).mean("layer")


def relearning_minus_learning(ds: xr.Dataset) -> xr.DataArray:
    """Return test accuracy in the third task minus that in the first, mean over epochs from 1."""
    curve = ds["test_accuracy"].sel(epoch=slice(1, None))
    difference = curve.sel(task=AGAIN, drop=True) - curve.sel(task=ORIGINAL, drop=True)
    return difference.mean("epoch")


def relearnt_minus_learnt(ds: xr.Dataset) -> xr.DataArray:
    """Return final test accuracy of the third task minus that of the first."""
    again, first = (after_task(ds, "test_accuracy", task) for task in (AGAIN, ORIGINAL))
    return again - first


def kendall_correlation(ds: xr.Dataset) -> xr.DataArray:
    """Return Kendall's correlation of forgetting with the ratio of squares."""
    lost = _forgotten(ds)
    other = lost.rename(ratio="other")
    signs = np.sign(lost - other) * np.sign(ds["ratio"] - other["other"])
    count = lost.sizes["ratio"]
    return signs.sum(("ratio", "other")) / (count * (count - 1) or np.nan)


def bend(ds: xr.Dataset) -> xr.DataArray:
    """Return the largest distance of forgetting from a straight line, divided by its height."""
    lost, r = _forgotten(ds), ds["ratio"]
    first, last = (lost.isel(ratio=i, drop=True) for i in (0, -1))
    straight = first + (last - first) * (r - r[0]) / (r[-1] - r[0])
    return abs(lost - straight).max("ratio") / np.maximum(abs(last - first), RESOLUTION)


def lost_at_modest_shares(ds: xr.Dataset, *, modest: float) -> xr.DataArray:
    """Return the most forgotten at a ratio of squares up to `modest`, minus that at 0."""
    lost = _forgotten(ds)
    few = lost.where((lost["ratio"] > 0) & (lost["ratio"] <= modest)).max("ratio")
    return few - lost.where(lost["ratio"] == 0).max("ratio")


def grad_cam_on_square(ds: xr.Dataset) -> xr.DataArray:
    """Return the share of Grad-CAM in the quarter of the image that has the square."""
    return ds["grad_cam_corner"].sel(task=SQUARES, drop=True)


def _cka(ds: xr.Dataset) -> xr.DataArray:
    """Return CKA of every layer before and after squares; without layer 0, the input."""
    return diagonal(ds, "cka_ft_pt").sel(layer=slice(1, None))


def _rank_ratio(ds: xr.Dataset) -> xr.DataArray:
    """Return the rank after the second task divided by that after the first."""
    rank = ds["numerical_rank"].sel(carrying=ORIGINAL, drop=True).sel(layer=slice(1, None))
    before, after = (rank.sel(task=task, drop=True) for task in (ORIGINAL, SQUARES))
    return after / np.maximum(before, 1)


def _forgotten(ds: xr.Dataset) -> xr.DataArray:
    """Return the share of accuracy above chance that the second task costs, by ratio."""
    return 1 - share_kept(ds, ds["ratio_accuracy"])
