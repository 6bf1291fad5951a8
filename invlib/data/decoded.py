"""A disk cache of decoded images: memory-mapped arrays, renewed when the source files change."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from invlib.data.pictures import as_rgb, open_picture
from invlib.files import atomic, content, lock
from invlib.names import listed
from invlib.paths import cache_root
from invlib.progress import progress_bar

__all__ = ["ImageFiles", "Pixels", "Source", "decoded", "file_stamp", "validate"]

logger = logging.getLogger(__name__)

# Part of every key. Raise it when the decoder gives other pixels for the same source.
_DECODER = 2
# Image files are resized to one of these sides: 224 for photographs, less for smaller files.
_SIDES = (224, 128, 96, 64, 32)
_BLOCK = 256  # image files decoded at a time


class Pixels(NamedTuple):
    """Decoded images and their labels. `blocks` yields the images block by block, in order."""

    shape: tuple[int, int, int, int]  # (N, H, W, 3)
    blocks: Iterable[np.ndarray]  # uint8 (n, H, W, 3)
    labels: np.ndarray  # (N,)
    class_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Source:
    """One split of a data set, not yet decoded.

    `identity` has all that determines the pixels, as JSON types: files with their sizes and times,
    options. While it stays the same, `read` is not called again.
    """

    name: str
    split: str
    identity: object
    read: Callable[[], Pixels]


@dataclass(frozen=True)
class ImageFiles:
    """One split with a file for each image. The labels are known before any file is decoded.

    Each image is resized (bicubic) to fit its shorter side, and cropped to the centre square. The
    side is the largest of 224, 128, 96, 64 and 32 that the median file reaches. It depends on the
    data set, but not on which of its images are requested.
    """

    name: str
    split: str
    paths: Sequence[Path]
    labels: np.ndarray  # (N,)
    class_names: tuple[str, ...]

    def source(self, indices: np.ndarray | None = None, *, upright: bool = True) -> Source:
        """Return the images at `indices`, in that order, or all. Only these are decoded."""
        chosen = np.arange(len(self.paths)) if indices is None else indices
        paths, labels = [self.paths[i] for i in chosen], self.labels[chosen]
        names = self.class_names
        side, stamps = self._side(), [file_stamp(path) for path in paths]
        return Source(
            name=self.name,
            split=self.split,
            identity=[side, upright, stamps, labels.tolist(), names],
            read=lambda: Pixels(
                (len(paths), side, side, 3), _decode_files(paths, side, upright), labels, names
            ),
        )

    def _side(self) -> int:
        sample = self.paths[:: max(1, len(self.paths) // 50)]
        median = np.median([side for path in sample if (side := _shorter_side(path))] or [0])
        return next((side for side in _SIDES if side <= median), _SIDES[-1])


def decoded(source: Source) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return the images (a read-only memory map), labels and class names of a source.

    The cache keeps them in ``<cache_root()>/images/<name>-<split>-<key>/``, with digests that are
    checked. An entry is written whole or not at all, and made again if it is damaged. One process
    decodes while others wait. Any entry may be deleted at any time. OSError names a folder that
    cannot be written, and ``INVLIB_CACHE``.
    """
    identity = json.dumps([_DECODER, source.name, source.split, source.identity])
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    root = cache_root() / "images"
    entry = root / f"{source.name}-{source.split}-{key}"
    if (images := _open(entry)) is not None:
        return images
    with lock(root / f".{entry.name}.lock"):
        if (images := _open(entry)) is None:
            shutil.rmtree(entry, ignore_errors=True)  # in case it is damaged
            _write(entry, source.read())
            images = _open(entry)
    return images


def file_stamp(path: Path) -> tuple[str, int, int]:
    """Return path, size and time of a file: they show a change without reading it."""
    stat = path.stat()
    return str(path.absolute()), stat.st_size, stat.st_mtime_ns


def validate(
    images: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...] | None, what: str
) -> None:
    """Check that images are uint8 (N, H, W, 3) and labels N integers in [0, K) for K classes.

    `what` names the data in the message. With None for `class_names`, any integers are allowed.
    TypeError for a wrong dtype, ValueError for what else does not fit.
    """
    if images.dtype != np.uint8:
        raise TypeError(f"{what}: images are {images.dtype}, not uint8 (0 to 255)")
    if images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise ValueError(
            f"{what}: images have shape {images.shape}, not (N, H, W, 3) with N, H, W > 0"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"{what}: labels are {labels.dtype}, not integers")
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"{what}: labels have shape {labels.shape}, but there are {len(images)} images"
        )
    low, high = labels.min(), labels.max()
    if class_names is not None and not 0 <= low <= high < len(class_names):
        raise ValueError(
            f"{what}: labels run from {low} to {high}, but there are {len(class_names)} classes"
        )


def _open(entry: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]] | None:
    """Return an entry of the cache, or None if it is absent or damaged."""
    if not entry.exists():
        return None
    try:
        for name, digest in json.loads((entry / "digests.json").read_bytes()).items():
            if content(entry / name) != digest:
                raise ValueError(f"{name} is not as it was written")
        images = np.load(entry / "images.npy", mmap_mode="r")
        labels = np.load(entry / "labels.npy")
        class_names = tuple(json.loads((entry / "classes.json").read_bytes()))
    except (OSError, ValueError, EOFError, AttributeError) as error:
        logger.warning("%s is no whole cache entry and is made again (%s)", entry, error)
        return None
    return images, labels, class_names


def _write(entry: Path, pixels: Pixels) -> None:
    with atomic(entry) as folder:
        folder.mkdir()
        with open(folder / "images.npy", "wb") as file:
            _write_blocks(file, pixels)
        np.save(folder / "labels.npy", np.asarray(pixels.labels, np.int64))
        (folder / "classes.json").write_text(json.dumps(list(pixels.class_names)))
        digests = {file.name: content(file) for file in sorted(folder.iterdir())}
        (folder / "digests.json").write_text(json.dumps(digests))


def _write_blocks(file: BinaryIO, pixels: Pixels) -> None:
    # No writable memory map, because with a full disk it kills the process.
    header = {"descr": "|u1", "fortran_order": False, "shape": pixels.shape}
    np.lib.format.write_array_header_1_0(file, header)
    for block in pixels.blocks:
        file.write(np.ascontiguousarray(block, np.uint8).data)


def _decode_files(paths: Sequence[Path], side: int, upright: bool) -> Iterator[np.ndarray]:
    """Yield blocks of square images, decoded in threads: Pillow releases the interpreter lock."""
    problems: list[str] = []

    def decode(path: Path) -> np.ndarray:
        try:
            return _decode_file(path, side=side, upright=upright)
        except ValueError as error:
            problems.append(str(error))
            return np.zeros((side, side, 3), np.uint8)

    with (
        ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool,
        progress_bar(None, len(paths), "decoding images") as bar,
    ):
        for start in range(0, len(paths), _BLOCK):
            block = list(pool.map(decode, paths[start : start + _BLOCK]))
            bar.update(len(block))
            yield np.stack(block)
    if problems:  # all together, so that one attempt names them all
        count = f"{len(problems)} of {len(paths)} images cannot be read; move them away: "
        raise ValueError((count if len(problems) > 1 else "") + listed(sorted(problems)))


def _decode_file(path: Path, *, side: int, upright: bool) -> np.ndarray:
    with open_picture(path) as image:
        try:
            rgb = as_rgb(image, upright=upright)
        except (OSError, SyntaxError) as error:  # Pillow raises it for a broken PNG
            raise ValueError(f"{path} is not a complete image ({error})") from error
        except ValueError as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
    return np.asarray(ImageOps.fit(rgb, (side, side), Image.Resampling.BICUBIC))


def _shorter_side(path: Path) -> int | None:
    try:
        with open_picture(path) as image:  # reads the file's header only
            return min(image.size)
    except ValueError:
        if path.is_file():  # a damaged one is named with all others, if it is to be decoded
            return None
        raise
