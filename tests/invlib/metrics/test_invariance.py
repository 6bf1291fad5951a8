"""Equations 2–5 on Datasets whose answer is known."""

import numpy as np
import pytest
import xarray as xr

from invlib import cka_divergence, forgetting, invariance_flow, learning
from invlib.metrics.invariance import compressed_share, compression, diagonal, expansion

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
            ref_layer_name=("ref_layer", list("abc")),
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
        assert not {"ref_layer_name", "ref_depth"} & set(result.coords)


def test_the_flow_has_two_targets_and_names_what_it_cannot_do(ds):
    ds = ds.assign_coords(ref_depth=("ref_layer", [0.0, 0.5, 1.0]))
    flow = invariance_flow(ds, target="pt")
    np.testing.assert_array_equal(
        flow, ds.stir_pt_pt.values - ds.stir_pt_pt.values.swapaxes(-1, -2)
    )
    assert not {"ref_layer_name", "ref_depth"} & set(flow.coords)
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
    missing = flow.where(flow["ref_layer"] < 2)  # a layer that one network does not have
    np.testing.assert_allclose(compressed_share(missing), flow.values[..., 1, 0] > 0)
