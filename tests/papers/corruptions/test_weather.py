"""Weather: frost adds ice as published, and no two images share it."""

import numpy as np

from papers.corruptions import weather
from papers.corruptions.corrupted_sets import corrupt


def test_frost_adds_ice_between_its_two_colours_and_no_two_images_share_it():
    images = np.zeros((4, 32, 32, 3), np.uint8)
    images[:, 0, 0, 0] = range(4)
    for severity, (keep, add) in enumerate(
        [(1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)], 1
    ):
        ice = corrupt(images, "frost", severity)[:, 1:] / (255 * add)
        dark, white = weather._ICE
        assert (ice > dark - 0.03).all() and (ice < white + 1e-9).all()
        assert ice.std(axis=(1, 2)).min() > 0.1  # a texture, not a veil
        assert min(abs(ice[i] - ice[j]).mean() for i in range(4) for j in range(i)) > 0.05
        # what is below the ice comes through as published: x -> keep * x + add * ice
        rngs = [np.random.default_rng(k) for k in (0, 0)]
        a, b = weather.frost(
            np.stack([np.zeros((32, 32, 3)), np.ones((32, 32, 3))]), rngs, keep, add
        )
        np.testing.assert_allclose(b - a, keep)
