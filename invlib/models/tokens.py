"""What a representation is: all that a layer returns, its class token, or the mean over positions.

Models may be in half precision: images enter in the model's own type, and a representation leaves
in float32 at least, so that distances and similarities are computed in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isqrt

import torch
from torch import Tensor

from invlib.models.base import frozen
from invlib.models.staged import StagedModel, check_layers
from invlib.names import TOKENS, choices

__all__ = ["check_tokens", "enter", "represent"]

_CLASS_TOKENS = {"cls_token", "class_token", "class_embedding"}  # timm, torchvision, transformers


def enter(model: StagedModel, images: Tensor) -> Tensor:
    """Return `images` on the device and in the floating type of the model's weights."""
    return images.to(model.device, model.dtype)


def represent(h: Tensor, tokens: str = "all") -> Tensor:
    """Return representations (N, d) from what a layer returns, in float32 or float64.

    `h` has tokens (N, P, d), maps (N, C, H, W) or (N, H, W, C), or vectors (N, d). `tokens` is
    ``"all"``: all positions, flattened, as in paper A; ``"cls"``: the first token; or ``"mean"``:
    averaged over all positions, the class token included.

    Examples
    --------
    >>> h = torch.arange(12.0).view(1, 3, 4)
    >>> [represent(h, tokens).tolist() for tokens in ("cls", "mean")]
    [[[0.0, 1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0, 7.0]]]
    """
    h = h.to(torch.promote_types(h.dtype, torch.float32))
    if tokens == "all" or h.ndim == 2:
        return h.flatten(1)
    if tokens == "cls":
        return h[:, 0]
    if h.ndim == 3:
        return h.mean(1)
    last = h.shape[1] == h.shape[2] != h.shape[3]  # images are square: channels come last
    return h.mean((1, 2) if last else (2, 3))


@torch.no_grad()
def check_tokens(
    model: StagedModel, layers: Iterable[int | str] | None, tokens: str = "all"
) -> list[int]:
    """Return `layers` as numbers. None: all that have such `tokens`.

    ValueError for an unknown layer or word, or a layer without a class token that depends on the
    image. In a ViT it is the same for all images at layer 0.

    Examples
    --------
    >>> from invlib import load_model
    >>> model = load_model("vit_pico_patch8_32")
    >>> check_tokens(model, ["block 2"]), check_tokens(model, None, "cls")
    ([2], [1, 2, 3])
    """
    asked = check_layers(model, layers)
    if choices("tokens", tokens, TOKENS) != "cls":
        return asked
    rng, size = torch.Generator().manual_seed(0), model.img_size
    with frozen(model):
        seen = model.features(enter(model, torch.rand(2, 3, size, size, generator=rng)), asked)
    named = any(name.split(".")[-1] in _CLASS_TOKENS for name, _ in model.net.named_parameters())

    def has(h: Tensor) -> bool:  # patches alone fill a square
        tokens = named and h.ndim == 3 and isqrt(h.shape[1]) ** 2 != h.shape[1]
        return tokens and bool((h[0, 0] != h[1, 0]).any())

    having = [k for k, h in zip(asked, seen, strict=True) if has(h)]
    if not having or (layers is not None and having != asked):
        raise ValueError(
            f"tokens='cls': {model.name} has a class token that depends on the image at layers "
            f"{having}, not at all of {asked}; choose those, or tokens='all' or 'mean'"
        )
    return having
