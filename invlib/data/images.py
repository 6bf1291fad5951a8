"""`ImageSet` holds images with labels; `load_images` loads any data set by its name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType

import numpy as np
import PIL
import torch
import torch.nn.functional as F
from torch import Tensor

from invlib.data.decoded import ImageFiles, Pixels, Source, decoded, validate
from invlib.data.embedded import digits, shapes, street_digits
from invlib.data.sampling import check_draw, stratified
from invlib.data.sources import EMBEDDED, find_source
from invlib.files import content
from invlib.names import choices, whole_number
from invlib.paths import datasets_root

__all__ = ["ImageSet", "bicubic", "load_images", "resize", "stratified"]

_BLOCK = 256  # images converted to float at a time
_HASHED = 64 * 2**20  # a fingerprint reads at most this many bytes of pixels

_N_SHAPES = {"train": 10_000, "test": 2_000}  # default length of an endless sequence


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images of one split, with their labels.

    `images` are uint8 (N, H, W, 3), perhaps a read-only memory map, `labels` (N,) integers in
    [0, K) for K `class_names`; TypeError or ValueError for others. `name` and `split` are as given
    to `load_images`.

    Examples
    --------
    >>> digits = load_images("digits", "test")
    >>> digits
    ImageSet('digits', 'test', 500 images of 32 x 32 px, 10 classes)
    >>> digits.subset(digits.labels == 3).sample(20, seed=1)
    ImageSet('digits', 'test', 20 images of 32 x 32 px, 10 classes)
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
        """K, the number of classes. A class may have no image here."""
        return len(self.class_names)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits, a hash of the labels, the class names and the pixels in order.

        Of a larger set it reads 64 MiB of pixels, in images spread evenly over the set.
        """
        digest = hashlib.sha256(repr((self.images.shape, self.class_names)).encode())
        digest.update(np.ascontiguousarray(self.labels))
        step = -(-self.images.nbytes // _HASHED)
        digest.update(np.ascontiguousarray(self.images[::step]))
        return digest.hexdigest()[:16]

    def subset(self, indices: Sequence[int] | np.ndarray) -> ImageSet:
        """Return the images at `indices` (integers, or a boolean mask), in that order."""
        images = np.asarray(self.images[indices])  # a copy in memory
        return ImageSet(images, self.labels[indices], self.class_names, self.name, self.split)

    def sample(self, n: int | None, seed: int = 0, *, skip: int = 0) -> ImageSet:
        """Draw `n` images without replacement, as `stratified` does."""
        what = f"{self.name}/{self.split}"
        return self.subset(stratified(self.labels, n, seed, what, skip=skip))

    def tensor(
        self, img_size: int | None = None, device: str | torch.device | None = None
    ) -> Tensor:
        """Return the images as float32 (N, 3, S, S) in [0, 1], where S is `img_size`.

        They are cropped and resized as by `resize`; None keeps the size: (N, 3, H, W).
        """
        if img_size is not None:
            whole_number("img_size", img_size, 1)
        sides = self.images.shape[1:3] if img_size is None else (img_size, img_size)
        out = torch.empty((len(self), 3, *sides), device=device)
        for start in range(0, len(self), _BLOCK):
            block = np.array(self.images[start : start + _BLOCK])  # torch needs a writable array
            out[start : start + _BLOCK] = resize(torch.from_numpy(block).to(out.device), img_size)
        return out


def resize(images: Tensor, size: int | None) -> Tensor:
    """Return uint8 images (N, H, W, 3) as floats (N, 3, S, S) in [0, 1].

    The centre square is resized to S = `size` pixels with `bicubic`. None keeps (N, 3, H, W).
    """
    height, width = images.shape[1:3]
    if size is not None:
        square = min(height, width)
        top, left = (height - square) // 2, (width - square) // 2
        images = images[:, top : top + square, left : left + square]
    x = images.permute(0, 3, 1, 2).float().div_(255)
    return x if size in (None, x.shape[-1]) else bicubic(x, (size, size))


def bicubic(x: Tensor, sides: tuple[int, int], *, most: float = 1.0) -> Tensor:
    """Resize maps (N, C, H, W) in [0, `most`] to `sides` (height, width), antialiased."""
    # Bicubic interpolation overshoots at edges.
    return F.interpolate(x, sides, mode="bicubic", antialias=True).clamp_(0, most)


def load_images(
    name: str,
    split: str | None,
    *,
    n: int | None = None,
    seed: int = 0,
    skip: int = 0,
    root: str | Path | None = None,
    test_share: float | None = None,
    split_seed: int = 0,
    upright: bool = True,
) -> ImageSet:
    """Return images of one split of a data set.

    ==================  ==========================================================================
    ``digits``          embedded: 1,797 scans of handwritten digits, see `embedded.digits`
    ``street_digits``   embedded: the same scans, coloured, on pieces of photographs
    ``shapes``          embedded: images drawn by code, see `invlib.data.embedded.shapes`
    ``shapes_by_form``  the same images in 12 classes, of shape and texture: any colour will do
    ``cifar10``,        from torchvision: downloaded once into `root`, verified, then read from
    ``cifar100``,       there. EuroSAT has no official split, see `invlib.data.downloads`; the
    ``svhn``,           training split of the pets is the official ``trainval``
    ``eurosat``,
    ``oxford_pets``
    any other name      ``<root>/<name>/<split>.npz`` with `images` uint8 (N, H, W, 3) and
                        `labels`, and ``classes.json`` beside it (a list of names, or an object
                        label -> name); or ``<root>/<name>/<split>/<class>/*.jpg``, as in ImageNet,
                        of any format (`invlib.data.pictures`) and layout (`invlib.data.folders`);
                        ``val`` is the test split if there is no ``test``. Such files are used in
                        place of a download.
    a path              to a folder like ``<root>/<name>``, or to one ``<split>.npz``
    ==================  ==========================================================================

    A folder without splits is the split ``all``, and `test_share` divides it. None for `split` is
    ``test``, or ``all`` of such a folder. What is skipped is logged. Files are decoded once and
    then memory-mapped, see `invlib.data.decoded`.

    Parameters
    ----------
    n : int, optional
        Draw this many without replacement, in random order and as evenly over the classes as
        possible (see `stratified`). None gives all images, in the order of the source.
    seed : int
        Seed of the draw. Both sets of shapes are endless: another seed gives other images, and None
        for `n` means 10,000 (train) or 2,000 (test).
    skip : int
        Leave out the first `skip` images of the seed's order. So ``n=a`` and ``n=b, skip=a`` draw
        no image in common. With None for `n`, all other images are drawn.
    root : path, optional
        The folder of data sets; default ``$INVLIB_DATA``, else ``data/datasets``.
    test_share : float, optional
        Divide a folder without splits: so much of each class is ``test``, the rest ``train``, by
        `split_seed` and the files' names.
    upright : bool
        Turn image files as their EXIF orientation says; torchvision's ``ImageFolder`` does not.

    Raises
    ------
    TypeError, ValueError
        For an unknown name or split (the message suggests the nearest), too many images, or a
        damaged file.
    FileNotFoundError
        If a download failed. The message says where to put the files by hand.

    Examples
    --------
    >>> load_images("digits", "train", n=100)
    ImageSet('digits', 'train', 100 images of 32 x 32 px, 10 classes)
    >>> load_images("digits", "trian")
    Traceback (most recent call last):
        ...
    ValueError: split='trian' is not one of 'test', 'train'; did you mean 'train'?
    """
    check_draw(n, skip)
    whole_number("seed", seed)
    some = n is not None or skip > 0
    place = Path(root).expanduser().absolute() if root else datasets_root()
    if name in EMBEDDED and (place / name).is_dir() and any((place / name).iterdir()):
        raise ValueError(
            f"name={name!r} is an embedded data set, and there is a folder {place / name}; write "
            f"'embedded:{name}' for the one, or the path of the folder for the other"
        )
    name = str(name).removeprefix("embedded:")
    if test_share is not None and name in EMBEDDED:
        raise ValueError(f"test_share={test_share!r}: {name} has splits: test, train")
    split = "test" if split is None and name in EMBEDDED else split
    if name in ("shapes", "shapes_by_form"):
        return _shapes(name, split, n, seed, skip)
    if name == "digits":
        images = ImageSet(*digits.draw_digits(split), digits.CLASS_NAMES, name, split)
    elif name == "street_digits":
        images = _street_digits(split)
    else:
        source = find_source(name, split, place, test_share=test_share, split_seed=split_seed)
        if isinstance(source, ImageFiles):  # draw first, then decode only the drawn files
            what = f"{name}/{source.split}"
            chosen = stratified(source.labels, n, seed, what, skip=skip) if some else None
            source, some = source.source(chosen, upright=upright), False
        images = ImageSet(*decoded(source), source.name, source.split)
    return images.sample(n, seed, skip=skip) if some else images


def _shapes(name: str, split: str, n: int | None, seed: int, skip: int) -> ImageSet:
    choices("split", split, _N_SHAPES)
    stop = skip + (_N_SHAPES[split] if n is None else n)
    draw = partial(shapes.draw_shapes, stop, split, seed=seed)
    images, labels, names = _drawn("shapes", split, draw, [shapes], int(stop), int(seed))
    if name == "shapes_by_form":
        labels, names = labels // 2, shapes.FORM_NAMES
    return ImageSet(images[skip:], labels[skip:], names, name, split)


def _street_digits(split: str) -> ImageSet:
    choices("split", split, ("test", "train"))
    draw = partial(street_digits.draw_street_digits, split)
    parts = _drawn("street_digits", split, draw, [street_digits, digits], PIL.__version__)
    return ImageSet(*parts, "street_digits", split)


def _drawn(
    name: str, split: str, draw: Callable, modules: list[ModuleType], *identity: object
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return what `draw` draws, from the cache: 10,000 shapes take two seconds."""

    def read() -> Pixels:
        images, labels = draw()
        return Pixels(images.shape, [images], labels, modules[-1].CLASS_NAMES)

    code = [content(Path(module.__file__)) for module in modules]
    identity = [*code, np.__version__, *identity]
    return decoded(Source(name=name, split=split, identity=identity, read=read))
