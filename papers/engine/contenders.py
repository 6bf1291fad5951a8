"""Update rules that `how_inverted` races against those of `invlib.inversion.rules`."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
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


def lbfgs(x: Tensor, iterations: int, step: float = 1.0, basis=None, memory: int = 8) -> Callable:
    """L-BFGS for each row, one gradient a step, no line search, steps of length at most 2 (L2)."""
    pairs, last = [], {}

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).flatten(1).sum(1)[:, None, None, None]

    def update(grad: Tensor) -> None:
        if last:
            s, y = x - last["x"], grad - last["grad"]
            sy = dot(s, y)
            # A pair without positive curvature would turn the step uphill: weigh it 0.
            pairs.append((s, y, torch.where(sy > 1e-12, 1 / sy, 0.0)))
            del pairs[:-memory]
        last.update(x=x.clone(), grad=grad.clone())
        q, alphas = grad.clone(), []
        for s, y, rho in reversed(pairs):
            alphas.append(rho * dot(s, q))
            q -= alphas[-1] * y
        if pairs:
            s, y, rho = pairs[-1]
            q *= torch.where(rho > 0, dot(s, y) / dot(y, y).clamp(min=1e-20), 1.0)
        for (s, y, rho), alpha in zip(pairs, reversed(alphas), strict=True):
            q += s * (alpha - rho * dot(y, q))
        # A direction that is no descent, or not finite, gives way to the gradient.
        good = (dot(q, grad) > 0) & q.isfinite().flatten(1).all(1)[:, None, None, None]
        q = torch.where(good, q, grad)
        length = q.flatten(1).norm(dim=1)[:, None, None, None]
        limit = 2.0 if pairs else 0.5
        x.sub_(step * q * (limit / length.clamp(min=limit))).clamp_(0, 1)

    return update


CONTENDERS: dict[str, Callable] = {
    "lbfgs": lbfgs, "momentum": momentum, "raw_fast": raw_fast, "scaled_ngd": scaled_ngd,
    "short_adam": short_adam,
}  # fmt: skip
