"""Measures of the page on learning-rate schedules."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from invlib.metrics.invariance import forgetting
from papers.claims.shapes import early_peak_of, greatest, least, level

__all__ = ["end_beyond", "end_range", "peak_beyond", "peak_under"]


def _lost(ds: xr.Dataset, schedule: str, layers: Sequence[int], self_term: str) -> xr.DataArray:
    curve = level(forgetting(ds, self_term=self_term), layers)
    return curve.sel(schedule=schedule, drop=True)


def peak_under(
    ds: xr.Dataset, *, schedule: str, layers: Sequence[int], self_term: str
) -> xr.DataArray:
    """Return the early peak of forgetting at `layers` under a schedule."""
    return early_peak_of(_lost(ds, schedule, layers, self_term))


def peak_beyond(
    ds: xr.Dataset, *, schedules: Sequence[str], beside: str, layers: Sequence[int], self_term: str
) -> xr.DataArray:
    """Return the smallest early peak of `schedules` minus that of the schedule `beside`."""
    options = dict(layers=layers, self_term=self_term)
    peaks = [peak_under(ds, schedule=schedule, **options) for schedule in schedules]
    return least(peaks) - peak_under(ds, schedule=beside, **options)


def end_range(
    ds: xr.Dataset, *, schedules: Sequence[str], layers: Sequence[int], self_term: str
) -> xr.DataArray:
    """Return how far forgetting at `layers` after the last epoch differs among `schedules`."""
    ends = [_lost(ds, name, layers, self_term).isel(epoch=-1, drop=True) for name in schedules]
    return greatest(ends) - least(ends)


def end_beyond(
    ds: xr.Dataset, *, schedule: str, beside: str, layers: Sequence[int], self_term: str
) -> xr.DataArray:
    """Return forgetting at `layers` after the last epoch, minus that of the schedule `beside`."""
    one, other = (_lost(ds, name, layers, self_term) for name in (schedule, beside))
    return (one - other).isel(epoch=-1, drop=True)
