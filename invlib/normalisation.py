"""From pixels in [0, 1] to what a network was trained on: normalisation, kept inside the model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["normalise", "remember_normalisation"]


def remember_normalisation(net: nn.Module) -> None:
    """Give `net` the buffers `input_mean` and `input_std` (3, 1, 1), timm's, or 0.5 for our own.

    Not persistent: they are no weights and are in no checkpoint.
    """
    cfg = getattr(net, "pretrained_cfg", None) or {}
    for key in ("mean", "std"):
        value = torch.tensor(cfg.get(key, (0.5, 0.5, 0.5))).view(3, 1, 1)
        net.register_buffer(f"input_{key}", value, persistent=False)


def normalise(net: nn.Module, x: Tensor) -> Tensor:
    """Return images (N, 3, H, W) in [0, 1] as `net` wants them.

    Examples
    --------
    >>> net = nn.Identity()
    >>> remember_normalisation(net)
    >>> normalise(net, torch.ones(1, 3, 1, 1)).flatten().tolist()
    [1.0, 1.0, 1.0]
    """
    return (x - net.input_mean) / net.input_std
