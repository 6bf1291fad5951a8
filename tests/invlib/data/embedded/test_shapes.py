"""The procedural data set: determinism, balance, geometry, and variation inside a class."""

import numpy as np
import pytest
from matplotlib.path import Path as Polygon

from invlib.data.embedded import shapes
from invlib.data.embedded.shapes import CHANGES, CLASS_NAMES, FORM_NAMES, draw_shapes
from invlib.data.images import load_images

K = len(CLASS_NAMES)


@pytest.fixture(scope="module")
def drawn():
    return draw_shapes(3 * shapes._BLOCK, "train", seed=5)


def test_an_image_does_not_depend_on_how_many_are_drawn(drawn):
    images, labels = drawn
    for n in (1, shapes._BLOCK - 1, shapes._BLOCK, shapes._BLOCK + 7):
        again, same = draw_shapes(n, "train", seed=5)
        np.testing.assert_array_equal(again, images[:n])
        np.testing.assert_array_equal(same, labels[:n])


def test_splits_seeds_and_blocks_are_different_images(drawn):
    images, _ = drawn
    others = [draw_shapes(shapes._BLOCK, "test", seed=5)[0], draw_shapes(60, "train", seed=6)[0]]
    everything = np.concatenate([images, *others])
    assert len(np.unique(everything.reshape(len(everything), -1), axis=0)) == len(everything)


def test_at_least_20_classes_and_any_number_of_images_is_balanced(drawn):
    _, labels = drawn
    assert K >= 20 and len(set(CLASS_NAMES)) == K
    for n in (K - 1, K, 5 * K + 3, len(labels)):
        counts = np.bincount(labels[:n], minlength=K)
        assert counts.max() - counts.min() <= 1
    # ... without giving the order away
    assert not np.array_equal(labels[:K], labels[K : 2 * K])


def test_class_names_follow_the_labels(drawn):
    """The colour family, seen in the pixels, is the first word of the class name."""
    images, labels = drawn
    middle = images[:, 8:24, 8:24].astype(float).mean((1, 2))
    redder = middle[:, 0] > middle[:, 2]
    words = np.array([CLASS_NAMES[label].split() for label in labels])
    assert (redder == (words[:, 0] == "warm")).mean() > 0.95

    # the middle of a disc is all texture: plain ones vary least, and a ring has a hole there
    spread = images[:, 13:19, 13:19].astype(float).std((1, 2)).mean(1)
    disc = words[:, 2] == "disc"
    for texture in ("striped", "checked"):
        textured = spread[disc & (words[:, 1] == texture)].mean()
        assert textured > 1.5 * spread[disc & (words[:, 1] == "plain")].mean()
    filled = images[(words[:, 1:] == ["plain", "disc"]).all(1)][:, 16, 16].astype(float)
    hollow = images[(words[:, 1:] == ["plain", "ring"]).all(1)][:, 16, 16].astype(float)
    assert np.ptp(filled, axis=1).mean() > 1.5 * np.ptp(hollow, axis=1).mean()  # saturation


def test_one_class_varies_in_position_size_colour_and_background():
    rng = np.random.default_rng(0)
    n = 200
    centres = (2 * np.arange(shapes.SIZE, dtype=np.float32) + 1) / shapes.SIZE - 1
    y, x = np.meshgrid(centres, centres, indexing="ij")
    discs = shapes._shape_coverage(rng, np.zeros(n, int), x, y)
    area = discs.sum((1, 2))
    assert area.min() > 100 and area.max() > 1.5 * area.min()  # pixels, of 1024
    for axis in (x, y):
        centre = (discs * axis).sum((1, 2)) / area
        assert centre.std() > 0.1 and np.abs(centre).max() < 0.6

    images, labels = draw_shapes(40 * K, "train")
    one_class = images[labels == 0].astype(float)
    assert (one_class.std(0) > 20).all()  # at every pixel and channel, of 255


@pytest.mark.parametrize("corners,points", [(3, 2.0), (4, 2.0), (4, 3.0), (5, 3.2)])
def test_signed_distance_agrees_with_a_polygon(corners, points):
    """Against distances to the edges and matplotlib's point-in-polygon."""
    half = np.pi / corners
    tip = 0.9 * np.array([np.cos(half), np.sin(half)])
    # the edge runs from the tip towards -(cos, sin)(pi / points) until it meets the axis y = 0
    direction = -np.array([np.cos(np.pi / points), np.sin(np.pi / points)])
    notch = tip + direction * tip[1] / -direction[1]
    corner = [notch, tip]
    angles = 2 * half * np.arange(corners) - half  # tips at 0, 2 half, 4 half, ...
    turned = [
        np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ vertex
        for a in angles
        for vertex in corner
    ]
    vertices = np.array(turned)
    points_xy = np.random.default_rng(0).uniform(-1.2, 1.2, (500, 2))
    start, end = vertices, np.roll(vertices, -1, axis=0)
    edge = end - start
    relative = points_xy[:, None] - start
    share = ((relative * edge).sum(-1) / (edge**2).sum(-1)).clip(0, 1)
    nearest = np.linalg.norm(relative - share[..., None] * edge, axis=-1).min(1)
    signed = np.where(Polygon(vertices).contains_points(points_xy), -nearest, nearest)

    ours = shapes._star_distance(
        points_xy[:, 0], points_xy[:, 1], np.float64(0.9), np.float64(corners), np.float64(points)
    )
    np.testing.assert_allclose(ours, signed, atol=1e-6)


def test_hsv_agrees_with_the_standard_library():
    from colorsys import hsv_to_rgb

    hsv = np.random.default_rng(0).random((50, 3))
    expected = [hsv_to_rgb(*row) for row in hsv]
    np.testing.assert_allclose(shapes._hsv_to_rgb(*hsv.T), expected, atol=1e-6)
    np.testing.assert_allclose(
        shapes._hsv_to_rgb(hsv[:, 0] - 1, *hsv[:, 1:].T), expected, atol=1e-6
    )


def test_an_unknown_split_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'train'"):
        draw_shapes(1, "trian")


WORD = {"colour": 0, "texture": 1, "shape": 2}  # of a class name


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_leaves_all_else_as_it_was(drawn, change):
    images, labels = (part[:100] for part in drawn)
    others, changed = draw_shapes(100, "train", seed=5, change=change)
    for label, other in zip(labels, changed, strict=True):
        words, now = CLASS_NAMES[label].split(), CLASS_NAMES[other].split()
        differ = [i for i in range(3) if words[i] != now[i]]
        assert differ == ([WORD[change]] if change in WORD else [])
    different = (images != others).any(-1)  # (N, 32, 32)
    assert different.any((1, 2)).mean() > 0.9  # texture hardly shows in a needle of a star
    assert different.mean() < 0.8  # the background stays; noise and light are the same
    corners = different[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.mean() < 0.35


def test_a_place_is_mirrored_but_not_the_shape():
    def centres(change):
        rng = np.random.default_rng(0)
        at = (2 * np.arange(shapes.SIZE, dtype=np.float32) + 1) / shapes.SIZE - 1
        y, x = np.meshgrid(at, at, indexing="ij")
        side = -1 if change else 1
        inside = shapes._shape_coverage(rng, np.zeros(50, int), x, y, side)
        area = inside.sum((1, 2))
        return (inside * x).sum((1, 2)) / area, area

    (here, area), (there, again) = centres(None), centres("place")
    np.testing.assert_allclose(here, -there, atol=1e-4)
    np.testing.assert_allclose(area, again, rtol=1e-3)


def test_labels_by_form_are_those_of_the_same_images_without_colour():
    own, form = (load_images(name, "test", n=60) for name in ("shapes", "shapes_by_form"))
    np.testing.assert_array_equal(own.images, form.images)
    assert form.name == "shapes_by_form" and form.class_names == FORM_NAMES
    for a, b in zip(own.labels, form.labels, strict=True):
        assert CLASS_NAMES[a].split(" ", 1)[1] == FORM_NAMES[b]


def test_an_unknown_change_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'colour'"):
        draw_shapes(1, "train", change="color")
