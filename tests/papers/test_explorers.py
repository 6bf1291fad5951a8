"""What explorers show is what the library computes from the results."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest
import xarray as xr

from invlib.metrics.invariance import invariance_flow
from invlib.paths import results_root
from invlib.results.netcdf import open_results
from papers import explorers

LARGEST = 500_000  # bytes of one explorer's data


def reference(name: str) -> dict[str, xr.Dataset]:
    return {"reference: cifar": open_results(results_root("cifar") / f"{name}.nc")}


def data_of(element) -> dict:
    text = re.search(r"<script type='application/json'>(.*?)</script>", element.data, re.DOTALL)[1]
    assert len(text) < LARGEST and "<" not in text
    return json.loads(text)


def unpacked(array: dict) -> xr.DataArray:
    """Read an array as the script of the page does."""
    kind = {"Int16": "<i2", "Float32": "<f4"}[array["type"]]
    values = np.frombuffer(base64.b64decode(array["data"]), kind).astype(float)
    values[(values == -32768) & (array["type"] == "Int16")] = np.nan
    shape = [len(labels) for labels in array["dims"].values()]
    return xr.DataArray((values * array["factor"]).reshape(shape), array["dims"], array["dims"])


@pytest.mark.parametrize("exact", [False, True])
def test_a_packed_array_is_read_again(exact):
    array = xr.DataArray([[0.25, -3.0, np.nan], [np.inf, 1e-4, 0.0]], dims=("layer", "seed"))
    read = unpacked(json.loads(json.dumps(explorers.packed(array, exact=exact))))
    wanted = array if exact else array.where(np.isfinite(array))
    np.testing.assert_allclose(read, wanted, atol=1e-8 if exact else 3 / 65000)


def test_text_cannot_leave_its_element():
    made = explorers.element("flow", "a 'name' & <b>", {"title": "</script><b>"}).data
    assert "</script><b>" not in made and "<b>" not in made
    assert json.loads(re.search(r"json'>(.*?)</script>", made)[1]) == {"title": "</script><b>"}


def test_the_flow_matrix_and_its_terms():
    shown = reference("compression_expansion")
    data = data_of(explorers.flow(shown))
    ds = shown["reference: cifar"].isel(dataset=0, drop=True)
    flow, beyond, stir = (unpacked(data[name]) for name in ("flow", "beyond", "stir"))
    flow, beyond, stir = (a.isel(dataset=0, drop=True) for a in (flow, beyond, stir))
    *tasks, itself = flow["task"].values
    wanted = invariance_flow(ds).mean("seed")
    baseline = invariance_flow(ds, target="pt").mean("seed")
    close = dict(atol=5e-5, rtol=0)
    for name, array in {"flow": wanted, "beyond": wanted - baseline}.items():
        one = dict(flow=flow, beyond=beyond)[name].sel(task=tasks)
        xr.testing.assert_allclose(one.transpose(*array.dims).drop_vars(one.coords),
                                   array.drop_vars(array.coords), **close)  # fmt: skip
    np.testing.assert_allclose(flow.sel(task=itself).transpose(*baseline.dims), baseline, **close)
    first = stir.rename(ref_layer="i", layer="j")
    second = stir.rename(ref_layer="j", layer="i")
    matrix = flow.rename(ref_layer="i", layer="j")
    np.testing.assert_allclose((first - second).transpose(*matrix.dims), matrix, atol=1e-4)
