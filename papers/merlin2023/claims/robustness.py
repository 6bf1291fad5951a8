"""Measures of paper A, section 4.4 and appendix E: robustness in several trainings."""

from __future__ import annotations

import xarray as xr

from papers.claims.measures import obstacle
from papers.merlin2023.claims.dynamics import spread_correlation

__all__ = ["highest_of_trainings", "lowest_of_trainings"]


def _too_few(ds: xr.Dataset, *, optimizer: str, fewest: int) -> str:
    if (count := len(_trained_by(ds, optimizer))) < fewest:
        return f"trainings with {optimizer} in these results: {count}, the claim needs {fewest}"
    return ""


@obstacle(_too_few)
def lowest_of_trainings(
    ds: xr.Dataset, *, self_term: str, optimizer: str, fewest: int
) -> xr.DataArray:
    """Return the smallest `spread_correlation` of the trainings with an optimiser."""
    ds = ds.sel(optimizer=_trained_by(ds, optimizer))
    return spread_correlation(ds, self_term=self_term).min("optimizer", skipna=False)


@obstacle(_too_few)
def highest_of_trainings(
    ds: xr.Dataset, *, self_term: str, optimizer: str, fewest: int
) -> xr.DataArray:
    """Return the largest `spread_correlation` of the trainings with an optimiser."""
    ds = ds.sel(optimizer=_trained_by(ds, optimizer))
    return spread_correlation(ds, self_term=self_term).max("optimizer", skipna=False)


def _trained_by(ds: xr.Dataset, optimizer: str) -> list[str]:
    names = ds["optimizer"].values.tolist() if "optimizer" in ds.dims else []
    return [name for name in names if name.split(":")[0] == optimizer.lower()]
