"""Shapes of curves: where one rises."""

from __future__ import annotations

import xarray as xr

from papers.claims import shapes


def test_the_layer_from_which_a_curve_rises():
    def onset(*curve):
        return float(shapes.onset(xr.DataArray(list(curve), {"layer": range(len(curve))})))

    assert onset(0.3, 0.1, 0.2, 0.5) == 1
    assert onset(0.1, 0.2, 0.3, 0.5) == 0
    assert onset(0.5, 0.3, 0.2, 0.1) == 3  # never
    assert onset(0.5, 0.3, 0.101, 0.1, 0.105) == 4  # nor by what is no change
    assert onset(0.2, 0.1, 0.3, 0.1) == 1  # the first of equals
