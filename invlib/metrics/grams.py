r"""Gram matrices of representations, and how they are centred for the two estimators of CKA.

Functions take and return tensors. A representation is a floating tensor ``(n, ...)`` with one row
for each image, flattened to ``(n, d)``. Everything is computed in float64, on the device of the
tensor, without gradients. A shift of all features changes no measure here. So the mean is
subtracted *before* the first product, and a large common offset costs no precision. An undefined
value raises ValueError and is never NaN; only the small result is tested for it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["center", "gram"]

F64 = torch.float64
VANISHED = 1e-12  # a centred Gram smaller than this share of the Gram is only rounding


def as_rows(x: Tensor, name: str = "x") -> Tensor:
    """Return `x` as ``(n, d)``; TypeError or ValueError if it is no representation."""
    if not isinstance(x, Tensor) or x.is_meta or x.layout != torch.strided:
        kind = f"a {x.layout} tensor on {x.device}" if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{name} is {kind}; need a dense tensor (n, ...), as torch.tensor(x) is")
    if not x.is_floating_point() or x.ndim == 0 or x.numel() == 0:
        raise ValueError(f"{name} is {x.dtype} {tuple(x.shape)}; need floating, non-empty (n, ...)")
    x = x.detach().reshape(len(x), -1)
    return x.cpu() if x.device.type == "mps" else x  # Metal has no float64


def centred_blocks(x: Tensor) -> Iterator[Tensor]:
    """Yield `x` (n, d) in blocks of columns (n, b), centred, as float64 and of limited size."""
    # 1 MiB stays in a CPU's cache (measured); a GPU wants few, large products instead.
    width = max(1, (1 if x.device.type == "cpu" else 64) * 2**20 // (8 * len(x)))
    for block in x.split(width, dim=1):
        # First subtract the first image, then the mean: equal images become *exactly* zero.
        block = block.to(F64, copy=True)
        block -= block[:1].clone()
        yield block.sub_(block.mean(0))


def varies(x: Tensor, energy: Tensor) -> Tensor:
    """Return whether `energy` = Σ‖x_i − mean‖² is larger than the rounding error of `x` (bool)."""
    # At most that of float32: in half precision a common offset may be 1/eps times the variation.
    eps = min(torch.finfo(x.dtype).eps, torch.finfo(torch.float32).eps)
    smallest = 4 * eps * torch.linalg.vector_norm(x[0], dtype=F64)
    return ~(energy <= len(x) * smallest**2)  # NaN passes, and is reported later


def gram(x: Tensor) -> Tensor:
    r"""Return the linear Gram matrix of the *centred* features, ``(n, ...) -> (n, n)`` float64.

    :math:`\tilde X \tilde X^\top` with :math:`\tilde X = X - \frac1n 1 1^\top X`, which is
    :math:`H X X^\top H` without its cancellation. Columns are converted block by block, so there is
    never a float64 copy of all of `x`. Images that differ by no more than the rounding of `x` give
    zeros. Features that are not finite give a Gram that is not finite, which CKA then refuses.

    Examples
    --------
    >>> gram(torch.tensor([[1001.0], [1003.0]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    x = as_rows(x)
    k = torch.zeros(len(x), len(x), dtype=F64, device=x.device)
    for block in centred_blocks(x):
        k.addmm_(block, block.T)
    return k * varies(x, k.trace())


def center(k: Tensor, debiased: bool = False) -> Tensor:
    r"""Centre Gram matrices for one of the two estimators of HSIC, ``(..., n, n) -> (..., n, n)``.

    Biased: :math:`\tilde K = H K H`, and :math:`\langle\tilde K, \tilde L\rangle / (n-1)^2` is
    HSIC₀. Debiased: the U-centred matrix of Székely & Rizzo (2014), zero on the diagonal, else

    .. math:: \tilde K_{ij} = K_{ij} - \frac{\sum_l K_{il} + \sum_l K_{lj}}{n-2}
              + \frac{\sum_{lm} K_{lm}}{(n-1)(n-2)} \qquad (K_{ii} := 0),

    Then :math:`\langle\tilde K, \tilde L\rangle / (n(n-3))` is the unbiased HSIC₁ of Song et al.
    (2012). `k` must be symmetric. ValueError if the last two dims differ, or n is below 2
    (debiased: below 4).

    Examples
    --------
    >>> center(torch.eye(2)).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    n, kind, least = k.shape[-1], *(("debiased", 4) if debiased else ("biased", 2))
    if k.ndim < 2 or k.shape[-2] != n:
        raise ValueError(f"a Gram matrix is (..., n, n); got shape {tuple(k.shape)}")
    if n < least:
        raise ValueError(f"n={n} images; the {kind} estimator needs at least {least}")
    k = k.to(F64, copy=True)
    if debiased:
        k.diagonal(dim1=-2, dim2=-1).zero_()
    means = k.sum(-1, keepdim=True) / (n - 2 if debiased else n)
    means -= means.sum(-2, keepdim=True) / (2 * (n - 1) if debiased else 2 * n)  # half, twice
    k.sub_(means).sub_(means.mT)
    if debiased:
        k.diagonal(dim1=-2, dim2=-1).zero_()
    return k


def centred_norm(centred: Tensor, k: Tensor) -> Tensor:
    """Return Frobenius norms (...) of centred Grams; NaN where only rounding of `k` is left."""
    norm = torch.linalg.vector_norm(centred, dim=(-2, -1))
    floor = torch.linalg.vector_norm(k, dim=(-2, -1), dtype=F64) * VANISHED
    return norm.where(norm > floor, torch.nan)


def refuse_undefined(
    value: Tensor, *, debiased: bool = False, **sides: tuple[Tensor, Tensor]
) -> Tensor:
    """Return `value` if all of it is finite; else ValueError names the side and the index."""
    if bool(torch.isfinite(value).all()):  # the only synchronisation
        return value
    for name, (norm, k) in sides.items():
        for index in norm.isnan().nonzero().tolist():
            where, culprit = name if norm.numel() == 1 else f"{name}{index}", k[tuple(index)]
            if not bool(torch.isfinite(culprit).all()):
                raise ValueError(f"{where} holds non-finite values; CKA is undefined")
            reason = "all images have the same representation"
            if debiased and bool((culprit != 0).any()):
                reason = (
                    "too few images differ (all but one the same, say) for the debiased estimator"
                )
            raise ValueError(f"{where} is degenerate: {reason}; CKA is undefined")
    raise ValueError(f"values of {', '.join(sides)} are too large or too small for float64")


def same_n(k: Tensor, l: Tensor, x: str = "k", y: str = "l") -> int:  # noqa: E741
    """Return n, the last dim of both; else ValueError calls them `x` and `y`."""
    if (n := k.shape[-1]) != (m := l.shape[-1]):
        raise ValueError(f"{x} has {n} images and {y} has {m}; CKA compares the same images")
    return n
