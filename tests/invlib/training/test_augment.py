"""Batched augmentation against torchvision, image by image, and in distribution."""

import itertools
import math

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tvf
from scipy.stats import binomtest, ks_2samp
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from invlib.names import AUGMENTATIONS
from invlib.training import augment as module
from invlib.training.augment import RECIPES, Recipe, augment, colour_jitter, draw_affine


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=8, height=32, width=32, seed=0):
    return torch.randint(
        0, 256, (n, height, width, 3), dtype=torch.uint8, generator=generator(seed)
    )


@pytest.fixture
def recipe(monkeypatch):
    """Put a recipe under a name of its own."""

    def put(**kwargs):
        monkeypatch.setitem(RECIPES, "test", Recipe(**kwargs))
        return "test"

    return put


def test_every_augmentation_has_its_recipe():
    assert tuple(sorted(RECIPES)) == AUGMENTATIONS


@pytest.mark.parametrize("kind", AUGMENTATIONS)
@pytest.mark.parametrize("size", [16, 32, 96])
def test_float_images_in_range_of_the_asked_size(kind, size):
    out = augment(images(), size, kind=kind, generator=generator())
    assert out.shape == (8, 3, size, size) and out.dtype == torch.float32
    assert out.min() >= 0 and out.max() <= 1


@pytest.mark.parametrize("kind", ["merlin", "crop"])
def test_randomness_comes_from_the_generator_alone(kind):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one, two, other = (augment(images(), 32, kind=kind, generator=generator(s)) for s in (3, 3, 4))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_none_draws_nothing_and_is_the_image_itself():
    g = generator()
    before = g.get_state()
    x = images()
    out = augment(x, 32, kind="none", generator=g)
    assert torch.equal(out, x.permute(0, 3, 1, 2) / 255) and torch.equal(before, g.get_state())


def test_the_caller_keeps_its_images():
    x = images()
    copy = x.clone()
    augment(x, 32, generator=generator())
    assert torch.equal(x, copy)


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ValueError, match="augmentation='merlyn' .*did you mean 'merlin'"):
        augment(images(), 32, kind="merlyn", generator=generator())


@pytest.mark.parametrize("shape", [(32, 32), (24, 40)])
def test_a_recipe_that_does_nothing_changes_nothing(recipe, shape):
    x = images(4, *shape)
    ratio = shape[1] / shape[0]
    out = augment(x, 32, kind=recipe(ratio=(ratio, ratio)), generator=generator())
    want = tvf.resize(x.permute(0, 3, 1, 2) / 255, [32, 32], antialias=False)
    torch.testing.assert_close(out, want, atol=1e-5, rtol=0)


def test_flip_mirrors_left_and_right(recipe):
    x = images()
    out = augment(x, 32, kind=recipe(flip=1.0), generator=generator())
    torch.testing.assert_close(out, x.permute(0, 3, 1, 2).flip(-1) / 255, atol=1e-5, rtol=0)


def test_a_crop_shows_what_torchvision_shows_in_the_same_box(monkeypatch):
    top, left, height, width = 5, 9, 12, 16  # in a 32 × 40 image
    w, h = width / 40, height / 32
    cx, cy = (2 * left + width) / 40 - 1, (2 * top + height) / 32 - 1
    theta = torch.tensor([[[w, 0, cx], [0, h, cy]]]).expand(4, 2, 3)
    monkeypatch.setattr(module, "draw_affine", lambda *args: theta)
    x = images(4, 32, 40)
    out = augment(x, 32, kind="crop", generator=generator())
    want = tvf.resized_crop(
        x.permute(0, 3, 1, 2) / 255, top, left, height, width, [32, 32], antialias=False
    )
    # torchvision repeats the border of the crop, we go on into the image: compare inside.
    torch.testing.assert_close(out[..., 2:-2, 2:-2], want[..., 2:-2, 2:-2], atol=1e-5, rtol=0)


def test_rotation_is_torchvision_s_by_the_same_angle(recipe):
    kind = recipe(degrees=30.0)
    theta = draw_affine(RECIPES[kind], 8, 32, 32, generator())
    angles = torch.atan2(theta[:, 1, 0], theta[:, 0, 0]).rad2deg()
    assert angles.abs().max() <= 30 and angles.min() < 0 < angles.max()
    x = images()
    out = augment(x, 32, kind=kind, generator=generator())
    for one, got, angle in zip(x.permute(0, 3, 1, 2) / 255, out, angles.tolist(), strict=True):
        want = tvf.rotate(one, angle, interpolation=InterpolationMode.BILINEAR)
        torch.testing.assert_close(got[:, 9:23, 9:23], want[:, 9:23, 9:23], atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(600, 600), (400, 900)])
def test_crops_are_distributed_as_torchvision_s(shape):
    height, width = shape
    theta = draw_affine(RECIPES["merlin"], 3000, height, width, generator())
    w, h = theta[:, 0, :2].norm(dim=1), theta[:, 1, :2].norm(dim=1)  # whatever the rotation
    x, y = theta[:, 0, 2], theta[:, 1, 2]
    assert (w + x.abs()).max() <= 1 + 1e-6 and (h + y.abs()).max() <= 1 + 1e-6  # inside
    torch.manual_seed(0)
    empty = torch.zeros(3, height, width)
    boxes = [RandomResizedCrop.get_params(empty, [0.08, 1], [3 / 4, 4 / 3]) for _ in range(3000)]
    top, left, box_h, box_w = np.array(boxes).T
    for ours, theirs in (
        (w * h, box_w * box_h / (height * width)),
        (w * width / (h * height), box_w / box_h),
        (x, (2 * left + box_w) / width - 1),
        (y, (2 * top + box_h) / height - 1),
    ):
        assert ks_2samp(ours.numpy(), theirs).pvalue > 1e-3
    mirrored = int((theta[:, 0, 0] < 0).sum())
    assert binomtest(mirrored, 3000).pvalue > 1e-3


def test_an_image_too_long_for_any_draw_gets_the_largest_crop_that_fits():
    theta = draw_affine(Recipe((1.0, 1.0), (3 / 4, 4 / 3)), 5, 10, 100, generator())
    assert torch.allclose(theta[:, 1, 1], torch.ones(5))  # the whole height
    assert torch.allclose(theta[:, 0, 0] * 100 / 10, torch.full((5,), 4 / 3))
    assert (theta[:, 0, 2].abs() + theta[:, 0, 0]).max() <= 1 and theta[:, 1, 2].abs().max() == 0


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_colour_jitter_is_torchvision_s_in_any_order(order):
    x = 0.3 + 0.3 * torch.rand(4, 3, 8, 8, generator=generator())  # stays clear of 0 and 1
    factors = 0.75 + 0.5 * torch.rand(3, 4, generator=generator(1))
    adjust = [tvf.adjust_brightness, tvf.adjust_contrast, tvf.adjust_saturation]
    out = colour_jitter(x, *factors)
    for k in range(4):
        want = x[k]
        for which in order:
            want = adjust[which](want, factors[which, k].item())
        torch.testing.assert_close(out[k], want, atol=2e-4, rtol=0)


def test_jitter_factors_cover_their_range(recipe):
    kind = recipe(jitter=0.25)
    x = torch.full((4000, 2, 2, 3), 128, dtype=torch.uint8)  # grey: only brightness shows
    factors = augment(x, 2, kind=kind, generator=generator())[:, 0, 0, 0] / (128 / 255)
    assert 0.75 <= factors.min() < 0.76 and 1.24 < factors.max() <= 1.2501
    assert ks_2samp(factors.numpy(), np.linspace(0.75, 1.25, 4000)).pvalue > 1e-3


def test_the_mild_recipe_keeps_half_the_image_and_its_handedness():
    theta = draw_affine(RECIPES["crop"], 1000, 32, 32, generator())
    area = theta[:, 0, 0] * theta[:, 1, 1]
    assert 0.5 <= area.min() < 0.52 and (theta[:, 0, 0] > 0).all()
    assert theta[:, 0, 1].abs().max() == 0  # no rotation


def test_merlin_s_recipe_is_the_one_the_paper_s_code_uses():
    assert RECIPES["merlin"] == Recipe((0.08, 1.0), (3 / 4, 4 / 3), 0.5, 2.0, 0.25)
    angle = draw_affine(RECIPES["merlin"], 2000, 32, 32, generator())
    degrees = torch.atan2(angle[:, 1, 0], angle[:, 1, 1]).rad2deg()
    assert 1.9 < degrees.abs().max() <= 2 and math.isclose(degrees.mean(), 0, abs_tol=0.1)
