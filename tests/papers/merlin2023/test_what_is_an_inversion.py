"""The introduction: what one network takes for the same images, an untrained one tells apart."""

from __future__ import annotations

import json

import numpy as np
import pytest

from papers.parameters import load_scale
from papers.sections import SECTIONS

SECTION = SECTIONS["what_is_an_inversion"]


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("papers.section.runs_root", lambda scale: folder / scale)
        yield SECTION.from_parameters(load_scale("smoke") | {"gallery": 2}).dataset()


def test_inversions_are_the_same_to_the_network_that_was_inverted_and_to_no_other(ds):
    debiased = ds.sel(estimator="debiased", seed=0)
    own, other = debiased["stir_pt_pt"], debiased["stir_ft_pt"]
    assert (own.min("layer") > other.max("layer") + 0.2).all()
    assert (own > debiased["stir_control_pt"] + 0.2).all()


def test_the_other_network_is_not_the_one_that_pretraining_began_with(ds):
    start = SECTION.from_parameters(load_scale("smoke")).pretraining_run()
    assert json.loads(ds.attrs["parameters"])["train_seed"] == start.seed
    assert (ds["subspace_ft_pt"] < 0.9).all()


def test_a_small_gallery_is_filled_up_to_what_debiased_cka_needs(ds):
    """One draw of four images, of which the page shows three."""
    assert ds["seed"].values.tolist() == json.loads(ds.attrs["seeds"]) == [0]
    assert ds.sizes["example"] == 3 and "left_out" not in ds.dims  # too few to leave one out


def test_pretrained_weights_need_no_training():
    assert SECTION.from_parameters(load_scale("cifar")).runs() == {}
    (run,) = SECTION.from_parameters(load_scale("smoke")).runs().values()
    assert run.parent is None


def test_how_much_of_the_image_is_left_is_computed(ds):
    noisy = ds.copy()
    noise = np.random.default_rng(0).integers(0, 256, ds["example_inverted_pt"].shape, np.uint8)
    noise[0] = ds["example_images"]
    noisy["example_inverted_pt"] = ds["example_inverted_pt"].copy(data=noise)
    same = noisy.isel(ref_layer=[0, 0])
    gone, kept = SECTION().work.resembling({"a": noisy, "b": same}).data.splitlines()
    assert "of 1.00 at layer 0" in gone and "hardly anything of X is seen" in gone
    assert "of 1.00 at the last layer, where X is still seen" in kept
