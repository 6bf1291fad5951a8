"""The embedded data set `shapes`: images drawn by code, in 24 classes.

A class is a combination of shape, texture and colour family, so a network that ignores one of these
cannot tell all classes apart. Everything else varies within a class: position, size, proportions,
rotation, the exact hues, frequency and direction of the texture, background, a bar behind the
shape, light, and noise. A scene can be drawn again with one of its factors changed (`CHANGES`).

Shapes are drawn from signed distances (negative inside), after Inigo Quilez,
https://iquilezles.org/articles/distfunctions2d.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from invlib.names import choices

__all__ = ["CHANGES", "CLASS_NAMES", "FORM_NAMES", "SIZE", "draw_shapes"]

SIZE = 32  # pixels

# name: (corners, pointedness, size, half-width of the outline or 0 for a filled shape)
# Pointedness goes from 2, a regular polygon, to the number of corners, a star of needles.
# The sizes make the areas similar: size varies too, so the area does not show the class.
_SHAPES = {
    "disc": (64, 2.0, 0.80, 0.0),
    "ring": (64, 2.0, 0.78, 0.22),
    "triangle": (3, 2.0, 1.15, 0.0),
    "star": (4, 3.0, 1.2, 0.0),
}
_TEXTURES = ("plain", "striped", "checked")
# name: range of hues; 0 is red, 1 a full turn
_FAMILIES = {"warm": (-0.05, 0.13), "cool": (0.46, 0.72)}

CLASS_NAMES = tuple(
    f"{family} {texture} {shape}"
    for shape, texture, family in product(_SHAPES, _TEXTURES, _FAMILIES)
)
# The classes of the data set `shapes_by_form`: class k is classes 2k and 2k + 1 of `CLASS_NAMES`.
FORM_NAMES = tuple(f"{texture} {shape}" for shape, texture in product(_SHAPES, _TEXTURES))

# What can be changed in a scene: it gets the other family of hues, the next shape or texture, or
# the shape moves to the place opposite the centre. All else stays as it was drawn.
CHANGES = ("colour", "shape", "texture", "place")

_SPLITS = ("train", "test")
# Each block of images has a random stream of its own, so image i does not depend on n.
# Each len(CLASS_NAMES) images in a row have every class once, so any n is balanced to within one.
_BLOCK = 16 * len(CLASS_NAMES)


def draw_shapes(
    n: int, split: str, *, seed: int = 0, change: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `n` images of an endless sequence, one for each `split` and `seed`.

    They are uint8 (n, 32, 32, 3), with labels (n,), indices into `CLASS_NAMES`. `split` is
    ``"train"`` or ``"test"``, `seed` 0 or more; they have independent random streams. `change` is
    one of `CHANGES`: the same scenes are drawn with this factor changed.

    Examples
    --------
    >>> images, labels = draw_shapes(48, "train")
    >>> images.shape, len(CLASS_NAMES), CLASS_NAMES[0]
    ((48, 32, 32, 3), 24, 'warm plain disc')
    >>> CLASS_NAMES[labels[0]], CLASS_NAMES[draw_shapes(1, "train", change="colour")[1][0]]
    ('cool plain disc', 'warm plain disc')
    """
    key = _SPLITS.index(choices("split", split, _SPLITS))
    if change is not None:
        choices("change", change, CHANGES)
    images = np.empty((n, SIZE, SIZE, 3), np.uint8)
    labels = np.empty(n, np.int64)
    for block, start in enumerate(range(0, n, _BLOCK)):
        stream = np.random.SeedSequence(seed, spawn_key=(key, block))
        drawn, classes = _draw_block(np.random.default_rng(stream), change)
        images[start : start + _BLOCK] = drawn[: n - start]
        labels[start : start + _BLOCK] = classes[: n - start]
    return images, labels


def _draw_block(
    rng: np.random.Generator, change: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    classes, counts = len(CLASS_NAMES), (len(_SHAPES), len(_TEXTURES), len(_FAMILIES))
    labels = rng.permuted(np.tile(np.arange(classes), (_BLOCK // classes, 1)), axis=1).ravel()
    factors = zip(("shape", "texture", "colour"), np.unravel_index(labels, counts), strict=True)
    # no random number depends on a factor, so a changed one changes nothing else
    shape, texture, family = (values + (name == change) for name, values in factors)
    labels = np.ravel_multi_index((shape, texture, family), counts, mode="wrap")
    shape, texture, family = np.unravel_index(labels, counts)
    centres = (2 * np.arange(SIZE, dtype=np.float32) + 1) / SIZE - 1
    y, x = np.meshgrid(centres, centres, indexing="ij")  # (32, 32), from -1 to 1

    side = -1 if change == "place" else 1
    inside = _shape_coverage(rng, shape, x, y, side)[..., None]  # (block, 32, 32, 1)
    image = _background(rng, len(labels), x, y)
    image += inside * (_surface(rng, texture, family, x, y) - image)

    light = _wave(rng, len(labels), x, y, cycles=(0.1, 0.2))
    image *= 1 + _uniform(rng, len(labels), 0.0, 0.25)[..., None] * light[..., None]
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    image += _uniform(rng, len(labels), 0.0, 0.05)[..., None] * noise
    return (255 * image.clip(0, 1) + 0.5).astype(np.uint8), labels


def _shape_coverage(
    rng: np.random.Generator, shape: np.ndarray, x: np.ndarray, y: np.ndarray, side: int = 1
) -> np.ndarray:
    """Return the part of each pixel that lies in the shape: (block, 32, 32) in [0, 1].

    A `side` of -1 mirrors the places of the shapes through the centre, not the shapes themselves.
    """
    n = len(shape)
    corners, points, size, outline = (
        np.array(column, np.float32)[shape, None, None]
        for column in zip(*_SHAPES.values(), strict=True)
    )
    radius = _uniform(rng, n, 0.65, 1.0)
    reach = 1.05 - 0.8 * radius  # a shape may leave the picture a little
    u = x - side * reach * _uniform(rng, n, -1, 1)
    v = y - side * reach * _uniform(rng, n, -1, 1)
    angle, stretch = _uniform(rng, n, -0.5, 0.5), _uniform(rng, n, 0.88, 1.14)
    u, v = (
        (np.cos(angle) * u + np.sin(angle) * v) / (radius * stretch),
        (np.cos(angle) * v - np.sin(angle) * u) / (radius / stretch),
    )
    distance = _star_distance(u, v, size, corners, points)
    distance = np.where(outline > 0, np.abs(distance + outline) - outline, distance)
    return (0.5 - distance * radius * SIZE / 2).clip(0, 1)


def _star_distance(
    x: np.ndarray, y: np.ndarray, radius: np.ndarray, corners: np.ndarray, points: np.ndarray
) -> np.ndarray:
    """Return the signed distance to a star, by folding the plane onto half of one corner."""
    half = np.pi / corners
    angle = np.mod(np.arctan2(y, x), 2 * half) - half
    length = np.hypot(x, y)
    x = length * np.cos(angle) - radius * np.cos(half)
    y = length * np.abs(np.sin(angle)) - radius * np.sin(half)
    # the corner is now at the origin, and its edge runs in this direction
    edge_x, edge_y = np.cos(np.pi / points), np.sin(np.pi / points)
    along = np.clip(-(x * edge_x + y * edge_y), 0, radius * np.sin(half) / edge_y)
    x, y = x + edge_x * along, y + edge_y * along
    return np.hypot(x, y) * np.sign(x)


def _surface(
    rng: np.random.Generator, texture: np.ndarray, family: np.ndarray, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Return textured colour over the whole picture: (block, 32, 32, 3)."""
    n = len(texture)
    low, high = np.array(list(_FAMILIES.values()), np.float32)[family].T
    hue = low + (high - low) * rng.random(n, dtype=np.float32)
    value = rng.uniform(0.65, 1.0, n)
    light = _hsv_to_rgb(hue, rng.uniform(0.6, 1.0, n), value)
    dark = _hsv_to_rgb(hue + rng.uniform(-0.03, 0.03, n), rng.uniform(0.6, 1.0, n), 0.35 * value)

    cycles, angle = _uniform(rng, n, 1.6, 2.6), _uniform(rng, n, 0, 2 * np.pi)
    first = np.sin(2 * np.pi * cycles * (np.cos(angle) * x + np.sin(angle) * y) + 7 * angle)
    second = np.sin(2 * np.pi * cycles * (np.cos(angle) * y - np.sin(angle) * x) + 5 * angle)
    kind = texture[:, None, None]
    wave = np.select([kind == 0, kind == 1], [np.float32(1), first], first * second)
    # divided by its change from one pixel to the next, the wave has edges one pixel wide
    mix = (0.5 + wave * SIZE / (4 * np.pi * cycles)).clip(0, 1)[..., None]
    return dark[:, None, None] + mix * (light - dark)[:, None, None]


def _background(rng: np.random.Generator, n: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return clouds of two muted colours with a bar in a third one: (block, 32, 32, 3)."""

    def muted() -> np.ndarray:
        hue, saturation, value = rng.random(n), rng.uniform(0, 0.35, n), rng.uniform(0.15, 0.95, n)
        return _hsv_to_rgb(hue, saturation, value)[:, None, None]

    first, second, third = muted(), muted(), muted()
    clouds = sum(_wave(rng, n, x, y, cycles=(0.2, 1.1)) for _ in range(3))
    image = first + (0.5 + 0.4 * clouds).clip(0, 1)[..., None] * (second - first)

    angle = _uniform(rng, n, 0, np.pi)
    across = np.cos(angle) * x + np.sin(angle) * y - _uniform(rng, n, -0.9, 0.9)
    width = _uniform(rng, n, -0.2, 0.2)  # no bar where it is negative
    bar = (0.5 + (width - np.abs(across)) * SIZE / 2).clip(0, 1)[..., None]
    return image + bar * (third - image)


def _wave(
    rng: np.random.Generator, n: int, x: np.ndarray, y: np.ndarray, *, cycles: tuple[float, float]
) -> np.ndarray:
    """Return a plane wave for each image, random in direction and phase: (n, 32, 32) in [-1, 1]."""
    angle, frequency = _uniform(rng, n, 0, 2 * np.pi), 2 * np.pi * _uniform(rng, n, *cycles)
    along = frequency * (np.cos(angle) * x + np.sin(angle) * y)
    return np.sin(along + _uniform(rng, n, 0, 2 * np.pi))


def _uniform(rng: np.random.Generator, n: int, low: float, high: float) -> np.ndarray:
    """Return one random number for each image: float32 (n, 1, 1)."""
    return rng.uniform(low, high, (n, 1, 1)).astype(np.float32)


def _hsv_to_rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return RGB colours, float32 (n, 3) in [0, 1]; `hue` is in turns and may leave [0, 1]."""
    k = np.mod(np.array([5, 3, 1]) + 6 * hue[:, None], 6)
    depth = np.minimum(k, 4 - k).clip(0, 1)
    return (value[:, None] * (1 - saturation[:, None] * depth)).astype(np.float32)
