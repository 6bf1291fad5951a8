"""The noise, blur and digital corruptions of CIFAR-10-C, as functions of a batch of images.

Each function does what Hendrycks & Dietterich's generator of CIFAR-10-C (2019),
https://arxiv.org/abs/1903.12261, does, with its mistakes: the published images have them too. It
takes float64 images `x` (N, H, H, 3) in [0, 1], a random generator for each image, and the
parameters of a severity (see `corrupted_sets`). It returns images whose values may leave [0, 1].
Lengths are in pixels. The side of the image replaces the original's 32.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.random import Generator
from PIL import Image
from scipy import ndimage
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.color import hsv2rgb, rgb2hsv

__all__ = [
    "brightness",
    "contrast",
    "defocus_blur",
    "drag",
    "elastic_transform",
    "gaussian_blur",
    "gaussian_noise",
    "glass_blur",
    "impulse_noise",
    "jpeg_compression",
    "motion_blur",
    "pixelate",
    "saturate",
    "shot_noise",
    "speckle_noise",
    "to_bytes",
    "zoom",
    "zoom_blur",
]

Rngs = Sequence[Generator]


def to_bytes(x: np.ndarray) -> np.ndarray:
    """Return values in [0, 1] as uint8, rounded down as in the published images.

    A uint8 value divided by 255 is restored exactly.

    Examples
    --------
    >>> to_bytes(np.array([-0.1, 0.0, 0.4999, 1.0, 7.0])).tolist()
    [0, 0, 127, 255, 255]
    """
    return (x.clip(0, 1) * 255).astype(np.uint8)


def _draw(rngs: Rngs, draw: Callable[[Generator], np.ndarray]) -> np.ndarray:
    """Return the stack of `draw` of each image's own generator."""
    return np.stack([draw(rng) for rng in rngs])


def _each(x: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the stack of `change` of each image."""
    return np.stack([change(image) for image in x])


# --- noise ---------------------------------------------------------------------------------------


def gaussian_noise(x: np.ndarray, rngs: Rngs, scale: float) -> np.ndarray:
    """Return x + ε with ε ~ N(0, scale²) for each pixel and channel."""
    return x + _draw(rngs, lambda rng: rng.normal(0, scale, x.shape[1:]))


def shot_noise(x: np.ndarray, rngs: Rngs, photons: float) -> np.ndarray:
    """Return Poisson(photons · x) / photons."""
    counts = [rng.poisson(image * photons) for rng, image in zip(rngs, x, strict=True)]
    return np.stack(counts) / photons


def impulse_noise(x: np.ndarray, rngs: Rngs, amount: float) -> np.ndarray:
    """Set a share `amount` of all channel values to 0 or 1, both equally likely."""
    hit, salt = np.moveaxis(_draw(rngs, lambda rng: rng.random((2, *x.shape[1:]))), 1, 0)
    return np.where(hit <= amount, salt <= 0.5, x)


def speckle_noise(x: np.ndarray, rngs: Rngs, scale: float) -> np.ndarray:
    """Return x + x · ε with ε ~ N(0, scale²) for each pixel and channel."""
    return x + x * _draw(rngs, lambda rng: rng.normal(0, scale, x.shape[1:]))


# --- blur ----------------------------------------------------------------------------------------


def gaussian_blur(x: np.ndarray, rngs: Rngs, sigma: float) -> np.ndarray:
    """Convolve with a Gaussian, cut off at 4 sigma; the border is repeated."""
    return gaussian_filter(x, (0, sigma, sigma, 0), mode="nearest")


def defocus_blur(x: np.ndarray, rngs: Rngs, radius: float, sigma: float) -> np.ndarray:
    """Convolve with a disc, its edge softened by a 3 x 3 Gaussian; the border is mirrored."""
    offsets = np.arange(-8, 9)
    # single precision, as in the original, so that rounding gives the published values
    disc = (np.hypot(*np.meshgrid(offsets, offsets)) <= radius).astype(np.float32)
    disc = cv2.GaussianBlur(disc / disc.sum(), (3, 3), sigma)
    return _each(x, lambda image: cv2.filter2D(image, -1, disc))


def glass_blur(x: np.ndarray, rngs: Rngs, sigma: float, iterations: int) -> np.ndarray:
    """Blur, move each pixel by up to one, blur again.

    The original wants to swap two neighbours, but assigns NumPy views to each other. So the first
    pixel becomes a copy of the second, which stays. The original goes through the pixels from the
    bottom right. The neighbour of a pixel is left of it, above it, or the pixel itself. So every
    neighbour is read before it changes, and one indexing does a whole pass.
    """
    n, size = x.shape[:2]
    pixels = to_bytes(gaussian_blur(x, rngs, sigma))
    image = np.arange(n)[:, None, None]
    rows, columns = np.mgrid[2:size, 2:size]  # the original's loops leave out 0 and 1
    for _ in range(iterations):
        steps = _draw(rngs, lambda rng: rng.integers(-1, 1, (2, size - 2, size - 2)))
        pixels[:, 2:, 2:] = pixels[image, rows + steps[:, 0], columns + steps[:, 1]]
    return gaussian_blur(pixels / 255, rngs, sigma)


def motion_blur(x: np.ndarray, rngs: Rngs, radius: int, sigma: float) -> np.ndarray:
    """Smear the image along a direction within 45° of the horizontal, with `drag`."""
    angles = _draw(rngs, lambda rng: rng.uniform(-45, 45))
    return np.rint(drag(x, angles, radius, sigma) * 255) / 255


def drag(x: np.ndarray, angles: np.ndarray, radius: int, sigma: float) -> np.ndarray:
    """Smear images (N, H, H) or (N, H, H, C) along angles (N,): degrees, clockwise from the right.

    This is ImageMagick's motion blur: out[p] = Σ w_k x[p + round(k · direction)], k = 0 … 2·radius.
    The weights w are half a Gaussian, on one side only, so the picture also moves. The border is
    repeated.

    Examples
    --------
    >>> drag(np.array([[[0.0, 0, 8]] * 3]), np.array([0.0]), 1, 1.0)[0, 0].round(1).tolist()
    [0.6, 3.4, 8.0]
    """
    n, size = x.shape[:2]
    k = np.arange(2 * radius + 1)
    weights = np.exp(-(k**2) / (2 * sigma**2))
    weights /= weights.sum()
    k = k[weights > 1e-6]  # smaller weights change no 8-bit value
    toward = np.deg2rad(angles)[:, None]
    along = [np.ceil(k * part - 0.5).astype(int) for part in (np.sin(toward), np.cos(toward))]
    image, grid = np.arange(n)[:, None, None], np.arange(size)
    out = np.zeros_like(x)
    for weight, down, right in zip(weights, *(steps.T for steps in along), strict=False):
        rows = (grid + down[:, None]).clip(0, size - 1)  # (N, H)
        columns = (grid + right[:, None]).clip(0, size - 1)
        out += weight * x[image, rows[:, :, None], columns[:, None, :]]
    return out


def zoom_blur(x: np.ndarray, rngs: Rngs, stop: float) -> np.ndarray:
    """Average the image with itself enlarged by 1, 1.01, … up to `stop`."""
    # not np.linspace: rounding decides whether `stop` is included, as in the original
    factors = np.arange(1, stop, 0.01)
    x = x.astype(np.float32)
    return (x + sum(zoom(x, factor) for factor in factors)) / (len(factors) + 1)


def zoom(x: np.ndarray, factor: float) -> np.ndarray:
    """Enlarge the middle of images (N, H, H) or (N, H, H, C) linearly; the size stays.

    Examples
    --------
    >>> zoom(np.arange(16.0).reshape(1, 4, 4), 2)[0, 0].round(2).tolist()
    [5.0, 5.33, 5.67, 6.0]
    """
    size = x.shape[1]
    cut = int(np.ceil(size / factor))
    top = (size - cut) // 2
    middle = x[:, top : top + cut, top : top + cut]
    large = ndimage.zoom(middle, (1, factor, factor, 1)[: x.ndim], order=1)
    trim = (large.shape[1] - size) // 2
    return large[:, trim : trim + size, trim : trim + size]


# --- digital -------------------------------------------------------------------------------------


def brightness(x: np.ndarray, rngs: Rngs, more: float) -> np.ndarray:
    """Add `more` to the value V = max(R, G, B) of HSV, up to 1. Black becomes grey."""
    hue, saturation, value = np.moveaxis(rgb2hsv(x), 3, 0)
    return hsv2rgb(np.stack([hue, saturation, (value + more).clip(0, 1)], 3))


def saturate(x: np.ndarray, rngs: Rngs, factor: float, more: float) -> np.ndarray:
    """Set S of HSV to clip(factor · S + more, 0, 1). Grey has hue 0 and turns red if more > 0."""
    hue, saturation, value = np.moveaxis(rgb2hsv(x), 3, 0)
    return hsv2rgb(np.stack([hue, (factor * saturation + more).clip(0, 1), value], 3))


def contrast(x: np.ndarray, rngs: Rngs, factor: float) -> np.ndarray:
    """Move each channel towards its mean over the image."""
    mean = x.mean(axis=(1, 2), keepdims=True)
    return (x - mean) * factor + mean


def pixelate(x: np.ndarray, rngs: Rngs, factor: float) -> np.ndarray:
    """Shrink the image by averaging over boxes, and enlarge it again."""
    size = x.shape[1]
    small = int(size * factor)

    def once(image: Image.Image) -> Image.Image:
        return image.resize((small, small), Image.Resampling.BOX).resize(
            (size, size), Image.Resampling.BOX
        )

    return _with_pillow(x, once)


def jpeg_compression(x: np.ndarray, rngs: Rngs, quality: int) -> np.ndarray:
    """Save the image as JPEG and read it again."""

    def once(image: Image.Image) -> Image.Image:
        image.save(file := io.BytesIO(), "JPEG", quality=quality)
        return Image.open(file)

    return _with_pillow(x, once)


def _with_pillow(x: np.ndarray, once: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    return _each(to_bytes(x), lambda image: np.asarray(once(Image.fromarray(image)))) / 255


def elastic_transform(
    x: np.ndarray, rngs: Rngs, strength: float, sigma: float, corners: float
) -> np.ndarray:
    """Move three points of the image, then every pixel by a smooth random field.

    Each point moves by up to `corners`. The field is uniform noise in ± `strength`, blurred by
    `sigma`. All three are in units of the side.
    """
    n, size = x.shape[:2]
    middle, arm = size // 2, size // 3
    start = middle + arm * np.array([[1.0, 1], [1, -1], [-1, -1]])  # three points (x, y)
    end = start + _draw(rngs, lambda rng: rng.uniform(-corners, corners, (3, 2))) * size
    ones = np.ones((n, 3, 1))
    back = np.linalg.solve(np.concatenate([end, ones], 2), start)  # (N, 3, 2): [x y 1] @ back
    rows, columns = np.mgrid[:size, :size].astype(float)
    source = np.stack([columns, rows, np.ones((size, size))], -1) @ back[:, None]  # (N, H, H, 2)
    x = _at(x, source[..., 1], source[..., 0], "mirror")

    fields = _draw(rngs, lambda rng: rng.uniform(-1, 1, (2, size, size)))  # to the right, down
    blur = (0, 0, sigma * size, sigma * size)
    fields = gaussian_filter(fields, blur, mode="reflect", truncate=3) * (strength * size)
    return _at(x, rows + fields[:, 1], columns + fields[:, 0], "reflect")


def _at(x: np.ndarray, rows: np.ndarray, columns: np.ndarray, border: str) -> np.ndarray:
    """Return images (N, H, H, 3) at places (N, H, H), linearly; `border` is SciPy's `mode`.

    OpenCV's `warpAffine` is not used, because its rounding of places depends on its version.
    """
    image, channel = np.arange(len(x))[:, None, None, None], np.arange(3)
    places = np.broadcast_arrays(image, rows[..., None], columns[..., None], channel)
    return map_coordinates(x, places, order=1, mode=border)
