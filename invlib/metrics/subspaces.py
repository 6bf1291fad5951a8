r"""Principal subspaces of representations: the overlap of two, and numerical rank.

The conventions are those of `invlib.metrics.grams`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from invlib.metrics.grams import F64, as_rows, centred_blocks, gram, varies

__all__ = [
    "numerical_rank", "principal_directions", "subspace_from_directions", "subspace_similarity",
]  # fmt: skip


def _scatter(x: Tensor, name: str) -> Tensor:
    """Return the Gram or the d x d scatter matrix, whichever is smaller. The eigenvalues agree."""
    if len(x) < 2:
        raise ValueError(f"{name} has n={len(x)} images; need at least 2")
    if len(x) < x.shape[1]:
        k = gram(x)
    else:
        centred = torch.cat(list(centred_blocks(x)), dim=1)
        k = centred.T @ centred
        k = k * varies(x, k.trace())
    if not bool(torch.isfinite(k).all()):
        raise ValueError(f"{name} holds non-finite values")
    return k


def principal_directions(x: Tensor, k: int) -> Tensor:
    r"""Return the top `k` principal directions of centred features, ``(n, ...) -> (d, k)`` float64.

    The columns are orthonormal, largest variance first. They are the right singular vectors of
    :math:`\tilde X = U S V^\top`, for n < d computed from the Gram as
    :math:`\tilde X^\top U S^{-1}`. Signs are arbitrary, and so is the basis for equal singular
    values. So compare subspaces, not directions. ValueError if `k` is below 1 or above the rank of
    the centred features, or `x` is non-finite.

    Examples
    --------
    >>> principal_directions(torch.tensor([[0.0, 3.0], [0.0, -3.0], [1.0, 0.0]]), 1).abs().round()
    tensor([[0.],
            [1.]], dtype=torch.float64)
    """
    return _directions(as_rows(x), k, "x")


def _directions(x: Tensor, k: int, name: str) -> Tensor:
    values, vectors = torch.linalg.eigh(_scatter(x, name))
    rank = int((values > max(x.shape) * torch.finfo(F64).eps * values[-1]).sum())
    if not 1 <= k <= rank:
        raise ValueError(f"k={k} is not in 1..{rank}: centred, {name} has rank {rank}")
    top = vectors[:, -k:].flip(-1)
    if len(x) >= x.shape[1]:
        return top
    v = torch.cat([block.T @ top for block in centred_blocks(x)])  # (d, k), columns of length s
    return torch.linalg.qr(v).Q  # not v / s: orthonormal also for small s


def subspace_from_directions(v: Tensor, u: Tensor) -> Tensor:
    """Return the overlap of two sets of orthonormal columns, both ``(..., d, k) -> (...)``."""
    if v.shape[-2:] != u.shape[-2:]:
        raise ValueError(f"directions differ in (d, k): {tuple(v.shape)} and {tuple(u.shape)}")
    return (v.mT @ u).square().sum((-2, -1)) / v.shape[-1]


def subspace_similarity(x: Tensor, y: Tensor, *, k: int) -> Tensor:
    r"""Return the overlap of top-`k` principal subspaces, ``(n, ...), (m, ...) -> ()`` float64.

    :math:`\frac1k \|V_k^\top U_k\|_F^2 \in [0, 1]`, with `V_k`, `U_k` the `principal_directions`
    (Ramasesh, Dyer & Raghu 2021). The same subspace gives 1, chance gives k/p for p features. The
    two must have the same p, or it raises ValueError, as `principal_directions`; n may differ.

    Examples
    --------
    >>> x = torch.randn(9, 20, generator=torch.Generator().manual_seed(0))
    >>> round(subspace_similarity(x, 7 - 2 * x, k=3).item(), 6)
    1.0
    """
    x, y = as_rows(x), as_rows(y, "y")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x has {x.shape[1]} features and y {y.shape[1]}; need the same")
    return subspace_from_directions(_directions(x, k, "x"), _directions(y, k, "y"))


def numerical_rank(x: Tensor, *, rtol: float | Sequence[float] = 1e-3) -> Tensor:
    r"""Return how many directions the features vary along, ``(n, ...) -> ()`` int64.

    It is the number of singular values of the covariance
    :math:`C = \tilde X^\top \tilde X / (n - 1)` above `rtol` times the largest, as in figure 4 of
    Masarczyk et al. (2023). The singular values of `C` are the *squares* of those of the centred
    data matrix, over n − 1. So 1e-3 here is 0.032 there. The rank cannot exceed min(n − 1, d), so
    give n beside it. A constant representation has rank 0. Several `rtol` share one decomposition
    and give one rank each, ``(n, ...) -> (R,)``. ValueError if an `rtol` is not in [1e-12, 1),
    n < 2, or `x` is non-finite.

    Examples
    --------
    >>> x = torch.diag(torch.tensor([1.0, 1.0, 1e-2, 0.0]))
    >>> numerical_rank(x).item(), numerical_rank(x, rtol=[1e-6, 1e-3]).tolist()
    (2, [3, 2])
    """
    for threshold in [rtol] if isinstance(rtol, float | int) else rtol:
        if not 1e-12 <= threshold < 1:
            raise ValueError(f"rtol={threshold} is not in [1e-12, 1)")
    values = torch.linalg.eigvalsh(_scatter(as_rows(x), "x"))
    least = values.new_tensor(rtol)[..., None] * values[-1]
    return (values > least).sum(-1)
