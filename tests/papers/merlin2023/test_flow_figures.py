"""Columns of flow matrices have a scale each; small ones have one, and their share compressed."""

import matplotlib as mpl
import numpy as np
import xarray as xr

from invlib.plots.words import describe
from papers.merlin2023.flow_figures import flow_columns, small_flows
from tests.invlib.plots.curves import curves

mpl.use("agg")


def test_each_column_of_flows_has_its_own_scale():
    flow = curves(ref_layer=[0, 1], layer=[0, 1])
    small, large = ({name: factor * flow for name in "ab"} for factor in (1, 5))
    fig = flow_columns({"biased": small, "debiased": large})
    at = {ax.get_gid(): ax.images[0].get_clim()[1] for ax in fig.axes if ax.images}
    top = float(abs(flow).max())
    assert at == {
        "biased, a": top,
        "biased, b": top,
        "debiased, a": 5 * top,
        "debiased, b": 5 * top,
    }


def test_small_flows_lie_as_the_large_ones_and_say_their_share():
    flow = xr.DataArray(
        [[0, -2, 1], [2, 0, -3], [-1, 3, 0]], dict(ref_layer=[0, 1, 2], layer=[0, 1, 2])
    )
    rows = {name: {"classification": flow.T.transpose(), "reconstruction": -flow} for name in "ab"}
    fig = small_flows(rows)
    drawn = [ax for ax in fig.axes if ax.images]
    np.testing.assert_array_equal(drawn[0].images[0].get_array(), flow)
    assert {ax.images[0].get_clim() for ax in drawn} == {(-3, 3)}
    assert [ax.get_xlabel() for ax in drawn] == ["0.67", "0.33"] * 2  # 2 of 3 below are positive
    said = describe(fig)
    assert "4 pictures; rows: a, b; columns: classification, reconstruction" in said
    assert said.endswith("below them, left to right: 0.67, 0.33, 0.67, 0.33.")
