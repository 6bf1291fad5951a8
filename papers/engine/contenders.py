"""Update rules that `how_inverted` races against those of `invlib.inversion.rules`."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from invlib.inversion.rules import fast, ngd

__all__ = ["CONTENDERS"]


def scaled_ngd(x: Tensor, iterations: int, step: float = 0.5, basis=None) -> Callable:
    """The reference step, scaled so that a pixel moves as far as at 224 px: η √(pixels / 224²)."""
    return ngd(x, iterations, step * math.sqrt(x[0, 0].numel() / 224**2))


def momentum(x: Tensor, iterations: int, step: float = 1.0, basis=None) -> Callable:
    """Normalised gradients with Nesterov momentum 0.9 and a cosine schedule."""
    v, taken = x.new_zeros(x.shape), [0]

    def update(grad: Tensor) -> None:
        eta = step * (1 + math.cos(math.pi * taken[0] / iterations)) / 2
        taken[0] += 1
        grad = grad / (grad.flatten(1).norm(dim=1)[:, None, None, None] + 1e-10)
        v.mul_(0.9).add_(grad)
        x.sub_(eta * (grad + 0.9 * v)).clamp_(0, 1)

    return update


def short_adam(x: Tensor, iterations: int, step: float = 0.1, basis=None) -> Callable:
    """``fast`` without its basis, on pixels, at the step of ``adam``."""
    return fast(x, iterations, 2 * step)


def raw_fast(x: Tensor, iterations: int, step: float = 0.5, basis=None) -> Callable:
    """``fast`` on gradients that are not normalised, with a step that suits a ViT's."""
    return fast(x, iterations, step, basis, unit=False)


CONTENDERS: dict[str, Callable] = {
    "momentum": momentum, "raw_fast": raw_fast, "scaled_ngd": scaled_ngd,
    "short_adam": short_adam,
}  # fmt: skip
