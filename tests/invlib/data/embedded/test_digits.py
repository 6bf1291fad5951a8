"""Handwritten digits: every scan once, split once and for all."""

import numpy as np
from sklearn.datasets import load_digits

from invlib.data.images import load_images


def test_digits_are_the_scans_split_once_and_for_all():
    train, test = load_images("digits", "train"), load_images("digits", "test")
    assert (len(train), len(test)) == (1297, 500)
    assert np.bincount(test.labels).tolist() == [50] * 10
    assert train.class_names == tuple("0123456789")

    scans = load_digits()
    both = np.concatenate([train.images, test.images])
    assert both.shape == (1797, 32, 32, 3) and (both[..., :1] == both).all()
    # no two scans are equal, so that 1,797 different images are every scan once
    assert len(np.unique(both.reshape(1797, -1), axis=0)) == 1797

    # shrunk again, (almost) every image is nearest to a scan of its own, and has its label
    small = both[..., 0].reshape(-1, 8, 4, 8, 4).mean((2, 4)).reshape(1797, 64) * (16 / 255)
    known = scans.images.reshape(1797, 64)
    match = ((known**2).sum(1) - 2 * small @ known.T).argmin(1)
    assert len(set(match)) >= 1795
    np.testing.assert_array_equal(scans.target[match], np.concatenate([train.labels, test.labels]))
