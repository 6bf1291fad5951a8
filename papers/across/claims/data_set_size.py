"""Measures of the page on the size of the data set."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from invlib.metrics.invariance import compression, forgetting, invariance_flow, learning
from invlib.names import choices
from papers.claims.shapes import level

__all__ = ["more_images", "more_images_flow", "steps_and_data"]

QUANTITIES = {"learning": learning, "forgetting": forgetting}


def more_images(
    ds: xr.Dataset,
    *,
    quantity: str,
    budget: str,
    sizes: Sequence[int],
    layers: Sequence[int],
    self_term: str,
) -> xr.DataArray:
    """Return a quantity at `layers` on the last of `sizes` minus that on the first."""
    curve = QUANTITIES[choices("quantity", quantity, QUANTITIES)](ds, self_term=self_term)
    by_size = level(curve.sel(budget=budget, drop=True), layers)
    return _gain(by_size, sizes)


def more_images_flow(ds: xr.Dataset, *, budget: str, sizes: Sequence[int]) -> xr.DataArray:
    """Return mean compression on the last of `sizes` minus that on the first."""
    return _gain(compression(invariance_flow(ds).sel(budget=budget, drop=True)), sizes)


def steps_and_data(
    ds: xr.Dataset, *, sizes: Sequence[int], layers: Sequence[int], self_term: str
) -> xr.DataArray:
    """Return the gain of forgetting with images at equal epochs minus that at equal steps."""
    options = dict(quantity="forgetting", sizes=sizes, layers=layers, self_term=self_term)
    epochs, steps = (more_images(ds, budget=name, **options) for name in ("epochs", "steps"))
    return epochs - steps


def _gain(by_size: xr.DataArray, sizes: Sequence[int]) -> xr.DataArray:
    first, last = (by_size.sel(n_train=n, drop=True) for n in (sizes[0], sizes[-1]))
    return last - first
