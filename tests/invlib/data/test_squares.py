"""Class-coloured squares: colours far apart, exactly the pixels and images they should be on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invlib.data import squares as module
from invlib.data.images import ImageSet
from invlib.data.squares import carriers, palette, srgb_to_lab

RNG = np.random.default_rng(0)


def noise(n=20, height=12, width=12):
    return RNG.integers(0, 256, (n, height, width, 3), np.uint8)


def paste_squares(images, labels, classes, **options):
    names = tuple(f"class {k}" for k in range(classes))
    return module.paste_squares(ImageSet(images, labels, names, "mine", "train"), **options).images


# --- colours -------------------------------------------------------------------------------------


def test_lab_of_the_primaries_is_what_is_published():
    """Values of B. Lindbloom's calculator for sRGB, D65."""
    primaries = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0], [119, 119, 119]])
    published = [
        [53.24, 80.09, 67.20],
        [87.73, -86.18, 83.18],
        [32.30, 79.19, -107.86],
        [0, 0, 0],
        [50.03, 0, 0],
    ]
    np.testing.assert_allclose(srgb_to_lab(primaries.astype(np.uint8)), published, atol=0.05)


@pytest.mark.parametrize(("classes", "least"), [(2, 200), (10, 55), (24, 35), (100, 19)])
def test_colours_are_far_from_each_other_and_from_every_grey(classes, least):
    lab = srgb_to_lab(palette(classes))
    distance = np.linalg.norm(lab[:, None] - lab, axis=-1)
    assert distance[~np.eye(classes, dtype=bool)].min() >= least
    greys = srgb_to_lab(np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1))
    assert np.linalg.norm(lab[:, None] - greys, axis=-1).min() >= 19


def test_fewer_colours_are_the_first_of_more_and_nobody_can_change_them():
    mine = palette(10)
    np.testing.assert_array_equal(mine, palette(24)[:10])
    mine[:] = 0
    assert palette(10).any()


@pytest.mark.parametrize("classes", [0, 101])
def test_a_palette_has_1_to_100_colours(classes):
    with pytest.raises(ValueError, match=f"num_classes={classes}; allowed is 1 to 100"):
        palette(classes)


# --- squares -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(12, 12), (12, 20), (17, 12)])
def test_a_square_covers_the_corner_of_the_centre_square_and_nothing_else(height, width):
    images, labels = noise(height=height, width=width), np.arange(20) % 7
    found = paste_squares(images, labels, 7, size=3)
    top, left = (height - 12) // 2, (width - 12) // 2  # what `ImageSet.tensor` shows
    inside = np.zeros((height, width), bool)
    inside[top : top + 3, left : left + 3] = True
    np.testing.assert_array_equal(found[:, ~inside], images[:, ~inside])
    for k in range(20):
        assert (found[k][inside] == palette(7)[labels[k]]).all()


def test_the_images_given_are_left_as_they_were(tmp_path):
    np.save(tmp_path / "images.npy", noise())
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    before = images.copy()
    found = paste_squares(images, np.zeros(20, int), 2)
    np.testing.assert_array_equal(images, before)
    assert not isinstance(found, np.memmap) and (found != before).any()


LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)


@given(LABELS, st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_carriers_are_nested_balanced_and_exactly_as_many_as_asked(labels, a, b, seed):
    few, many = sorted((a, b))
    found = {}
    for ratio in (few, many):
        count = int(np.floor(ratio * len(labels) + 0.5))
        if ratio and not count:
            with pytest.raises(ValueError, match="comes to none"):
                carriers(labels, ratio, seed=seed)
            return
        found[ratio] = carriers(labels, ratio, seed=seed)
        assert len(set(found[ratio].tolist())) == len(found[ratio]) == count
        np.testing.assert_array_equal(found[ratio], carriers(labels, ratio, seed=seed))
        carry = np.bincount(labels[found[ratio]], minlength=5)
        there = np.bincount(labels, minlength=5)
        assert all(carry[k] >= carry.max() - 1 or carry[k] == there[k] for k in range(5))
    assert set(found[few]) <= set(found[many])


def test_a_ratio_leaves_the_other_images_alone_and_a_seed_chooses():
    images, labels = noise(200), np.arange(200) % 10
    some = paste_squares(images, labels, 10, ratio=0.25, seed=3)
    changed = np.flatnonzero((some != images).any((1, 2, 3)))
    np.testing.assert_array_equal(changed, carriers(labels, 0.25, seed=3))
    assert len(changed) == 50
    assert set(changed) != set(carriers(labels, 0.25, seed=4))
    np.testing.assert_array_equal(paste_squares(images, labels, 10, ratio=0), images)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"images": noise() / 255}, TypeError, "images are float64, not uint8"),
        ({"images": noise()[0]}, ValueError, r"images have shape \(12, 12, 3\)"),
        ({"labels": np.zeros(3, int)}, ValueError, "labels have shape"),
        ({"labels": np.full(20, 10)}, ValueError, "labels run from 10 to 10, .* 10 classes"),
        ({"size": 0}, ValueError, "size=0; allowed is 1 to 12 px"),
        ({"size": 13}, ValueError, "size=13; allowed is 1 to 12 px"),
        ({"size": 2.5}, TypeError, "size=2.5 is not an integer"),
        ({"ratio": 1.5}, ValueError, r"ratio=1.5; allowed is a number in \[0, 1\]"),
        ({"ratio": -0.1}, ValueError, "ratio=-0.1"),
        ({"ratio": 0.01}, ValueError, "ratio=0.01 of 20 images comes to none"),
        ({"num_classes": 101}, ValueError, "num_classes=101"),
    ],
)
def test_what_cannot_be_pasted_is_refused_by_name(change, error, said):
    fields = {"images": noise(), "labels": np.zeros(20, int), "num_classes": 10} | change
    with pytest.raises(error, match=said):
        paste_squares(
            fields.pop("images"), fields.pop("labels"), fields.pop("num_classes"), **fields
        )
