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


def fitted(images: Tensor, model: StagedModel | int) -> Tensor:
    """Return images (N, 3, H, H) at the size of a model, or at so many pixels a side.

    Examples
    --------
    >>> fitted(torch.ones(2, 3, 8, 8), 16).shape
    torch.Size([2, 3, 16, 16])
    """
    size = model if isinstance(model, int) else model.img_size
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
    what `tokens` says. Stage by stage over as many sets as fit into a batch, or one
    larger set: only one layer's representations of these are held at a time. A batch is 64 images
    on a CPU, where more measure slower, else 256.

    Raises
    ------
    ValueError
        If a layer, which is named, is not finite.

    Examples
    --------
    >>> from invlib import load_model
    >>> grams, _ = layer_grams(load_model("vit_pico_patch8_32"), torch.rand(2, 5, 3, 32, 32), [3])
    >>> grams.shape
    torch.Size([2, 1, 5, 5])
    """
    batch = 64 if model.device.type == "cpu" else 256
    if images.ndim == 5:
        together = images.split(max(1, batch // images.shape[1]))
        grams = torch.cat([_grams(model, sets, layers, batch, tokens)[0] for sets in together])
        _check_finite(model, grams, layers)
        return grams, []
    grams, directions = _grams(model, images[None], layers, batch, tokens, k)
    _check_finite(model, grams, layers)
    return grams[0], directions


def layer_norms(
    model: StagedModel, images: Tensor, layers: list[int], *, tokens: str = "all"
) -> Tensor:
    """Return the length of every image's representation (n, 3, H, W) -> (L, n) float64.

    Examples
    --------
    >>> from invlib import load_model
    >>> layer_norms(load_model("vit_pico_patch8_32"), torch.rand(5, 3, 32, 32), [3, 1]).shape
    torch.Size([2, 5])
    """
    images, wanted = enter(model, fitted(images, model)), sorted(layers)
    with frozen(model):
        walked = zip(wanted, model.walk(images, wanted, batch=64), strict=True)
        norms = {k: represent(h, tokens).flatten(1).double().norm(dim=1) for k, h in walked}
    return torch.stack([norms[layer] for layer in layers])


def _grams(
    model: StagedModel,
    sets: Tensor,
    layers: list[int],
    batch: int,
    tokens: str,
    k: int | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Return Grams (S, L, n, n) of `sets` (S, n, 3, H, W), and directions of the first set."""
    grams, directions = [], []
    images = enter(model, fitted(sets.flatten(0, 1), model))
    wanted = sorted(layers)
    with frozen(model):
        for layer, h in zip(wanted, model.walk(images, wanted, batch=batch), strict=True):
            each = represent(h, tokens).split(sets.shape[1])
            grams.append(torch.stack([gram(one) for one in each]))
            if k is not None:
                _check_finite(model, grams[-1][:, None], [layer])  # only such have directions
                try:
                    directions.append(principal_directions(each[0], k))
                except ValueError as error:
                    raise ValueError(
                        f"subspace_k={k}: layer {layer} of {model.name} does not tell so many "
                        f"images apart ({error}); are some of them the same?"
                    ) from error
    order = [sorted(layers).index(layer) for layer in layers]
    directions = [directions[i] for i in order] if k is not None else []
    return torch.stack(grams, 1)[:, order], directions


def _check_finite(model: StagedModel, grams: Tensor, layers: list[int]) -> None:
    """Refuse Grams (S, L, n, n) that are not finite, as features then are not; reads one time."""
    finite = grams.isfinite().all(-1).all(-1).all(0).tolist()
    if broken := [layer for layer, fine in zip(layers, finite, strict=True) if not fine]:
        layer = min(broken)
        raise ValueError(
            f"layer {layer} ({model.layer_names[layer]}) of {model.name} is not finite"
        )
