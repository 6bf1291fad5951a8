"""Images with labels: `ImageSet`, and `load_images`, which knows every data set by its name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from invlib import shapes
from invlib.decoded import ImageFiles, Pixels, Source, decoded, validate
from invlib.errors import choices
from invlib.paths import datasets_root
from invlib.sources import find_source

if TYPE_CHECKING:
    import torch

__all__ = ["ImageSet", "load_images", "stratified"]

_BLOCK = 256  # images converted to float at a time
_HASHED = 64 * 2**20  # bytes of pixels that a fingerprint reads

_N_SHAPES = {"train": 10_000, "test": 2_000}  # of an endless sequence
_N_DIGIT_TESTS = 500  # of 1,797 scans


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images of one split, with their labels.

    Parameters
    ----------
    images : uint8 array (N, H, W, 3)
        Possibly a read-only memory map: copy before writing.
    labels : int64 array (N,)
        In [0, K).
    class_names : tuple of K str
    name, split : str
        As given to `load_images`.

    Raises
    ------
    TypeError, ValueError
        If dtypes or shapes are others, or a label has no class.

    Examples
    --------
    >>> digits = load_images("digits", "test")
    >>> digits
    ImageSet('digits', 'test', 500 images of 32 x 32 px, 10 classes)
    >>> digits.tensor(16).shape
    torch.Size([500, 3, 16, 16])
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    name: str
    split: str

    def __post_init__(self) -> None:
        labels = np.asarray(self.labels)
        validate(self.images, labels, self.class_names, f"{self.name}/{self.split}")
        object.__setattr__(self, "labels", labels.astype(np.int64, copy=False))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        _, height, width, _ = self.images.shape
        return (
            f"ImageSet({self.name!r}, {self.split!r}, {len(self)} images of {height} x {width} px, "
            f"{self.num_classes} classes)"
        )

    @property
    def num_classes(self) -> int:
        """K, the number of classes, whether or not each has an image here."""
        return len(self.class_names)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change with labels, class names, order or pixels.

        Of more than 64 MiB of pixels it reads 64 MiB, in images spread evenly over the set.

        Examples
        --------
        >>> digits = load_images("digits", "test")
        >>> digits.fingerprint == digits.subset(np.arange(500)).fingerprint
        True
        """
        digest = hashlib.sha256(repr((self.images.shape, self.class_names)).encode())
        digest.update(np.ascontiguousarray(self.labels))
        step = -(-self.images.nbytes // _HASHED)
        digest.update(np.ascontiguousarray(self.images[::step]))
        return digest.hexdigest()[:16]

    def subset(self, indices: Sequence[int] | np.ndarray) -> ImageSet:
        """Return the images at `indices` (integers, or a boolean mask), in that order.

        Examples
        --------
        >>> digits = load_images("digits", "test")
        >>> digits.subset(digits.labels == 3)
        ImageSet('digits', 'test', 50 images of 32 x 32 px, 10 classes)
        """
        images = np.asarray(self.images[indices])  # in memory, also out of a memory map
        return ImageSet(images, self.labels[indices], self.class_names, self.name, self.split)

    def sample(self, n: int, seed: int = 0) -> ImageSet:
        """Return `n` images drawn without replacement, see `stratified`.

        Examples
        --------
        >>> load_images("digits", "test").sample(20, seed=1)
        ImageSet('digits', 'test', 20 images of 32 x 32 px, 10 classes)
        """
        return self.subset(stratified(self.labels, n, seed, f"{self.name}/{self.split}"))

    def tensor(
        self, img_size: int | None = None, device: str | torch.device | None = None
    ) -> torch.Tensor:
        """Return the images as float32 (N, 3, S, S) in [0, 1].

        Parameters
        ----------
        img_size : int, optional
            Side S in pixels. The centre square is resized by antialiased bicubic interpolation
            and clamped to [0, 1]. None keeps the images as they are, (N, 3, H, W).
        device : optional
            Where the result lives; the default is torch's default device.
        """
        import torch
        from torch.nn.functional import interpolate

        _, height, width, _ = self.images.shape
        square = min(height, width)
        top, left = (height - square) // 2, (width - square) // 2
        out_size = (height, width) if img_size is None else (img_size, img_size)
        out = torch.empty((len(self), 3, *out_size), device=device)
        for start in range(0, len(self), _BLOCK):
            block = np.array(self.images[start : start + _BLOCK])  # torch wants it writable
            x = torch.from_numpy(block).to(out.device).permute(0, 3, 1, 2).float() / 255
            if x.shape[2:] != out_size:
                x = x[:, :, top : top + square, left : left + square]
                x = interpolate(x, out_size, mode="bicubic", antialias=True).clamp(0, 1)
            out[start : start + _BLOCK] = x
        return out


def load_images(
    name: str,
    split: str,
    *,
    n: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
) -> ImageSet:
    """Return images of one split of a data set.

    ==================  ==========================================================================
    ``digits``          embedded: 1,797 real scans of handwritten digits (scikit-learn), 8 x 8
                        grey, enlarged to 32 x 32 RGB; 50 scans of each digit are the test split
    ``shapes``          embedded: procedural images, see `invlib.shapes`
    ``cifar10``,        through torchvision: downloaded once into `root`, verified, and then read
    ``cifar100``,       from there. EuroSAT has no official split, see `invlib.official`; the
    ``svhn``,           training split of the pets is the official ``trainval``
    ``eurosat``,
    ``oxford_pets``
    any other name      ``<root>/<name>/<split>.npz`` with `images` uint8 (N, H, W, 3) and
                        `labels`, and ``classes.json`` beside it (a list of names, or an object
                        label -> name); or ``<root>/<name>/<split>/<class>/*.jpg`` or ``.png``,
                        as ImageNet has it, where ``val`` is the test split unless there is one.
                        These go before a download.
    a path              to a folder like ``<root>/<name>``, or to one ``<split>.npz``
    ==================  ==========================================================================

    What is read from files is decoded once and then memory-mapped, see `invlib.decoded`.

    Parameters
    ----------
    n : int, optional
        Draw this many without replacement, the classes as evenly represented as they can be, in
        random order (see `stratified`). None gives every image, in the order of the source.
    seed : int
        Draws the images. The procedural set is endless: there `n` images are made from the
        seed, and another seed gives other images; None is 10,000 (train) or 2,000 (test).
    root : path, optional
        Where data sets lie; default ``$INVLIB_DATA``, else ``data/datasets``.

    Returns
    -------
    ImageSet
        Labels are 0 to K-1 in the order of the classes in the source.

    Raises
    ------
    ValueError
        For an unknown name or split (naming the nearest), more images than there are, or a
        damaged file.
    TypeError
        For images that are not uint8, labels that are not integers, or an `n` that is not one.
    FileNotFoundError
        Where a download failed, saying where to put the files by hand.

    Examples
    --------
    >>> load_images("digits", "train", n=100)
    ImageSet('digits', 'train', 100 images of 32 x 32 px, 10 classes)
    >>> load_images("digits", "trian")
    Traceback (most recent call last):
        ...
    ValueError: split='trian' is not one of 'test', 'train'; did you mean 'train'?
    """
    if name == "shapes":
        return _shapes(split, n, seed)
    if name == "digits":
        images = _digits(split)
    else:
        place = Path(root).expanduser().absolute() if root else datasets_root()
        source = find_source(str(name), split, place)
        if isinstance(source, ImageFiles):  # draw first, and decode only what was drawn
            chosen = n if n is None else stratified(source.labels, n, seed, f"{name}/{split}")
            return ImageSet(*decoded(source.source(chosen)), source.name, split)
        images = ImageSet(*decoded(source), source.name, split)
    return images if n is None else images.sample(n, seed)


def stratified(labels: np.ndarray, n: int, seed: int, what: str = "the data set") -> np.ndarray:
    """Return `n` different indices, the classes as evenly represented as they can be, shuffled.

    The images drawn for a smaller `n` are among those for a larger one of the same seed.

    Raises TypeError or ValueError if `n` is not an integer from 1 to the number of images, which
    the message calls `what`.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 0, 1, 1, 2])
    >>> np.bincount(labels[stratified(labels, 5, seed=0)]).tolist()
    [2, 2, 1]
    """
    _positive(n)
    if n > len(labels):
        raise ValueError(f"n={n} images were asked for, but {what} has {len(labels)}")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    # Each image's place among those of its class. Taking all firsts, then all seconds, ...
    # spreads n over the classes, and a class that runs out leaves its share to the others.
    by_class = np.argsort(labels[order], kind="stable")
    counts = np.unique(labels, return_counts=True)[1]
    place = np.empty(len(labels), np.int64)
    place[by_class] = np.concatenate([np.arange(count) for count in counts])
    return rng.permutation(order[np.argsort(place, kind="stable")[:n]])


def _positive(n: int) -> None:
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise TypeError(f"n={n!r} is not an integer")
    if n < 1:
        raise ValueError(f"n={n} images were asked for; at least 1 is needed")


def _shapes(split: str, n: int | None, seed: int) -> ImageSet:
    choices("split", split, _N_SHAPES)
    _positive(n := _N_SHAPES[split] if n is None else n)

    def draw() -> Pixels:
        images, labels = shapes.draw_shapes(n, split, seed=seed)
        return Pixels(images.shape, [images], labels, shapes.CLASS_NAMES)

    # Kept, or every notebook would spend two seconds on 10,000 images; the code is in the key.
    code = hashlib.sha256(Path(shapes.__file__).read_bytes()).hexdigest()
    identity = [code, np.__version__, int(n), int(seed)]
    source = Source(name="shapes", split=split, identity=identity, read=draw)
    return ImageSet(*decoded(source), "shapes", split)


def _digits(split: str) -> ImageSet:
    from PIL import Image
    from sklearn.datasets import load_digits

    choices("split", split, ("train", "test"))
    scans = load_digits()
    tests = stratified(scans.target, _N_DIGIT_TESTS, seed=0)
    chosen = np.isin(np.arange(len(scans.target)), tests) == (split == "test")
    grey = [
        np.asarray(Image.fromarray(scan).resize((32, 32), Image.Resampling.BICUBIC))
        for scan in np.round(scans.images[chosen] * (255 / 16)).astype(np.uint8)
    ]
    images = np.repeat(np.stack(grey)[..., None], 3, axis=-1)
    names = tuple(str(name) for name in scans.target_names)
    return ImageSet(images, scans.target[chosen], names, "digits", split)
