"""Similarities of representations beside CKA, from their Gram matrices."""

from __future__ import annotations

from math import ceil, pi

import torch
from torch import Tensor

from invlib.metrics.cka import cka_from_grams
from invlib.metrics.grams import center, centred_norm, refuse_undefined, same_n

__all__ = ["mutual_knn", "procrustes", "similarity_from_grams", "trimmed_cka"]


def procrustes(k: Tensor, l: Tensor) -> Tensor:  # noqa: E741
    r"""Return the angular Procrustes similarity, ``(..., n, n), (..., n, n) -> (...)``.

    Of centred features X, Y with Gram matrices K, L (Williams et al. 2021, as a similarity)

    .. math:: 1 - \frac{2}{\pi} \arccos \frac{\lVert X^\top Y\rVert_*}{\lVert X\rVert_F
              \lVert Y\rVert_F}, \qquad \lVert X^\top Y\rVert_* = \lVert K^{1/2} L^{1/2}\rVert_*.

    It is 1 for features that differ by a rotation, a shift and a scale. Like biased CKA it is high
    for unrelated features if there are more of them than images: compare it with the control.
    ValueError if n differs, or if the images do not differ in one of the two.

    Examples
    --------
    >>> from invlib.metrics.grams import gram
    >>> x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    >>> round(procrustes(gram(x), gram(3 * x.flip(1) + 1)).item(), 5)
    1.0
    """
    same_n(k, l)
    a, b = center(k), center(l)
    norms = centred_norm(a, k), centred_norm(b, l)  # NaN where all images are one
    refuse_undefined(norms[0] + norms[1], k=(norms[0], k), l=(norms[1], l))
    traces = [matrix.diagonal(dim1=-2, dim2=-1).sum(-1) for matrix in (a, b)]
    nuclear = torch.linalg.svdvals(_root(a) @ _root(b)).sum(-1)
    cosine = nuclear / (traces[0] * traces[1]).sqrt()
    return 1 - cosine.clamp(max=1).arccos() * (2 / pi)


def _root(k: Tensor) -> Tensor:
    """Return the square root of positive semi-definite matrices (..., n, n)."""
    values, vectors = torch.linalg.eigh(k)
    return (vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mT


def mutual_knn(k: Tensor, l: Tensor, *, neighbours: int = 10) -> Tensor:  # noqa: E741
    r"""Return how many nearest neighbours images share, ``(..., n, n), (..., n, n) -> (...)``.

    For each image, the share of its nearest `neighbours` by Euclidean distance in the one
    representation that are so in the other too, in the mean over images (Huh et al. 2024). For
    unrelated representations it is neighbours / (n − 1). With fewer than 2 · neighbours + 1 images,
    ⌊(n − 1) / 2⌋ neighbours are compared. ValueError if n differs or is below 3, or if a Gram
    matrix is not finite.

    Examples
    --------
    >>> from invlib.metrics.grams import gram
    >>> line = torch.tensor([[0.0], [1.0], [3.0], [6.0], [10.0]])
    >>> mutual_knn(gram(line), gram(-line), neighbours=1).item()
    1.0
    """
    if (n := same_n(k, l)) < 3:
        raise ValueError(f"n={n} images; nearest neighbours need at least 3")
    count = min(neighbours, (n - 1) // 2)
    both = _nearest(k, count) & _nearest(l, count)
    return both.sum((-2, -1)).to(torch.float64) / (n * count)


def _nearest(k: Tensor, neighbours: int) -> Tensor:
    """Return which images (last axis) are the nearest of each, bool (..., n, n)."""
    if not bool(k.isfinite().all()):
        raise ValueError("a Gram matrix is not finite")
    square = k.diagonal(dim1=-2, dim2=-1)
    distance = square[..., :, None] + square[..., None, :] - 2 * k
    distance.diagonal(dim1=-2, dim2=-1).fill_(torch.inf)
    order = distance.topk(neighbours, largest=False).indices
    return torch.zeros_like(k, dtype=torch.bool).scatter(-1, order, True)


def trimmed_cka(k: Tensor, l: Tensor, *, share: float = 0.1) -> Tensor:  # noqa: E741
    r"""Return debiased CKA without the images of the largest norms, as ``cka_from_grams``.

    A few images far from the mean can carry CKA alone. So the `share` of images (rounded up) is
    left out whose part of the squared centred norm is largest in either of the two: it is
    :math:`\max(\tilde K_{ii} / \operatorname{tr}\tilde K, \tilde L_{ii} / \operatorname{tr}\tilde
    L)`. What is left out depends on each representation, not on whether they agree. ValueError as
    by `cka_from_grams`, also if fewer than 4 images are left.

    Examples
    --------
    >>> from invlib.metrics.grams import gram
    >>> x, y = torch.randn(2, 40, 5, generator=torch.Generator().manual_seed(0))
    >>> x[0], y[0] = 100, 100  # one image far away from all others
    >>> k, l = gram(x), gram(y)
    >>> bool(cka_from_grams(k, l) > 0.99), bool(trimmed_cka(k, l) < 0.1)
    (True, True)
    """
    n, shares = same_n(k, l), []
    for matrix in (k, l):
        square = center(matrix).diagonal(dim1=-2, dim2=-1)
        shares.append(square / square.sum(-1, keepdim=True))
    both = torch.maximum(*torch.broadcast_tensors(*shares))
    kept = both.topk(n - ceil(share * n), largest=False).indices.sort(-1).values
    return cka_from_grams(_of(k, kept), _of(l, kept), debiased=True)


def _of(k: Tensor, kept: Tensor) -> Tensor:
    """Return rows and columns `kept` (..., m) of Grams (..., n, n), broadcasting."""
    k = k.expand(*kept.shape[:-1], *k.shape[-2:])
    return k.take_along_dim(kept[..., None], -2).take_along_dim(kept[..., None, :], -1)


def similarity_from_grams(name: str, k: Tensor, l: Tensor) -> Tensor:  # noqa: E741
    """Return the similarity `name` of `invlib.names.SIMILARITIES`, ``(..., n, n) -> (...)``."""
    if name in ("biased", "debiased"):
        return cka_from_grams(k, l, debiased=name == "debiased")
    return {"procrustes": procrustes, "mutual_knn": mutual_knn, "trimmed": trimmed_cka}[name](k, l)
