"""The stand-in for SVHN: disjoint splits, the digits that the labels say, and much variation."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from invlib.data.embedded import street_digits
from invlib.data.embedded.digits import scans
from invlib.data.embedded.street_digits import COPIES, draw_street_digits, photographs
from invlib.data.images import load_images


@pytest.fixture(scope="module")
def drawn():
    return draw_street_digits("test")


def test_the_splits_share_no_scan_and_no_part_of_a_photograph(monkeypatch):
    seen = {}

    def record(rng, scan, others, walls):
        seen[split].append((scan, others, walls))
        return np.zeros((32, 32, 3), np.uint8)

    monkeypatch.setattr(street_digits, "_draw", record)
    for split in ("train", "test"):
        seen[split] = []
        draw_street_digits(split)
        used = {scan.tobytes() for scan, _, _ in seen[split]}
        assert used == {scan.tobytes() for scan in scans(split)[0]}
        neighbours, walls = seen[split][0][1:]
        np.testing.assert_array_equal(neighbours, scans(split)[0])
        assert all((a == b).all() for a, b in zip(walls, photographs(split), strict=True))
    train, test = ({scan.tobytes() for scan in scans(split)[0]} for split in ("train", "test"))
    assert not train & test
    for k, whole in enumerate(load_sample_images().images):  # one beside the other, no overlap
        parts = [photographs(split)[k] for split in ("train", "test")]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_the_digit_in_the_middle_is_the_scan_that_the_label_belongs_to(drawn):
    images, labels = drawn
    small, digits = scans("test")
    np.testing.assert_array_equal(labels, np.tile(digits, COPIES))
    luma = images[:500].astype(float).mean(-1)[:, 4:28, 4:28].reshape(500, -1)
    masks = np.stack([np.asarray(Image.fromarray(s).resize((24, 24))) for s in small])
    masks = masks.reshape(500, -1).astype(float)

    def like(a, b):  # light on dark or dark on light
        a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
        return np.abs((a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1)))

    own = like(luma, masks)
    others = [like(luma, np.roll(masks, k, axis=0)) for k in range(1, 10)]
    assert own.mean() > 0.5 and np.mean([own > other for other in others]) > 0.85
    assert own.mean() > 1.3 * np.mean(others)


def test_colours_vary_inside_a_class_and_do_not_name_it(drawn):
    images, labels = drawn
    colour = images.mean((1, 2))  # (2000, 3)
    classes = np.stack([colour[labels == k].mean(0) for k in range(10)])
    assert colour.std(0).min() > 30 and classes.std(0).max() < 10
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_it_is_drawn_once_and_then_read(drawn, tmp_path, monkeypatch):
    monkeypatch.setenv("INVLIB_CACHE", str(tmp_path))
    first = load_images("street_digits", "test", n=100)
    assert repr(first) == "ImageSet('street_digits', 'test', 100 images of 32 x 32 px, 10 classes)"
    monkeypatch.setattr(street_digits, "draw_street_digits", pytest.fail)
    again = load_images("street_digits", "test")
    np.testing.assert_array_equal(again.images, drawn[0])
    np.testing.assert_array_equal(again.labels, drawn[1])
    with pytest.raises(ValueError, match="split='tests' is not one of .*did you mean 'test'"):
        load_images("street_digits", "tests")
