"""Measures of the page on architectures. Thirds are those of the depth of each network."""

from __future__ import annotations

import xarray as xr

from invlib.metrics.invariance import compression
from papers.claims.correlation import pearson
from papers.claims.shapes import least, ratio

__all__ = [
    "compression_beyond_start",
    "early",
    "invariance_over_similarity",
    "late_above_early",
    "rises",
    "valley",
]


def thirds(ds: xr.Dataset, case: str, quantity: str) -> list[xr.DataArray]:
    """Return the mean of a quantity over the first, the middle and the last third of the depth."""
    values, depth = (ds[name].sel(case=case, drop=True) for name in (quantity, "layer_depth"))
    first, last = depth < 1 / 3 + 1e-6, depth > 2 / 3 - 1e-6
    parts = first, ~first & ~last & depth.notnull(), last
    return [values.where(part).mean("place") for part in parts]


def late_above_early(ds: xr.Dataset, *, case: str, quantity: str) -> xr.DataArray:
    """Return a quantity in the last third minus that in the first."""
    first, _, last = thirds(ds, case, quantity)
    return last - first


def valley(ds: xr.Dataset, *, case: str, quantity: str) -> xr.DataArray:
    """Return a quantity in the lower of the outer thirds minus that in the middle."""
    first, middle, last = thirds(ds, case, quantity)
    return least([first, last]) - middle


def early(ds: xr.Dataset, *, case: str, quantity: str) -> xr.DataArray:
    """Return a quantity in the first third."""
    return thirds(ds, case, quantity)[0]


def rises(ds: xr.Dataset, *, case: str, quantity: str) -> xr.DataArray:
    """Return the correlation over layers of a quantity with depth."""
    pair = ds[quantity].sel(case=case, drop=True), ds["layer_depth"].sel(case=case, drop=True)
    return xr.apply_ufunc(pearson, *pair, input_core_dims=[["place"], ["place"]])


def invariance_over_similarity(ds: xr.Dataset, *, case: str) -> xr.DataArray:
    """Return the smaller of learning and forgetting over CKA divergence, in the first third."""
    learnt, lost, moved = (early(ds, case=case, quantity=name)
                           for name in ("learning", "forgetting", "cka_divergence"))  # fmt: skip
    return ratio(least([learnt, lost]), moved)


def compression_beyond_start(ds: xr.Dataset, *, case: str) -> xr.DataArray:
    """Return mean compression beyond that of the start to itself."""
    flow = (ds["flow"] - ds["flow_before"]).sel(case=case, drop=True)
    there = flow.isel(place=flow["place"] < ds["layer_depth"].sel(case=case).count())
    return compression(there.rename(ref_place="ref_layer", place="layer"))
