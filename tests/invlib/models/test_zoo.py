"""Networks by name: our own names are not timm's, and a width scales every layer."""

import textwrap

import pytest
import timm
import torch

from invlib.models.loading import load_model
from invlib.models.zoo import CIFAR_NETS, SMALL_VITS, create

NARROW = ["conv4_w16", "resnet18_cifar_w8", "vgg11_bn_cifar_w8"]


def images(n, size=32):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_the_small_vits_are_ours_alone():
    assert not any(timm.is_model(name) for name in SMALL_VITS)


def test_names_of_our_own_are_no_timm_names():
    assert not any(timm.is_model(name) for name in ("conv4", *CIFAR_NETS, *NARROW))


@pytest.mark.parametrize("name", ["conv4", *CIFAR_NETS])
def test_a_width_scales_every_layer(name):
    if name.startswith(("resnet34", "vgg13", "vgg16")):
        wide, narrow = 32, 8  # the large ones at half their width
    else:
        wide, narrow = (16, 4)
    x = images(1)
    a, b = (load_model(f"{name}_w{width}").features(x)[1:] for width in (wide, narrow))
    assert all(len(one[0]) == wide // narrow * len(two[0]) for one, two in zip(a, b, strict=True))
    first = a[0].shape[1] // (4 if "resnet50" in name else 1)  # its blocks put out four times that
    assert first == wide


def test_full_width_is_64():
    for name in ("conv4", "vgg11_bn_cifar"):
        weights = create(name).state_dict(), create(f"{name}_w64").state_dict()
        assert [v.shape for v in weights[0].values()] == [v.shape for v in weights[1].values()]
    assert create("conv4").blocks[0][0].out_channels == 64
    assert create("vgg11_bn_cifar").features[0].out_channels == 64


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("resnet81", "resnet18"),
        ("google/vit-base-patch16-224", "vit_base_patch16_224"),
        ("vit_base_patch16_224.augreg_in1", "vit_base_patch16_224.augreg_in1k"),
        ("qqqqqqqqqqqq", None),
    ],
)
def test_an_unknown_name_is_three_lines_with_the_nearest(name, nearest):
    with pytest.raises(ValueError, match="unknown model") as caught:
        load_model(name)
    said = str(caught.value)
    assert len(textwrap.wrap(f"invlib: error: {said}", 100)) <= 3
    assert nearest is None or f"did you mean {nearest!r}" in said
    assert nearest is not None or "timm.list_models()" in said
