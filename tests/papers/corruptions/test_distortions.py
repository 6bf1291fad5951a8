"""Corruptions: each against the published construction, and against what is known of its noise."""

import math

import cv2
import numpy as np
import pytest
from scipy import integrate, ndimage
from scipy.stats import norm
from skimage import color

from papers.corruptions import corrupted_sets as corruptions
from papers.corruptions.corrupted_sets import corrupt
from tests.published_corruptions import PUBLISHED, pictures


@pytest.mark.parametrize("construction", PUBLISHED, ids=lambda f: f.__name__)
@pytest.mark.parametrize("size", [32, 21])
def test_a_batch_is_what_the_published_construction_gives_one_by_one(construction, size):
    """With the same numbers drawn: to the level, but for values within 0.001 of the next one."""
    name, images = construction.__name__, pictures(5, size)
    for severity, c in enumerate(PUBLISHED[construction], 1):
        found = corrupt(images, name, severity, seed=3)
        for image, one in zip(images, found, strict=True):
            rng = corruptions._stream(image, name, severity, 3)
            levels = 255 * construction(image / 255, rng, c).clip(0, 1)
            off = (one < np.floor(levels - 1e-3)) | (one > np.floor(levels + 1e-3))
            assert off.sum() == 0, severity


def generators_defocus_blur(x, radius, alias):
    y, z = np.meshgrid(np.arange(-8, 9), np.arange(-8, 9))
    disc = np.array(y**2 + z**2 <= radius**2, dtype=np.float32)
    disc /= np.sum(disc)
    disc = cv2.GaussianBlur(disc, ksize=(3, 3), sigmaX=alias)
    return np.stack([cv2.filter2D(x[:, :, d], -1, disc) for d in range(3)], axis=-1)


def generators_zoom_blur(x, stop):
    x, factors = x.astype(np.float32), np.arange(1, stop, 0.01)
    out = np.zeros_like(x)
    for factor in factors:
        cut = int(np.ceil(len(x) / factor))
        top = (len(x) - cut) // 2
        large = ndimage.zoom(x[top : top + cut, top : top + cut], (factor, factor, 1), order=1)
        trim = (len(large) - len(x)) // 2
        out += large[trim : trim + len(x), trim : trim + len(x)]
    return (x + out) / (len(factors) + 1)


def generators_brightness(x, c):
    x = color.rgb2hsv(x)
    x[:, :, 2] = np.clip(x[:, :, 2] + c, 0, 1)
    return color.hsv2rgb(x)


def generators_saturate(x, factor, more):
    x = color.rgb2hsv(x)
    x[:, :, 1] = np.clip(x[:, :, 1] * factor + more, 0, 1)
    return color.hsv2rgb(x)


@pytest.mark.parametrize(
    "lines",
    [generators_defocus_blur, generators_zoom_blur, generators_brightness, generators_saturate],
)
@pytest.mark.parametrize("severity", range(1, 6))
def test_with_the_generators_own_calls_every_byte_is_the_same(lines, severity):
    """Where many values lie on a level: there the rounding of the libraries decides."""
    name, images = lines.__name__.removeprefix("generators_"), pictures(12)
    c = corruptions._PUBLISHED[name][1][severity - 1]
    c = c if isinstance(c, tuple) else (c,)
    expected = [
        (np.clip(lines(image / 255.0, *c), 0, 1) * 255).astype(np.uint8) for image in images
    ]
    np.testing.assert_array_equal(corrupt(images, name, severity), expected)


@pytest.mark.parametrize("severity,c", list(enumerate((0.04, 0.06, 0.08, 0.09, 0.10), 1)))
@pytest.mark.parametrize("level", [3, 120, 250])
def test_gaussian_noise_has_the_mean_of_a_clipped_normal(severity, c, level):
    flat = np.full((20, 32, 32, 3), level, np.uint8)
    flat[np.arange(20), 0, 0, 0] = np.arange(20)  # 20 different images
    found = corrupt(flat, "gaussian_noise", severity)[:, 1:].astype(float)

    z = np.linspace(-6, 6, 60_001)
    value = np.floor(255 * (level / 255 + c * z).clip(0, 1))
    mean, square = (integrate.trapezoid(value**k * norm.pdf(z), z) for k in (1, 2))
    error = math.sqrt((square - mean**2) / found.size)
    assert abs(found.mean() - mean) < 5 * error + 0.01


def test_counts_of_shot_and_impulse_noise():
    flat = np.full((20, 32, 32, 3), 100, np.uint8)
    flat[np.arange(20), 0, 0, 0] = np.arange(20)
    published = [(500, 1), (250, 2), (100, 3), (75, 5), (50, 7)]
    for severity, (photons, share) in enumerate(published, 1):
        x = corrupt(flat, "shot_noise", severity)[:, 1:] / 255
        assert x.var() == pytest.approx(100 / 255 / photons, rel=0.05)
        x = corrupt(flat, "impulse_noise", severity)[:, 1:]
        for extreme in (0, 255):
            assert (x == extreme).mean() == pytest.approx(share / 200, rel=0.15)
