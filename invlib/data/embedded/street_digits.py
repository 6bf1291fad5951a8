"""The embedded data set `street_digits`: coloured digit scans on pieces of photographs.

It stands in for SVHN in the cross-domain task of Goerttler & Obermayer (2022): natural colours and
backgrounds, parts of other digits at the sides, low contrast and blur. It is easier than SVHN and
must not be reported as SVHN.

The scans are those of `digits`, in the same splits. The photographs are scikit-learn's two sample
images. The test split uses their right quarter, the training split the rest.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageFilter

from invlib.data.embedded.digits import scans

__all__ = ["COPIES", "SIZE", "draw_street_digits"]

SIZE = 32  # pixels
COPIES = 4  # images made from each scan, each with other colours and another place

_SEAM = 0.75  # of the width of a photograph: training left of it, test right of it
_SPLITS = ("train", "test")
_LUMA = np.array([0.299, 0.587, 0.114])


def draw_street_digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return all images of a split, uint8 (N, 32, 32, 3), and the digits in the middle, int64 (N,).

    There are `COPIES` for each scan, and they are always the same.

    Examples
    --------
    >>> images, labels = draw_street_digits("test")
    >>> images.shape, np.bincount(labels).tolist()
    ((2000, 32, 32, 3), [200, 200, 200, 200, 200, 200, 200, 200, 200, 200])
    """
    digits, labels = scans(split)
    walls = photographs(split)
    rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(_SPLITS.index(split),)))
    scan_of = np.tile(np.arange(len(digits)), COPIES)
    images = np.stack([_draw(rng, digits[k], digits, walls) for k in scan_of])
    return images, labels[scan_of].astype(np.int64)


def photographs(split: str) -> list[np.ndarray]:
    """Return the part of each photograph that a split uses for backgrounds, uint8 (H, W, 3)."""
    from sklearn.datasets import load_sample_images  # slow; other data sets need none of it

    parts = []
    for photograph in load_sample_images().images:
        seam = round(_SEAM * photograph.shape[1])
        parts.append(photograph[:, :seam] if split == "train" else photograph[:, seam:])
    return parts


def _draw(
    rng: np.random.Generator, scan: np.ndarray, others: np.ndarray, walls: list[np.ndarray]
) -> np.ndarray:
    """Return one image: a background, the digit, perhaps neighbours beside it, blur and noise."""
    image = _wall(rng, walls)  # (32, 32, 3) in [0, 1]
    ink = _ink(rng, image.mean((0, 1)))
    scale, angle = rng.uniform(2.5, 3.3), rng.uniform(-0.15, 0.15)
    middle = rng.uniform(-2, 2, 2)
    for side in (-1, 1):
        if rng.random() < 0.5:  # a neighbour has about the same height, colour and slant
            place = middle + [side * rng.uniform(5.8, 7.0) * scale, rng.uniform(-1, 1)]
            image += _coverage(others[rng.integers(len(others))], scale, angle, place) * (
                ink - image
            )
    image += _coverage(scan, scale, angle, middle) * (ink - image)
    picture = Image.fromarray((255 * image.clip(0, 1) + 0.5).astype(np.uint8))
    picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8)))
    noise = rng.normal(0, rng.uniform(0, 6), image.shape)
    return (np.asarray(picture) + noise).round().clip(0, 255).astype(np.uint8)


def _wall(rng: np.random.Generator, walls: list[np.ndarray]) -> np.ndarray:
    """Return a square of a photograph, turned and recoloured: (32, 32, 3) in [0, 1]."""
    photograph = walls[rng.integers(len(walls))]
    height, width = photograph.shape[:2]
    side = round(SIZE * math.exp(rng.uniform(-0.3, 1.1)))  # 24 to 96 px
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    cut = Image.fromarray(np.ascontiguousarray(photograph[top : top + side, left : left + side]))
    wall = np.asarray(cut.resize((SIZE, SIZE), Image.Resampling.BICUBIC)) / 255
    wall = np.rot90(wall, rng.integers(4))
    wall = wall[:, ::-1] if rng.random() < 0.5 else wall
    mean = wall.mean((0, 1))
    # The photographs only have blue sky, red wood and green leaves, but walls have any colour.
    target = np.clip(mean[rng.permutation(3)] + rng.uniform(-0.15, 0.15, 3), 0.08, 0.92)
    return (target + rng.uniform(0.3, 0.8) * (wall - mean)).clip(0, 1)


def _ink(rng: np.random.Generator, wall: np.ndarray) -> np.ndarray:
    """Return a colour lighter or darker than the wall by 0.25 to 0.6 in luma: (3,) in [0, 1]."""
    luma, contrast = float(wall @ _LUMA), rng.uniform(0.25, 0.6)
    lighter = rng.random() < 0.6  # if both are possible
    if luma + contrast > 1 or luma - contrast < 0:
        lighter = luma < 0.5
    target = np.clip(luma + (contrast if lighter else -contrast), 0, 1)
    tint = rng.uniform(-0.2, 0.2, 3)
    return np.clip(target + tint - tint @ _LUMA, 0, 1)


def _coverage(scan: np.ndarray, scale: float, angle: float, place: np.ndarray) -> np.ndarray:
    """Return the part of each pixel that the ink of a scan covers, (32, 32, 1) in [0, 1].

    The scan is enlarged by `scale`, turned by `angle` (radians) and centred `place` pixels (x, y)
    from the middle.
    """
    padded = np.pad(scan, 4)  # the space beyond the border of the scan is empty
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    x, y = SIZE / 2 + place
    centre = padded.shape[0] / 2
    matrix = (cos, sin, centre - cos * x - sin * y, -sin, cos, centre + sin * x - cos * y)
    picture = Image.fromarray(padded).transform(
        (SIZE, SIZE), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )
    grey = np.asarray(picture)[..., None] / 255
    # A scan is an average over blocks of 4 x 4: steeper edges turn grey slopes back into strokes.
    return ((grey - 0.25) / 0.4).clip(0, 1)
