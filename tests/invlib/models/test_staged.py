"""Staged models: layers by number, one pass for all, and copies that share nothing."""

import copy

import pytest
import torch

from invlib.comparison.compare import compare
from invlib.inversion.invert import invert
from invlib.models.loading import load_model


def images(n, size):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_prefix_runs_no_stage_beyond_its_layer():
    model = load_model("vit_pico_patch8_32")
    model.stages = (*model.stages[:2], None)  # calling it would be a TypeError
    assert model.prefix(images(1, 32), 1).shape == (1, 17, 32)


def test_features_come_in_the_order_asked_for():
    model, x = load_model("vit_pico_patch8_32"), images(2, 32)
    late, early = model.features(x, [3, 1])
    assert torch.equal(early, model.prefix(x, 1)) and torch.equal(late, model.prefix(x, 3))


def test_a_deep_copy_shares_nothing():
    model, x = load_model("vit_pico_patch8_32"), images(1, 32)
    before, twin = model(x), copy.deepcopy(model)
    for p in twin.parameters():
        p.data.zero_()
    assert torch.equal(model(x), before) and not twin(x).any()


@pytest.mark.parametrize("bad", [[4], [-1], [0, 0], []])
def test_layers_that_do_not_exist(bad):
    with pytest.raises(ValueError, match="distinct numbers out of 0…3"):
        load_model("vit_pico_patch8_32").features(images(1, 32), bad)


def test_a_number_in_quotes_is_no_name_of_a_layer():
    with pytest.raises(ValueError, match="layer='1' is not one of 'block 1', .*'embedding'"):
        load_model("vit_pico_patch8_32").features(images(1, 32), "1")


@pytest.mark.parametrize("bad", [[True], [1.0], 1])
def test_layers_that_are_no_whole_numbers(bad):
    with pytest.raises(TypeError, match=r"layers=.* must be a list of whole numbers"):
        load_model("vit_pico_patch8_32").features(images(1, 32), bad)


def test_weights_of_two_types_are_refused_before_any_work():
    model = load_model("vit_pico_patch8_32")
    model.net.blocks[1].half()
    with pytest.raises(
        TypeError, match=r"model has weights of float16 and float32; model.float\(\)"
    ):
        invert(model, images(2, 32), iterations=1)
    assert invert(model.float(), images(2, 32), iterations=1).best.isfinite().all()


def test_weights_without_values_are_refused_before_any_work():
    model = load_model("vit_pico_patch8_32").to("meta")
    with pytest.raises(ValueError, match="finetuned: cls_token has no values yet"):
        compare(load_model("vit_pico_patch8_32"), model, images(6, 32), n=5, seeds=[0])


@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
def test_complex_weights_are_refused_by_name():
    model = load_model("vit_pico_patch8_32").to(torch.complex64)
    with pytest.raises(TypeError, match="pretrained is torch.complex64; expected float32 or half"):
        compare(model, model, images(6, 32), n=5, seeds=[0])
