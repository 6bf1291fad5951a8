"""Equations 2–5 on Datasets whose answer is known."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from invlib import cka_divergence, forgetting, invariance_flow, learning
from invlib.metrics.invariance import (
    compressed_share,
    compression,
    diagonal,
    diagonals,
    expansion,
    nearest_depth,
)

LAYERS = [0, 1, 2]


@pytest.fixture
def ds():
    rng = np.random.default_rng(0)
    dims = ("estimator", "seed", "ref_layer", "layer")
    names = ["stir_ft_pt", "stir_pt_ft", "stir_pt_pt", "stir_ft_ft", "cka_ft_pt", "cka_pt_pt"]
    return xr.Dataset(
        {name: (dims, rng.random((2, 4, 3, 3))) for name in names},
        dict(
            estimator=["biased", "debiased"],
            seed=range(4),
            ref_layer=LAYERS,
            layer=LAYERS,
            layer_name=("layer", list("abc")),
        ),
    )


def diag(ds, name):
    return np.stack([ds[name].values[..., i, i] for i in range(3)], axis=-1)


def test_the_definitions(ds):
    expected = {
        learning: diag(ds, "stir_ft_ft") - diag(ds, "stir_pt_ft"),
        forgetting: diag(ds, "stir_pt_pt") - diag(ds, "stir_ft_pt"),
        cka_divergence: diag(ds, "cka_pt_pt") - diag(ds, "cka_ft_pt"),
    }
    for function, values in expected.items():
        result = function(ds)
        assert result.dims == ("estimator", "seed", "layer")
        np.testing.assert_array_equal(result, values)
        assert list(result.layer_name.values) == list("abc")
        assert result.attrs["long_name"] and result.attrs["units"] == "1"


def test_the_papers_self_term_is_one(ds):
    np.testing.assert_array_equal(learning(ds, self_term="one"), 1 - diag(ds, "stir_pt_ft"))
    np.testing.assert_array_equal(forgetting(ds, self_term="one"), 1 - diag(ds, "stir_ft_pt"))


def test_flow_is_antisymmetric_and_reads_compressed_below_the_diagonal(ds):
    flow = invariance_flow(ds)
    a = ds.stir_ft_pt.values  # [..., i, j] = STIR(ft[j] | pt[i])
    for i in LAYERS:
        for j in LAYERS:
            np.testing.assert_array_equal(flow.values[..., i, j], a[..., i, j] - a[..., j, i])
    assert np.abs(flow.values).max() > 0
    # pretrained layer 2's invariances found in fine-tuned layer 0: compressed, so M(2, 0) > 0
    zero = xr.zeros_like(ds.stir_ft_pt)
    zero.loc[dict(ref_layer=2, layer=0)] = 1.0
    moved = invariance_flow(ds.assign(stir_ft_pt=zero))
    assert (moved.sel(ref_layer=2, layer=0) == 1).all()
    assert (moved.sel(ref_layer=0, layer=2) == -1).all()


def test_a_stored_diagonal_serves_as_well(ds):
    short = ds.drop_vars(["stir_ft_pt", "stir_pt_pt"]).assign(
        {f"{n}_diagonal": diagonal(ds, n) for n in ("stir_ft_pt", "stir_pt_pt")}
    )
    xr.testing.assert_equal(forgetting(short), forgetting(ds))


def test_extra_dims_pass_through_and_order_does_not_matter(ds):
    many = xr.concat([ds, ds * 0.5], xr.Variable("epoch", [0, 1]))
    result = learning(many.transpose(..., "layer", "ref_layer", "epoch"))
    assert set(result.dims) == {"epoch", "estimator", "seed", "layer"}
    np.testing.assert_allclose(result.sel(epoch=1), learning(ds).values * 0.5)


def test_refusals(ds):
    with pytest.raises(ValueError, match="did you mean 'measured'"):
        learning(ds, self_term="measurd")
    with pytest.raises(KeyError, match="stir_ft_ft"):
        learning(ds.drop_vars("stir_ft_ft"))


@pytest.mark.parametrize(
    "function", [learning, forgetting, cka_divergence, invariance_flow, diagonals]
)
def test_what_is_no_dataset_is_one_line_with_the_remedy(ds, function):
    for other in ("file.nc", Path("file.nc"), None, ds["stir_ft_pt"], {"stir_ft_pt": 1}, (ds,)):
        with pytest.raises(TypeError, match=r"not a Dataset; open_results\(path\) reads one"):
            function(other)


def test_each_quantity_has_its_name(ds):
    names = {
        learning: ("learning", "learning"),
        forgetting: ("forgetting", "forgetting"),
        cka_divergence: ("cka_divergence", "CKA divergence"),
        invariance_flow: ("invariance_flow", "invariance flow"),
    }
    for function, (name, long_name) in names.items():
        result = function(ds)
        assert (result.name, result.attrs) == (name, {"long_name": long_name, "units": "1"})
        assert ("ref_layer" in result.coords) == (function is invariance_flow)


def test_the_flow_has_two_targets_and_names_what_it_cannot_do(ds):
    flow = invariance_flow(ds, target="pt")
    np.testing.assert_array_equal(
        flow, ds.stir_pt_pt.values - ds.stir_pt_pt.values.swapaxes(-1, -2)
    )
    with pytest.raises(ValueError, match=r"target='tp' is not one of 'ft', 'pt'"):
        invariance_flow(ds, target="tp")
    with pytest.raises(ValueError, match=r"self_term='on' is not one of"):
        learning(ds, self_term="on")
    with pytest.raises(KeyError, match=r"unknown variable 'stir_ft_ft'"):
        learning(ds.drop_vars("stir_ft_ft"))


def test_compression_and_expansion_are_the_means_of_the_triangles(ds):
    flow = invariance_flow(ds)
    below = [(i, j) for i in LAYERS for j in LAYERS if j < i]
    values = np.stack([flow.values[..., i, j] for i, j in below])
    np.testing.assert_allclose(compression(flow), values.mean(0))
    np.testing.assert_allclose(expansion(flow), -values.mean(0))
    np.testing.assert_allclose(compressed_share(flow), (values > 0).mean(0))
    # of pretrained layers 1 and 2 and fine-tuned layers 0 and 1: the pairs (1, 0), (2, 0), (2, 1)
    some = dict(pretrained=[1, 2], finetuned=[0, 1])
    np.testing.assert_allclose(compression(flow, **some), values.mean(0))
    assert expansion(flow, **some).isnull().all()
    np.testing.assert_allclose(
        expansion(flow, pretrained=[0], finetuned=[2]), flow.values[..., 0, 2]
    )
    one = compression(flow, pretrained=[2], finetuned=[0])
    np.testing.assert_allclose(one, flow.values[..., 2, 0])
    assert (compressed_share(0 * flow) == 0).all()  # where nothing flows, nothing is compressed
    missing = flow.where(flow["ref_layer"] < 2)  # a layer that one network does not have
    np.testing.assert_allclose(compressed_share(missing), flow.values[..., 1, 0] > 0)


def test_of_two_depths_equally_near_the_shallower_is_taken():
    assert 0.4 - 0.3 > 0.5 - 0.4  # in floating point
    assert nearest_depth([0.4, 0.41], [0.3, 0.5]).tolist() == [0, 1]
    assert nearest_depth([0.4], [0.3, 0.5 - 2e-10]).tolist() == [0]  # within rounding


# ── Two different networks ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def two():
    """Depths 0, 1/2, 1 and 0, 1/4, 1/2, 3/4, 1: i* is 0, 2, 4; and back 0, 0 (a tie), 1, 1, 2.

    STIR(target j | reference i) is 10 i + j, plus 100 if the reference is ft and 1000 if the
    target is.
    """
    i, j = np.meshgrid(range(5), range(5), indexing="ij")
    size, data = {"pt": 3, "ft": 5}, {}
    for measure in ("stir", "cka"):
        for target, reference in [("ft", "pt"), ("pt", "ft"), ("pt", "pt"), ("ft", "ft")]:
            values = 10.0 * i + j + 100 * (reference == "ft") + 1000 * (target == "ft")
            exists = (i < size[reference]) & (j < size[target])
            data[f"{measure}_{target}_{reference}"] = (
                ("ref_layer", "layer"),
                np.where(exists, values, np.nan),
            )
    depth = {"pt": [0, 0.5, 1, np.nan, np.nan], "ft": [0, 0.25, 0.5, 0.75, 1]}
    names = {"pt": ["p0", "p1", "p2", "", ""], "ft": ["f0", "f1", "f2", "f3", "f4"]}
    coords = {f"depth_{short}": ("layer", values) for short, values in depth.items()}
    coords |= {f"layer_name_{short}": ("layer", values) for short, values in names.items()}
    return xr.Dataset(data, dict(ref_layer=range(5), layer=range(5)) | coords)


NONE = [np.nan, np.nan]


@pytest.mark.parametrize(
    ("function", "expected", "names"),
    [
        # 11 i − (10 i + i*), and what targets and references differ by
        (forgetting, [-1000 + 0, -1000 - 1, -1000 - 2, *NONE], ["p0", "p1", "p2", "", ""]),
        (cka_divergence, [-1000 + 0, -1000 - 1, -1000 - 2, *NONE], ["p0", "p1", "p2", "", ""]),
        (learning, [1000 + k for k in (0, 1, 1, 2, 2)], ["f0", "f1", "f2", "f3", "f4"]),
    ],
)
def test_a_layer_is_compared_with_the_nearest_in_relative_depth(two, function, expected, names):
    value = function(two)
    np.testing.assert_array_equal(value, expected)
    assert value.layer_name.values.tolist() == names and value.dims == ("layer",)
    np.testing.assert_array_equal(value.depth, two[f"depth_{names[0][0]}t"])
    # and the same from stored diagonals
    np.testing.assert_array_equal(function(diagonals(two)), expected)


def test_the_papers_self_term_where_there_is_a_layer(two):
    ones = forgetting(two, self_term="one")
    np.testing.assert_array_equal(ones, [1 - 1000, 1 - 1012, 1 - 1024, *NONE])


def test_flow_between_networks_of_different_depth(two):
    there, back = [0, 2, 4], [0, 0, 1, 1, 2]  # i* of pt's layers, and of ft's
    flow = invariance_flow(two)
    for i in range(3):
        for j in range(5):
            assert flow.values[i, j] == (10 * i + j) - (10 * back[j] + there[i])
    assert flow.isel(ref_layer=slice(3, None)).isnull().all()
    below = [flow.values[i, j] for i in range(3) for j in range(there[i])]
    above = [flow.values[i, j] for i in range(3) for j in range(there[i] + 1, 5)]
    assert float(compression(flow)) == pytest.approx(np.mean(below))
    assert float(expansion(flow)) == pytest.approx(np.mean(above))
    assert float(compressed_share(flow)) == np.mean(np.array(below) > 0)
    own = invariance_flow(two, target="pt")  # one network: eq. 5 as it stands
    np.testing.assert_array_equal(own[:3, :3], [[0, -9, -18], [9, 0, -9], [18, 9, 0]])


def test_networks_with_the_same_depths_have_the_flow_of_one(ds):
    coords = {f"depth_{short}": ("layer", [0, 0.5, 1]) for short in ("pt", "ft")}
    coords |= {f"layer_name_{short}": ("layer", list("abc")) for short in ("pt", "ft")}
    two = ds.drop_vars("layer_name").assign_coords(coords)
    np.testing.assert_array_equal(invariance_flow(two), invariance_flow(ds))
    np.testing.assert_array_equal(learning(two), learning(ds))
    share = compressed_share(invariance_flow(two))
    np.testing.assert_array_equal(share, compressed_share(invariance_flow(ds)))


def test_a_diagonal_has_the_labels_of_its_own_network_alone(two):
    for ds in (two, diagonals(two)):
        assert set(forgetting(ds).coords) == {"layer", "depth", "layer_name"}


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (dict(ref_layer=1), "stir_ft_ft has ref_layer 1: cut the result"),
        (
            dict(ref_layer=[0, 1]),
            "stir_ft_ft has ref_layer [0 1]: cut the result",
        ),
    ],
)
def test_results_cut_along_one_of_their_layers(cut, said):
    layers = dict(ref_layer=range(3), layer=range(3))
    names = ("stir_ft_ft", "stir_pt_ft")
    ds = xr.Dataset({name: (tuple(layers), np.eye(3)) for name in names}, layers)
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        learning(ds.isel(cut))
    assert learning(ds.isel(layer=[0, 2])).shape == (2,)
