"""Corruptions: each against the published construction, and against what is known of its noise."""

import math

import cv2
import numpy as np
import pytest
from scipy import integrate, ndimage
from scipy.stats import norm
from skimage import color

from invlib.data.corruptions import corrupted_sets as corruptions
from invlib.data.corruptions import weather
from invlib.data.corruptions.corrupted_sets import CORRUPTIONS, EXTRA, corrupt
from tests.published_corruptions import PUBLISHED, pictures

ALL = CORRUPTIONS + EXTRA
PLAIN = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression"}
PLAIN |= {"gaussian_blur", "saturate"}  # nothing random about them


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


# --- a batch, a severity, a seed -----------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_an_image_is_the_same_in_any_batch(name, monkeypatch):
    images = pictures(7)
    before = images.copy()
    found = corrupt(images, name, 4)
    monkeypatch.setattr(corruptions, "_BLOCK", 2)
    np.testing.assert_array_equal(corrupt(images[[5, 0, 3]], name, 4), found[[5, 0, 3]])
    np.testing.assert_array_equal(images, before)
    assert found.dtype == np.uint8 and not np.array_equal(found, images)
    other = corrupt(images, name, 4, seed=1)
    assert np.array_equal(other[:-1], found[:-1]) == (name in PLAIN)  # black stays black in noise


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [16, 40])
def test_other_sizes(name, size):
    images = pictures(3, size)
    assert corrupt(images, name, 5).shape == images.shape
    assert corrupt(images[:0], name, 5).shape == (0, size, size, 3)


# Not among these: glass blur and motion blur, whose moves matter more than their blur; elastic
# deformation, which trades large moves for small ones; frost, which dims what it covers; water,
# which becomes mud; and saturation, which falls and then rises.
@pytest.mark.parametrize(
    "name",
    [
        *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "defocus_blur"),
        *("gaussian_blur", "zoom_blur", "snow", "fog", "brightness", "contrast", "pixelate"),
        "jpeg_compression",
    ],
)
def test_change_grows_with_severity(name):
    images = pictures(30)
    change = [abs(corrupt(images, name, s) - images.astype(float)).mean() for s in range(6)]
    assert change[0] == 0 and (np.diff(change) > 0).all()


def test_severity_0_is_the_images():
    images = pictures(3)
    assert corrupt(images, "fog", 0) is images


@pytest.mark.parametrize(
    "change,error,message",
    [
        ({"corruption": "gausian_noise"}, ValueError, "did you mean 'gaussian_noise'"),
        ({"severity": 6}, ValueError, "severity=6 is not an integer from 0 to 5"),
        ({"severity": -1}, ValueError, "severity=-1"),
        ({"severity": 2.0}, ValueError, "severity=2.0"),
        ({"severity": True}, ValueError, "severity=True"),
        ({"images": np.zeros((1, 32, 32, 3))}, TypeError, "float64, not uint8"),
        ({"images": np.zeros((1, 15, 15, 3), np.uint8)}, ValueError, r"\(1, 15, 15, 3\), not"),
        ({"images": np.zeros((1, 32, 30, 3), np.uint8)}, ValueError, r"\(1, 32, 30, 3\), not"),
        ({"images": np.zeros((32, 32, 3), np.uint8)}, ValueError, r"\(32, 32, 3\), not"),
    ],
)
def test_what_cannot_be_corrupted_is_refused_by_name(change, error, message):
    with pytest.raises(error, match=message):
        corrupt(**{"images": pictures(2), "corruption": "fog", "severity": 1} | change)
