"""Random crops, flips, rotations and colours for a whole batch at once, on the batch's device.

Crop, resize, flip and rotation are all affine, so they are composed into one matrix per image and
the pixels are read once. Every random number is drawn on the CPU: a run sees the same crops
whatever device it trains on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from invlib.data.images import resize
from invlib.names import choices

__all__ = ["RECIPES", "Recipe", "augment"]


@dataclass(frozen=True)
class Recipe:
    """The ranges of an image's random changes, in the numbers that torchvision takes."""

    scale: tuple[float, float] = (1.0, 1.0)  # area of the crop, as a fraction of the image
    ratio: tuple[float, float] = (1.0, 1.0)  # width / height of the crop
    flip: float = 0.0  # probability
    degrees: float = 0.0  # rotation, uniform in ±degrees
    jitter: float = 0.0  # brightness, contrast and saturation factors, uniform in 1 ± jitter


# Merlin et al. train with the augmentation of the `robustness` library their code builds on:
# random resized crop (torchvision's default range), flip, ColorJitter(.25, .25, .25), rotation 2°.
# A part of a digit, or its mirror image, is another class: "crop" keeps half the image or more.
RECIPES: dict[str, Recipe | None] = {
    "merlin": Recipe((0.08, 1.0), (3 / 4, 4 / 3), flip=0.5, degrees=2.0, jitter=0.25),
    "crop": Recipe((0.5, 1.0), (3 / 4, 4 / 3)),
    "none": None,
}

_LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601, as torchvision and PIL convert to grey


def augment(images: Tensor, size: int, *, kind: str = "merlin", generator: Generator) -> Tensor:
    """Return a randomly transformed copy of every image, resized to `size`.

    Images are uint8 (N, H, W, 3) on any device; the result is float32 (N, 3, size, size) in [0, 1],
    bilinear. What a rotation shows beyond the border repeats the border (torchvision fills with
    black there, a cue of its own). `kind` is one of `RECIPES`; ``"none"`` is `resize`, which draws
    nothing. `generator`, on the CPU, is the only source of randomness.

    Examples
    --------
    >>> images = torch.zeros(4, 32, 32, 3, dtype=torch.uint8)
    >>> augment(images, 24, generator=torch.Generator().manual_seed(0)).shape
    torch.Size([4, 3, 24, 24])
    """
    recipe = RECIPES[choices("augmentation", kind, RECIPES)]
    if recipe is None:
        return resize(images, size)
    n, height, width, _ = images.shape
    theta = _sent(draw_affine(recipe, n, height, width, generator), images.device)
    grid = F.affine_grid(theta, [n, 3, size, size], align_corners=False)
    x = images.permute(0, 3, 1, 2).float().div_(255)  # (N, 3, H, W)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if recipe.jitter:
        factors = 1 + recipe.jitter * (2 * torch.rand(3, n, generator=generator) - 1)
        x = colour_jitter(x, *_sent(factors, images.device))
    return x


def _sent(numbers: Tensor, device: torch.device) -> Tensor:
    """`numbers` on `device`, which a GPU takes without being waited for."""
    if device.type != "cuda":
        return numbers.to(device)
    return numbers.pin_memory().to(device, non_blocking=True)


def draw_affine(recipe: Recipe, n: int, height: int, width: int, generator: Generator) -> Tensor:
    """Return matrices (n, 2, 3) from output to input coordinates, both in [-1, 1]."""
    w, h = _draw_crop(recipe, n, height, width, generator)  # (n,), fractions of the sides
    draw = torch.rand(4, n, generator=generator)
    centre_x = (2 * draw[0] - 1) * (1 - w)  # the crop stays inside the image
    centre_y = (2 * draw[1] - 1) * (1 - h)
    mirror = torch.where(draw[2] < recipe.flip, -1.0, 1.0)
    angle = (2 * draw[3] - 1) * math.radians(recipe.degrees)
    cos, sin = angle.cos(), angle.sin()
    rows = [w * mirror * cos, -w * mirror * sin, centre_x, h * sin, h * cos, centre_y]
    return torch.stack(rows, dim=1).view(n, 2, 3)


def _draw_crop(
    recipe: Recipe, n: int, height: int, width: int, generator: Generator, tries: int = 10
) -> tuple[Tensor, Tensor]:
    # As torchvision: area uniform, log aspect ratio uniform, the first of ten draws that fits
    # inside the image; where none does (a very long image), the largest of the nearest ratio.
    draw = torch.rand(2, tries, n, generator=generator)
    area = recipe.scale[0] + (recipe.scale[1] - recipe.scale[0]) * draw[0]
    low, high = (math.log(r * height / width) for r in recipe.ratio)  # in units of the sides
    ratio = torch.exp(low + (high - low) * draw[1])
    w, h = (area * ratio).sqrt(), (area / ratio).sqrt()  # (tries, n)
    fits = (w <= 1) & (h <= 1)
    first = fits.int().argmax(dim=0, keepdim=True)  # argmax: the first of equals
    nearest = min(max(1.0, math.exp(low)), math.exp(high))
    whole = (min(1.0, nearest), min(1.0, 1 / nearest))
    found = fits.any(dim=0)
    return tuple(
        torch.where(found, side.gather(0, first)[0], torch.tensor(fallback))
        for side, fallback in zip((w, h), whole, strict=True)
    )


def colour_jitter(x: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Scale brightness, contrast and saturation of images (N, 3, H, W) by factors (N,).

    With grey g(x) and its mean ḡ over the image, the three blends b·x, c·x + (1 − c)·ḡ and
    s·x + (1 − s)·g(x) commute, because the saturation blend leaves g alone: their product is
    b·[c·(s·x + (1 − s)·g) + (1 − c)·ḡ]. torchvision's random order differs from it only by
    clamping in between; here it is done once, at the end.
    """
    b, c, s = (f.view(-1, 1, 1, 1) for f in (brightness, contrast, saturation))
    grey = (x * _luma(x.device)).sum(dim=1, keepdim=True)  # (N, 1, H, W)
    rest = b * (c * (1 - s) * grey + (1 - c) * grey.mean(dim=(2, 3), keepdim=True))
    return (x * (b * c * s)).add_(rest).clamp_(0, 1)


@cache  # once a device: making it there waits
def _luma(device: torch.device) -> Tensor:
    return torch.tensor(_LUMA, device=device).view(1, 3, 1, 1)
