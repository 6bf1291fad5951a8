"""Shapes of curves: where one rises."""

from __future__ import annotations

import math

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


def test_crossing_is_where_the_curve_passes_a_value_for_good():
    def crossing(*curve):
        curve = xr.DataArray(list(curve), {"layer": range(len(curve))})
        return round(float(shapes.crossing(curve, 0.2)), 9)

    assert crossing(0.1, 0.3, 0.5) == 0.5
    assert crossing(0.1, 0.3, 0.1, 0.3) == 2.5  # not where it comes back
    assert crossing(0.3, 0.4) == 0
    assert crossing(0.3, 0.1) == 1  # never
    assert math.isnan(crossing(0.1, math.nan, 0.4))
    a, b = (xr.DataArray(c, {"layer": range(3)}) for c in ([0.0, 0.1, 0.3], [0.5, 0.9, 0.9]))
    assert round(float(shapes.crossing_difference(a, b, value=0.2)), 9) == 1


def test_a_gap_is_one_of_means_and_of_the_pair_where_it_is_largest():
    def curve(*values):
        return xr.DataArray(list(values), {"layer": range(len(values))})

    a, b = curve(0.2, 0.4), curve(0.5, 0.9)
    assert float(shapes.greatest_gap(a, beside=[curve(0.4, 0.2)])) == 0  # crossing, same mean
    gap = shapes.greatest_gap(a, b, beside=[curve(0.2, 0.5), curve(0.9, 0.9)])
    assert round(float(gap), 12) == 0.2
