"""CIFAR-10-C: 15 + 4 corruptions at five severities, computed here or read from official files.

Hendrycks & Dietterich, *Benchmarking neural network robustness to common corruptions and
perturbations*, 2019, https://arxiv.org/abs/1903.12261. The parameters are those of the authors'
generator for CIFAR. Those of ImageNet-C are too strong for 32 pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from invlib.data.images import ImageSet, stratified
from invlib.names import choices
from invlib.paths import datasets_root
from papers.corruptions import distortions, weather

__all__ = ["CORRUPTIONS", "CorruptedSet", "EXTRA", "SEVERITIES", "corrupt", "corrupted_sets"]

SEVERITIES = (1, 2, 3, 4, 5)

# name: (function, its parameters at severities 1 to 5), in the official order
_PUBLISHED = {
    "gaussian_noise": (distortions.gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": (distortions.shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": (distortions.impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus_blur": (
        distortions.defocus_blur,
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    ),
    "glass_blur": (
        distortions.glass_blur,
        ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2)),
    ),
    "motion_blur": (distortions.motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    "zoom_blur": (distortions.zoom_blur, (1.06, 1.11, 1.16, 1.21, 1.26)),
    "snow": (
        weather.snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "frost": (weather.frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))),
    "fog": (weather.fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": (distortions.brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (distortions.contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "elastic_transform": (
        distortions.elastic_transform,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    "pixelate": (distortions.pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": (distortions.jpeg_compression, (80, 65, 58, 50, 40)),
    "speckle_noise": (distortions.speckle_noise, (0.06, 0.1, 0.12, 0.16, 0.2)),
    "gaussian_blur": (distortions.gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1)),
    "spatter": (
        weather.spatter,
        (
            (0.62, 0.1, 0.7, 0.7, 0.5, False),
            (0.65, 0.1, 0.8, 0.7, 0.5, False),
            (0.65, 0.3, 1, 0.69, 0.5, False),
            (0.65, 0.1, 0.7, 0.69, 0.6, True),
            (0.65, 0.1, 0.5, 0.68, 0.6, True),
        ),
    ),
    "saturate": (distortions.saturate, ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))),
}
_NAMES = tuple(_PUBLISHED)
CORRUPTIONS, EXTRA = _NAMES[:15], _NAMES[15:]  # for the benchmark; for development

_OFFICIAL = {"cifar10": "CIFAR-10-C", "cifar100": "CIFAR-100-C"}
_BLOCK = 128  # images at a time: float64 copies of them fit into a processor's cache


def corrupt(images: np.ndarray, corruption: str, severity: int, *, seed: int = 0) -> np.ndarray:
    """Return a corrupted copy of every image.

    The random numbers of an image depend only on its pixels, `corruption`, `severity` and `seed`,
    not on its batch. Two things differ from the authors' images: frost is a drawn texture, not a
    photograph, and the random numbers are others.

    Parameters
    ----------
    images : uint8 array (N, H, H, 3)
        Square, H at least 16. The parameters were chosen for 32.
    corruption : str
        One of `CORRUPTIONS` or `EXTRA`.
    severity : int
        1 to 5, or 0 for the images themselves.

    Returns
    -------
    uint8 array (N, H, H, 3)

    Raises
    ------
    ValueError
        For an unknown name (the message suggests the nearest), severity or shape of the images.
    TypeError
        For images that are not uint8.

    Examples
    --------
    >>> from invlib import load_images
    >>> images = load_images("digits", "test").images
    >>> foggy = corrupt(images, "fog", 3)
    >>> foggy.shape, foggy.dtype
    ((500, 32, 32, 3), dtype('uint8'))
    >>> bool((foggy[7:9] == corrupt(images[7:9], "fog", 3)).all())
    True
    >>> corrupt(images, "frots", 3)
    Traceback (most recent call last):
        ...
    ValueError: corruption='frots' is not one of 'brightness', ...; did you mean 'frost'?
    """
    choices("corruption", corruption, _NAMES)
    _check_severity(severity)
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise TypeError(f"images are {images.dtype}, not uint8 (0 to 255)")
    square = images.ndim == 4 and images.shape[1] == images.shape[2] >= 16
    if not square or images.shape[3] != 3:
        raise ValueError(f"images have shape {images.shape}, not (N, H, H, 3) with H >= 16")
    if severity == 0:
        return images
    construction, parameters = _PUBLISHED[corruption]
    chosen = parameters[severity - 1]
    chosen = chosen if isinstance(chosen, tuple) else (chosen,)
    out = np.empty_like(images)
    for start in range(0, len(images), _BLOCK):
        block = np.ascontiguousarray(images[start : start + _BLOCK])
        rngs = [_stream(image, corruption, severity, seed) for image in block]
        out[start : start + _BLOCK] = distortions.to_bytes(construction(block / 255, rngs, *chosen))
    return out


@dataclass(frozen=True)
class CorruptedSet:
    """Images at one severity, each with one of several corruptions.

    `corruption` (N,) names the corruption of each image. `source` is ``"official"`` for published
    files and ``"regenerated"`` for images corrupted here.
    """

    images: ImageSet
    corruption: np.ndarray
    severity: int
    source: Literal["official", "regenerated"]


def corrupted_sets(
    images: ImageSet,
    *,
    n: int = 1000,
    severities: Iterable[int] = SEVERITIES,
    corruptions: Sequence[str] = CORRUPTIONS,
    seed: int = 0,
    root: str | Path | None = None,
) -> dict[int, CorruptedSet]:
    """Return `n` images for each severity, spread evenly over the types of corruption.

    Image k of a draw gets type k mod 15. All severities have the same images and types.

    If the published files are there, they are used: for the test split of ``cifar10`` the folder
    ``CIFAR-10-C`` (for ``cifar100``, ``CIFAR-100-C``). It has ``labels.npy`` and, for each type,
    ``<corruption>.npy`` with five blocks of images by severity. These files have images and labels
    of their own, so `images` only names the data set. Everything else is regenerated.

    Parameters
    ----------
    n : int
        Number of images at each severity.
    severities : iterable of int
        1 to 5, or 0 for the images themselves.
    seed : int
        Seed of the draw of images and of the random numbers of corruptions.
    root : path, optional
        The folder of data sets; default ``$INVLIB_DATA``, else ``data/datasets``.

    Returns
    -------
    dict
        Severity -> `CorruptedSet`.

    Raises
    ------
    ValueError
        For an unknown type or severity, no type or no severity, more images than there are, or
        files that do not fit together.
    FileNotFoundError
        If the official folder lacks a file. The two sources are never mixed.

    Examples
    --------
    >>> from invlib import load_images
    >>> sets = corrupted_sets(load_images("digits", "test"), n=30, severities=[1, 5])
    >>> sets[5].images, sets[5].source
    (ImageSet('digits', 'test', 30 images of 32 x 32 px, 10 classes), 'regenerated')
    >>> sets[5].corruption[[0, 1, 15]].tolist()
    ['gaussian_noise', 'shot_noise', 'gaussian_noise']
    """
    severities = [_check_severity(severity) for severity in severities]
    types = [choices("corruption", name, _NAMES) for name in corruptions]
    if not severities or not types:
        raise ValueError("at least one of the severities and one of the corruptions is needed")
    official = Path(root) if root else datasets_root()
    official = official / _OFFICIAL.get(images.name, "")
    if images.name in _OFFICIAL and images.split == "test" and official.is_dir():
        return _official_sets(images, official, n, severities, types, seed)
    drawn = images.sample(n, seed)
    kinds = np.resize(types, n)
    sets = {}
    for severity in severities:
        pixels = np.empty_like(drawn.images)
        for kind in types:
            of_kind = kinds == kind
            pixels[of_kind] = corrupt(drawn.images[of_kind], kind, severity, seed=seed)
        sets[severity] = _corrupted(images, pixels, drawn.labels, kinds, severity, "regenerated")
    return sets


def _official_sets(
    images: ImageSet, folder: Path, n: int, severities: list[int], types: list[str], seed: int
) -> dict[int, CorruptedSet]:
    names = images.class_names
    # Official labels number the classes by alphabet. A name that is a number is the label itself.
    if names != tuple(sorted(names)) and not all(name.isdecimal() for name in names):
        raise ValueError(f"{folder} numbers classes by the alphabet, but the images' are {names}")
    if 0 in severities:
        raise ValueError(f"severity=0 is not in {folder}, which holds 1 to 5")
    labels = _memory_map(folder / "labels.npy").astype(np.int64)
    block = len(labels) // 5
    files = {name: _memory_map(folder / f"{name}.npy") for name in types}
    for name, pixels in files.items():
        if pixels.ndim != 4 or len(pixels) != len(labels) or len(labels) % 5:
            raise ValueError(
                f"{folder / name}.npy has shape {pixels.shape}, and labels.npy {labels.shape}; "
                "both should hold five blocks of as many images"
            )
    chosen = stratified(labels[:block], n, seed, str(folder))
    kinds = np.resize(types, n)
    sets = {}
    for severity in severities:
        at = chosen + block * (severity - 1)
        pixels = np.stack([files[kind][i] for kind, i in zip(kinds, at, strict=True)])
        sets[severity] = _corrupted(images, pixels, labels[at], kinds, severity, "official")
    return sets


def _memory_map(path: Path) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path}; complete the folder from https://zenodo.org/records/2535967 "
            "(CIFAR-10-C) or .../3555552 (CIFAR-100-C), or remove it to regenerate the images"
        )
    return np.load(path, mmap_mode="r")


def _corrupted(
    images: ImageSet, pixels: np.ndarray, labels: np.ndarray, kinds: np.ndarray, severity: int,
    source: Literal["official", "regenerated"],
) -> CorruptedSet:  # fmt: skip
    corrupted = ImageSet(pixels, labels, images.class_names, images.name, images.split)
    return CorruptedSet(corrupted, kinds, severity, source)


def _check_severity(severity: int) -> int:
    whole = isinstance(severity, int | np.integer) and not isinstance(severity, bool)
    if not whole or not 0 <= severity <= 5:
        raise ValueError(f"severity={severity!r} is not an integer from 0 to 5")
    return int(severity)


def _stream(image: np.ndarray, corruption: str, severity: int, seed: int) -> np.random.Generator:
    """Return a generator of random numbers for one image, seeded by its pixels."""
    digest = hashlib.blake2b(f"{corruption} {severity} {seed} ".encode(), digest_size=16)
    digest.update(image)
    return np.random.default_rng(int.from_bytes(digest.digest(), "little"))
