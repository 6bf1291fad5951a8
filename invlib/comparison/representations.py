"""Run a model on sets of images and return the Gram matrix of every layer."""

from __future__ import annotations

import torch
from torch import Tensor

from invlib.data.images import bicubic
from invlib.metrics.grams import gram
from invlib.metrics.subspaces import principal_directions
from invlib.models.base import frozen
from invlib.models.staged import StagedModel
from invlib.models.tokens import enter, represent

__all__ = ["fitted", "layer_grams", "layer_norms"]


def fitted(images: Tensor, model: StagedModel) -> Tensor:
    """Return images (N, 3, H, H) at the size of a model."""
    size = model.img_size
    return images if images.shape[-1] == size else bicubic(images, (size, size))


@torch.no_grad()
def layer_grams(
    model: StagedModel,
    images: Tensor,
    layers: list[int],
    *,
    k: int | None = None,
    tokens: str = "all",
) -> tuple[Tensor, list[Tensor]]:
    """Return the Gram matrix of every layer, and its top `k` principal directions if `k` is given.

    `images` are one set (n, 3, H, W) for Grams (L, n, n) float64, or several (S, n, 3, H, W) for
    (S, L, n, n), without directions. Images of another size are `fitted`. Representations are
    what `tokens` says. Only one layer's representations of a batch, or of one larger set, are held
    at a time. A batch is 64 images on a CPU, where more measure slower, else 256.

    ValueError names a layer that is not finite.

    Examples
    --------
    >>> from invlib import load_model
    >>> grams, _ = layer_grams(load_model("vit_pico_patch8_32"), torch.rand(2, 5, 3, 32, 32), [3])
    >>> grams.shape
    torch.Size([2, 1, 5, 5])
    """
    batch = 64 if model.device.type == "cpu" else 256
    sets = images if images.ndim == 5 else images[None]
    n, wanted = sets.shape[1], sorted(layers)
    parts, directions = [], {}
    for some in sets.split(max(1, batch // n)):
        x, by_layer = enter(model, fitted(some.flatten(0, 1), model)), {}
        with frozen(model):
            for layer, h in zip(wanted, model.walk(x, wanted, batch=batch), strict=True):
                each = represent(h, tokens).split(n)
                by_layer[layer] = torch.stack([gram(one) for one in each])
                if k is not None:
                    _check_finite(model, by_layer[layer][:, None], [layer])  # only such have any
                    directions[layer] = _directions(model, layer, each[0], k)
        parts.append(torch.stack([by_layer[layer] for layer in layers], 1))
    grams = torch.cat(parts)
    _check_finite(model, grams, layers)
    return (grams if images.ndim == 5 else grams[0]), [directions[j] for j in layers if directions]


def _directions(model: StagedModel, layer: int, h: Tensor, k: int) -> Tensor:
    try:
        return principal_directions(h, k)
    except ValueError as error:
        raise ValueError(
            f"subspace_k={k}: layer {layer} of {model.name} does not tell so many images apart "
            f"({error}); are some of them the same?"
        ) from error


def layer_norms(
    model: StagedModel, images: Tensor, layers: list[int], *, tokens: str = "all"
) -> Tensor:
    """Return the length of every image's representation (n, 3, H, W) -> (L, n) float64."""
    images, wanted = enter(model, fitted(images, model)), sorted(layers)
    with frozen(model):
        walked = zip(wanted, model.walk(images, wanted, batch=64), strict=True)
        norms = {k: represent(h, tokens).flatten(1).double().norm(dim=1) for k, h in walked}
    return torch.stack([norms[layer] for layer in layers])


def _check_finite(model: StagedModel, grams: Tensor, layers: list[int]) -> None:
    """Refuse Grams (S, L, n, n) that are not finite, as features then are not; reads one time."""
    finite = grams.isfinite().all(-1).all(-1).all(0).tolist()
    if broken := [layer for layer, fine in zip(layers, finite, strict=True) if not fine]:
        layer = min(broken)
        said = f"layer {layer} ({model.layer_names[layer]}) of {model.name} is not finite"
        raise ValueError(said)
