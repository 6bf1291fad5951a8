"""Paste squares whose colour gives the class away, as Masarczyk et al. (2023) do.

A square in the top left corner of the image has one plain colour, a different one for each class.
The paper states neither the colours nor the size. Here the colours are far apart in CIELAB.
"""

from __future__ import annotations

import dataclasses
import math
from functools import lru_cache

import numpy as np

from invlib.data.images import ImageSet
from invlib.data.sampling import stratified

__all__ = ["carriers", "palette", "paste_squares"]

_LEVELS = np.linspace(0, 255, 9).round().astype(np.uint8)  # 729 candidates
MAX_COLOURS = 100  # for CIFAR-100; the nearest two are still ΔE 19 apart


def palette(num_classes: int) -> np.ndarray:
    """Return one colour for each class, uint8 sRGB (D, 3), any two easy to tell apart.

    They are chosen from a grid of sRGB colours by farthest-point sampling (Gonzalez 1985).
    Distances are ΔE = ‖Lab₁ − Lab₂‖₂ in CIELAB. Greys are avoided, so a square is visible on a grey
    scan. The nearest two are ΔE 55 apart for 10 classes, 36 for 24 and 19 for 100; 2.3 is just
    noticeable. ValueError for fewer than 1 or more than 100 classes.

    Examples
    --------
    >>> palette(3).tolist()
    [[0, 0, 255], [0, 255, 0], [255, 0, 0]]
    """
    if not 1 <= num_classes <= MAX_COLOURS:
        raise ValueError(f"num_classes={num_classes!r}; allowed is 1 to {MAX_COLOURS} colours")
    return _farthest_colours()[:num_classes].copy()


def paste_squares(
    images: ImageSet, *, size: int = 4, ratio: float = 1.0, seed: int | np.random.SeedSequence = 0
) -> ImageSet:
    """Return a copy of the images with squares, coloured by class as in `palette`.

    `size` is the side of the square in pixels of `images`. The corner is that of the centre square
    of the image, because a training without augmentation shows only that. `ratio`, in [0, 1], is
    the share of images that carry a square, chosen by `seed` as in `carriers`.

    Examples
    --------
    >>> grey = np.full((2, 8, 8, 3), 128, np.uint8)
    >>> images = ImageSet(grey, np.array([1, 2]), ("a", "b", "c"), "grey", "train")
    >>> paste_squares(images, size=2).images[:, 1, :3].tolist()
    [[[0, 255, 0], [0, 255, 0], [128, 128, 128]], [[255, 0, 0], [255, 0, 0], [128, 128, 128]]]
    """
    height, width = images.images.shape[1:3]
    side = min(height, width)
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise TypeError(f"size={size!r} is not an integer")
    if not 1 <= size <= side:
        raise ValueError(f"size={size}; allowed is 1 to {side} px, the side of the image")
    top, left = (height - side) // 2, (width - side) // 2
    chosen = carriers(images.labels, ratio, seed=seed)
    colours = palette(images.num_classes)[images.labels[chosen]]  # (n, 3)
    pixels = np.array(images.images)  # a copy in memory
    pixels[chosen, top : top + size, left : left + size] = colours[:, None, None]
    return dataclasses.replace(images, images=pixels)


def carriers(
    labels: np.ndarray, ratio: float, *, seed: int | np.random.SeedSequence = 0
) -> np.ndarray:
    """Return the indices of the images that carry a square, ascending.

    There are exactly ``ratio * N``, rounded, as evenly over the classes as possible. An image that
    carries a square at one ratio also carries one at every larger ratio. ValueError for a ratio
    outside [0, 1], or a ratio above 0 that gives no image.

    Examples
    --------
    >>> len(carriers(np.arange(10), 0.3)), carriers(np.arange(10), 0).tolist()
    (3, [])
    """
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio={ratio!r}; allowed is a number in [0, 1]")
    count = math.floor(ratio * len(labels) + 0.5)
    if ratio and not count:
        raise ValueError(f"ratio={ratio!r} of {len(labels)} images comes to none; allowed is 0")
    if not count:
        return np.empty(0, np.int64)
    return np.sort(stratified(labels, count, seed))


@lru_cache(maxsize=1)
def _farthest_colours() -> np.ndarray:
    grid = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing="ij"), -1).reshape(-1, 3)
    lab = srgb_to_lab(grid)
    greys = srgb_to_lab(np.repeat(_LEVELS[:, None], 3, axis=1))
    nearest = np.linalg.norm(lab[:, None] - greys, axis=-1).min(axis=1)
    chosen = []
    for _ in range(MAX_COLOURS):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(lab - lab[chosen[-1]], axis=-1))
    return grid[chosen]


def srgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """Return CIELAB (D65, 2 degrees) of uint8 sRGB colours: (..., 3) -> float64 (..., 3).

    Examples
    --------
    >>> srgb_to_lab(np.array([[255, 255, 255], [255, 0, 0]], np.uint8)).round(1).tolist()
    [[100.0, 0.0, 0.0], [53.2, 80.1, 67.2]]
    """
    value = np.asarray(rgb, np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(  # IEC 61966-2-1
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = linear @ to_xyz.T / to_xyz.sum(axis=1)  # white is (1, 1, 1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
