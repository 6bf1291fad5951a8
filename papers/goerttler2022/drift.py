"""How far training moved a network: CKA of each layer before and after.

Goerttler & Obermayer (2022) compare a trained network with its own start. Their "last layer" is the
fully connected one. So the logits are the last layer here. The image is no layer, because training
does not change it.
"""

from __future__ import annotations

import torch
import xarray as xr
from torch import Tensor

from invlib.metrics.cka import cka_from_grams
from invlib.metrics.grams import gram
from invlib.models.base import frozen
from invlib.models.staged import StagedModel
from invlib.names import ESTIMATORS

__all__ = ["LOGITS", "grams_to_logits", "layerwise_cka"]

LOGITS = "logits"


@torch.no_grad()
def grams_to_logits(model: StagedModel, images: Tensor, *, batch: int = 128) -> Tensor:
    """Return the Gram matrices of layers 1 to L and of the logits, (L + 1, n, n) float64.

    `images` are (n, 3, H, W) in [0, 1]. In evaluation mode batch norm uses its running statistics.
    In an untrained network these are mean 0 and variance 1, so it does nothing there.

    Examples
    --------
    >>> from invlib import load_model
    >>> grams_to_logits(load_model("conv4_w16"), torch.rand(6, 3, 32, 32)).shape
    torch.Size([5, 6, 6])
    """
    parts = []
    with frozen(model):
        for part in images.to(model.device).split(batch):
            _, *blocks = features = model.features(part)
            parts.append([*blocks, model.head(features[-1])])
    return torch.stack([gram(torch.cat(layer)) for layer in zip(*parts, strict=True)])


def layerwise_cka(model: StagedModel, trained: Tensor, reference: Tensor) -> xr.DataArray:
    """Return CKA of every layer with the same layer elsewhere, dims (estimator, layer).

    `trained` and `reference` are the `grams_to_logits` of two networks with `model`'s architecture
    on the same images. Layer k is the output of block k, the last layer the logits. 1 is no change.

    Raises
    ------
    ValueError
        As `invlib.metrics.cka.cka_from_grams`, or if the number of layers is not the model's.

    Examples
    --------
    >>> from invlib import load_model
    >>> images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> model = load_model("conv4_w16")
    >>> grams = grams_to_logits(model, images)
    >>> cka = layerwise_cka(model, grams, grams)
    >>> cka.layer_name.values.tolist()
    ['block 1', 'block 2', 'block 3', 'block 4', 'logits']
    >>> bool((abs(cka - 1) < 1e-9).all())
    True
    """
    names = [*model.layer_names[1:], LOGITS]
    if not len(trained) == len(reference) == len(names):
        raise ValueError(
            f"trained has {len(trained)} layers, reference {len(reference)}; {model.name} has "
            f"{len(names)}, the logits included"
        )
    values = [
        cka_from_grams(trained, reference, debiased=name == "debiased") for name in ESTIMATORS
    ]
    layers = range(1, len(names) + 1)
    return xr.DataArray(
        torch.stack(values).cpu().numpy(),
        {
            "estimator": list(ESTIMATORS),
            "layer": ("layer", layers, {"long_name": "layer: block k, and last the logits"}),
            "layer_name": ("layer", names),
            "depth": ("layer", [k / len(names) for k in layers]),
        },
        ["estimator", "layer"],
    )
