"""Measures of the page on other images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from invlib.metrics.invariance import compression, invariance_flow
from papers.claims.correlation import pearson
from papers.merlin2023.robustness_scan import forgetting_spread, mean_corrupted_accuracy

__all__ = ["compression_beyond", "robustness_relation"]


def compression_beyond(ds: xr.Dataset, *, block: Mapping[str, Sequence[int]]) -> xr.DataArray:
    """Return mean compression in a block beyond that of the pretrained model, over settings."""
    flow = invariance_flow(ds) - invariance_flow(ds, target="pt")
    layers = (range(block[m][0], block[m][-1] + 1) for m in ("pretrained", "finetuned"))
    return compression(flow, *layers).mean("setting", skipna=False)


def robustness_relation(
    ds: xr.Dataset, *, given_clean: bool, self_term: str = "measured"
) -> xr.DataArray:
    """Return the correlation over settings of the spread of forgetting with corrupted accuracy.

    With `given_clean` it is partial: clean accuracy is held fixed. Trainings that are no longer
    told apart by `train_seed` are one point for each setting.
    """
    spread = forgetting_spread(ds, self_term=self_term, seeds="each")
    clean = ds["corrupted_accuracy"].sel(severity=0, drop=True)
    corrupted = mean_corrupted_accuracy(ds)
    over = [d for d in ("setting", "train_seed") if d in clean.dims]

    def r(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
        a, b = xr.broadcast(a.reset_coords(drop=True), b.reset_coords(drop=True))
        a, b = (x.stack(point=over) for x in (a, b))
        return xr.apply_ufunc(pearson, a, b, input_core_dims=[["point"], ["point"]])

    plain = r(spread, corrupted)
    if not given_clean:
        return plain
    x, y = r(spread, clean), r(corrupted, clean)
    return (plain - x * y) / np.sqrt((1 - x**2) * (1 - y**2))
