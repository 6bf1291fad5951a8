"""Take images out of arrays, tensors, and the data sets and loaders of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler

from invlib.data.folders import UNLABELLED
from invlib.data.images import ImageSet, resize
from invlib.data.pictures import as_rgb
from invlib.data.sampling import stratified

__all__ = ["Items", "as_pool"]

_KEYS = ("image", "images", "img", "pixel_values", "x", "input")  # of an item that is a mapping


def as_pool(pool: object) -> ImageSet | Tensor | Items:
    """Return images that can be drawn from, of whatever holds them.

    Arrays and tensors are (N, 3, H, W) or (N, H, W, 3), or grey with 1 for 3: uint8, or floats in
    [0, 1]. An item of a data set or list is such an image without N, or Pillow's, alone or first in
    a tuple, or under a key such as ``"image"``. A loader's data set is drawn from in its own order,
    and put together by its ``collate_fn``. Only images that are drawn are fetched. TypeError or
    ValueError for anything else, such as normalised values, says what would do.

    Examples
    --------
    >>> as_pool(torch.full((2, 3, 8, 8), 7.0))
    Traceback (most recent call last):
        ...
    ValueError: pool runs from 7 to 7; expected is [0, 1]: divide by 255
    """
    if isinstance(pool, ImageSet | Items):
        return pool
    source = pool.dataset if isinstance(pool, DataLoader) else pool
    if isinstance(source, IterableDataset):
        parts = [_tensor(_part(item), "an item") for item in pool]
        pool = torch.stack(parts) if source is pool else torch.cat(parts)
    if hasattr(pool, "__array__") and hasattr(pool, "dtype"):
        images = _checked(pool, "pool")
        if images.is_floating_point():
            return images
        pixels = images.permute(0, 2, 3, 1).cpu().numpy()
        return ImageSet(pixels, np.zeros(len(pixels), int), (UNLABELLED,), "array", "all")
    sized = hasattr(source, "__len__") and hasattr(source, "__getitem__")
    if not sized or isinstance(source, str | bytes | Mapping):
        may = "load_images(folder, 'all'), an array, a tensor, a list, a data set or a loader"
        raise TypeError(f"pool is of type {type(pool).__name__}; it may be {may}")
    batches = getattr(pool, "batch_sampler", None)
    order = range(len(source))
    # A sampler may choose a part. A random one of all images may drop others each time.
    if batches and not (type(batches) is BatchSampler and type(batches.sampler) is RandomSampler):
        order = sorted({i for batch in batches for i in batch})
    return Items(source, pool.collate_fn if batches else None, order, type(source).__name__)


@dataclass(frozen=True)
class Items:
    """Images that a data set gives one by one, put together by `collate` if there is one."""

    source: Sequence
    collate: Callable | None
    indices: Sequence[int]
    name: str
    split: str = "all"

    @property
    def labels(self) -> np.ndarray:
        return np.zeros(len(self), int)  # of one class, as far as a draw is concerned

    def __len__(self) -> int:
        return len(self.indices)

    def subset(self, indices: Iterable[int]) -> Items:
        return replace(self, indices=[self.indices[i] for i in indices])

    def sample(self, n: int | None, seed: int = 0) -> Items:
        return self.subset(stratified(self.labels, n, seed, self.name))

    def tensor(self, img_size: int | None = None, device: object = None) -> Tensor:
        """Return the images as floats (N, 3, S, S) in [0, 1]. Floats keep their size."""
        items = [self.source[int(i)] for i in self.indices]
        if self.collate is None:
            images = [_pixels(_part(item), img_size) for item in items]
            if len(shapes := {tuple(image.shape) for image in images}) > 1:
                raise ValueError(f"images of {self.name} differ in size: {sorted(shapes)[:3]}")
            images = torch.stack(images)
        else:
            images = _part(self.collate(items))
        images = _checked(images, self.name)
        if images.dtype == torch.uint8:
            images = resize(images.permute(0, 2, 3, 1), img_size)
        return images.to(device)


def _part(item: object) -> object:
    """Return the image, or the batch of them, out of a tuple or a mapping."""
    if isinstance(item, Mapping):
        if not (keys := [key for key in _KEYS if key in item]):
            raise TypeError(f"an item has the keys {list(item)}; its image should be under 'image'")
        return item[keys[0]]
    return item[0] if isinstance(item, tuple | list) and item else item


def _pixels(image: object, img_size: int | None) -> Tensor:
    if isinstance(image, Image.Image):
        rgb = as_rgb(image)
        size = rgb.size if img_size is None else (img_size, img_size)
        image = np.array(ImageOps.fit(rgb, size, Image.Resampling.BICUBIC))
    if not isinstance(image, np.ndarray | Tensor):
        kind = f"an item is of type {type(image).__name__}, not an image, array or tensor"
        raise TypeError(f"{kind}; load_images(folder, 'all') reads files")
    image = _tensor(image, "an item")
    return image[None] if image.ndim == 2 else image


def _tensor(images: object, name: str) -> Tensor:
    """Return numbers as a dense tensor, whatever their strides and byte order were."""
    if isinstance(images, Tensor):
        if images.is_meta or images.layout != torch.strided:
            raise TypeError(f"{name} is {images.layout} on {images.device}, not a dense tensor")
        return images.detach()
    array = np.asarray(images)
    if array.dtype.kind not in "biufc" or np.ma.is_masked(images):
        raise TypeError(f"{name} is an array of type {array.dtype}; expected are numbers, unmasked")
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), "C"))


def _checked(images: np.ndarray | Tensor, name: str) -> Tensor:
    """Return images (N, 3, H, W), uint8 or floats in [0, 1]; ValueError or TypeError for others."""
    x = _tensor(images, name)
    at = [axis for axis in (1, 3) if x.ndim == 4 and x.shape[axis] in (1, 3)]
    if len(at) != 1 or not len(x):
        form = "(N, 3, H, W) or (N, H, W, 3), or grey with 1 for 3"
        raise ValueError(f"{name} has the shape {tuple(x.shape)}; expected is {form}")
    x = x.movedim(at[0], 1).expand(-1, 3, -1, -1)
    if x.dtype == torch.uint8:
        return x
    if not x.is_floating_point():
        raise TypeError(f"{name} is {x.dtype}; expected is uint8 (0 to 255), or floats in [0, 1]")
    low, high = x.aminmax()
    if not (low >= 0 and high <= 1):  # also NaN
        remedy = "give them as before normalisation" if low < 0 else "divide by 255"
        remedy = remedy if low == low else "some are not a number"
        raise ValueError(f"{name} runs from {low:.3g} to {high:.3g}; expected is [0, 1]: {remedy}")
    return x.float()
