r"""How alike two representations of the same images are: CKA, subspaces, numerical rank.

Tensors in, tensors out, as in `invlib.grams`, whose functions can be imported from here as well:
representations are ``(n, ...)``, products float64, and an undefined value is a ValueError.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

import torch
from torch import Tensor

from invlib.grams import (
    F64,
    VANISHED,
    as_rows,
    center,
    centred_blocks,
    cka_from_grams,
    cka_leave_one_out,
    cka_matrix_from_grams,
    gram,
    refuse_undefined,
    same_n,
    varies,
)

__all__ = [
    "center", "cka_from_grams", "cka_leave_one_out", "cka_matrix", "cka_matrix_from_grams", "gram",
    "linear_cka", "minibatch_cka", "numerical_rank", "principal_directions", "rbf_cka",
    "subspace_from_directions", "subspace_similarity",
]  # fmt: skip


def linear_cka(x: Tensor, y: Tensor, *, debiased: bool = False) -> Tensor:
    r"""Return linear CKA of two representations, ``(n, ...), (n, ...) -> ()`` float64.

    `cka_from_grams` of the linear Grams (Kornblith et al. 2019). The biased estimator saturates
    when features outnumber images: *independent* isotropic Gaussians score about
    :math:`\sqrt{d_x d_y / ((d_x + n)(d_y + n))}`, 0.987 at n = 500 and d = 38,400; debiased, 0.

    Raises
    ------
    ValueError
        If n differs or is too small (below 2; debiased, 4), values are non-finite, or CKA is
        undefined because images are represented alike.

    Examples
    --------
    >>> x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    >>> round(linear_cka(x, -2 * x + 1, debiased=True).item(), 6)
    1.0
    """
    return _linear([x], [y], debiased, ("x", "y")).squeeze()


def cka_matrix(xs: Sequence[Tensor], ys: Sequence[Tensor], *, debiased: bool = False) -> Tensor:
    r"""Return linear CKA of every pair of layers, lists of ``(n, ...)`` -> ``(L1, L2)`` float64.

    In Gram or feature form, whichever multiplies less. The latter, with
    :math:`k_i = \|\tilde x_i\|^2`, :math:`l_i = \|\tilde y_i\|^2` (Kornblith et al.'s code):

    .. math:: (n-1)^2\,\mathrm{HSIC}_0 = \|\tilde Y^\top \tilde X\|_F^2, \qquad
        n(n-3)\,\mathrm{HSIC}_1 = \|\tilde Y^\top \tilde X\|_F^2 - \tfrac{n}{n-2} k^\top l
        + \tfrac{\sum k \sum l}{(n-1)(n-2)}

    Raises
    ------
    ValueError
        As `linear_cka`, with the index of the layer.

    Examples
    --------
    >>> xs = list(torch.randn(3, 8, 5, generator=torch.Generator().manual_seed(0)))
    >>> cka_matrix(xs, xs[:2]).shape
    torch.Size([3, 2])
    """
    return _linear(xs, ys, debiased, ("xs", "ys"))


def _linear(xs: Iterable, ys: Iterable, debiased: bool, names: tuple[str, str]) -> Tensor:
    xs, ys = ([as_rows(z, name) for z in zs] for zs, name in zip((xs, ys), names, strict=True))
    if not xs or not ys:
        raise ValueError(f"{names[0]} has {len(xs)} layers and {names[1]} {len(ys)}; need some")
    n, wx, wy = len(xs[0]), [x.shape[1] for x in xs], [y.shape[1] for y in ys]
    for name, zs in zip(names, (xs, ys), strict=True):
        for i, z in enumerate(zs):
            same_n(n, len(z), names[0], name if len(zs) == 1 else f"{name}[{i}]")
    cost_gram = n * n * (sum(wx) + sum(wy) + len(xs) * len(ys))
    if n >= 4 and n * (sum(wx) * sum(wy) + sum(w * w for w in wx + wy)) < cost_gram:
        value = _feature_form(xs, ys, debiased)
        if bool(torch.isfinite(value).all()):
            return value
        # Undefined, or too few digits left: the Gram form can tell which, and of which layer.
    ks, ls = (torch.stack([gram(z) for z in zs]) for zs in (xs, ys))
    return cka_matrix_from_grams(ks, ls, debiased=debiased, names=names)


def _feature_form(xs: list[Tensor], ys: list[Tensor], debiased: bool) -> Tensor:
    """Linear CKA ``(L1, L2)`` from d x d products; NaN where the Gram form must decide."""
    n = len(xs[0])

    def correct(s: Tensor, kl: Tensor, sums: Tensor) -> Tensor:
        return s - n / (n - 2) * kl + sums / ((n - 1) * (n - 2)) if debiased else s

    def side(zs: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        cs = [torch.cat(list(centred_blocks(z)), dim=1) for z in zs]
        k = torch.stack([c.square().sum(1) for c in cs])  # (L, n)
        real = torch.stack([varies(z, e) for z, e in zip(zs, k.sum(1), strict=True)])
        own = torch.stack([(c.T @ c).square().sum() for c in cs])
        hsic = correct(own, k.square().sum(1), k.sum(1).square())
        # The subtraction may cost four digits, not more.
        return torch.cat(cs, dim=1), k, hsic.where(real & (hsic > 1e-4 * own), torch.nan)

    (x, k, hsic_x), (y, l, hsic_y) = side(xs), side(ys)  # noqa: E741
    cross = (x.T @ y).square()  # (sum dx, sum dy), summed over each pair's block:
    cross = torch.stack([c.sum(0) for c in cross.split([z.shape[1] for z in xs])])
    cross = torch.stack([c.sum(1) for c in cross.split([z.shape[1] for z in ys], 1)], dim=1)
    cross = correct(cross, k @ l.T, torch.outer(k.sum(1), l.sum(1)))
    return cross / torch.outer(hsic_x.sqrt(), hsic_y.sqrt())


def rbf_cka(x: Tensor, y: Tensor, *, sigma: float = 1.0, debiased: bool = False) -> Tensor:
    r"""Return CKA with Gaussian kernels, ``(n, ...), (n, ...) -> ()`` float64.

    :math:`K_{ij} = \exp(-\|x_i - x_j\|^2 / 2 s^2)`, the bandwidth `s` being `sigma` times the
    median distance (Kornblith et al. 2019): as in their code over all n² entries, the zero
    diagonal included; of two middle ones, the lower.

    Raises
    ------
    ValueError
        As `linear_cka`, or if `sigma` is not positive, or the median distance is zero.

    Examples
    --------
    >>> x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    >>> round(rbf_cka(x, 5 * x, sigma=0.5).item(), 6)
    1.0
    """
    if not sigma > 0:
        raise ValueError(f"sigma={sigma} is not positive; it scales the median distance")
    kernels = []
    for name, k in (("x", gram(x)), ("y", gram(y))):
        square = (k.diagonal()[:, None] + k.diagonal() - 2 * k).clamp_(min=0)
        median, largest = square.median(), square.max()
        if not bool(torch.isfinite(largest)):
            raise ValueError(f"{name} holds non-finite values; CKA is undefined")
        if not bool(median > VANISHED * largest):
            raise ValueError(f"{name} is degenerate: the median distance of its images is zero")
        kernels.append(torch.exp(square / (-2 * sigma**2 * median)))
    same_n(len(x), len(y), "x", "y")
    return cka_from_grams(*kernels, debiased=debiased)


def minibatch_cka(batches_x: Iterable[Tensor], batches_y: Iterable[Tensor]) -> Tensor:
    r"""Return linear CKA estimated from batches of images, iterables of ``(n_b, ...)`` -> ``()``.

    .. math:: \frac{\sum_b n_b\, \mathrm{HSIC}_1(K_b, L_b)}{\sqrt{\sum_b n_b\,
        \mathrm{HSIC}_1(K_b, K_b)} \sqrt{\sum_b n_b\, \mathrm{HSIC}_1(L_b, L_b)}}

    Nguyen et al. (2021), whose batches are equal; unequal ones count by their images. One batch
    of everything is debiased `linear_cka`. Only one batch of each side is held at a time.

    Raises
    ------
    ValueError
        If the numbers of batches, or of images in one, differ; a batch has fewer than 4 images;
        or the value is undefined as in `linear_cka`.

    Examples
    --------
    >>> x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    >>> round(minibatch_cka(x.split([4, 6]), (2 * x).split([4, 6])).item(), 6)
    1.0
    """
    total = None
    for i, (x, y) in enumerate(zip_longest(batches_x, batches_y)):
        if x is None or y is None:
            raise ValueError(f"{'batches_x' if x is None else 'batches_y'} has only {i} batches")
        same_n(len(x), len(y), f"batches_x[{i}]", f"batches_y[{i}]")
        if len(x) < 4:
            raise ValueError(f"batch {i} has {len(x)} images; debiased HSIC needs at least 4")
        k, l = gram(x), gram(y)  # noqa: E741
        a, b = center(k, debiased=True), center(l, debiased=True)
        parts = torch.stack([(p * q).sum() for p, q in ((a, b), (a, a), (b, b), (k, k), (l, l))])
        parts = parts / (len(x) - 3)  # n_b HSIC₁ = <a, b> / (n_b - 3)
        total = parts if total is None else total + parts
    if total is None:
        raise ValueError("batches_x and batches_y hold no batches")
    xy, xx, yy, kk, ll = total
    norms = [p.where(p > VANISHED**2 * q, torch.nan).sqrt() for p, q in ((xx, kk), (yy, ll))]
    sides = {"batches_x": (norms[0], kk), "batches_y": (norms[1], ll)}
    return refuse_undefined(xy / (norms[0] * norms[1]), True, **sides)


def _scatter(x: Tensor, name: str) -> Tensor:
    """Return the smaller of the Gram and the d x d scatter matrix; both have the eigenvalues."""
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

    Orthonormal columns, largest variance first: right singular vectors of
    :math:`\tilde X = U S V^\top`, for n < d by way of the Gram as :math:`\tilde X^\top U S^{-1}`.
    Signs, and the basis within equal singular values, are arbitrary: compare subspaces.

    Raises
    ------
    ValueError
        If `k` is below 1 or above the rank of the centred features, or `x` is non-finite.

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
    return torch.linalg.qr(v).Q  # rather than / s: orthonormal also for small s


def subspace_from_directions(v: Tensor, u: Tensor) -> Tensor:
    """Return the overlap of orthonormal columns, ``(..., d, k), (..., d, k) -> (...)``.

    Examples
    --------
    >>> e = torch.eye(4, dtype=torch.float64)
    >>> subspace_from_directions(e[:, :2], e[:, 1:3]).item()
    0.5
    """
    if v.shape[-2:] != u.shape[-2:]:
        raise ValueError(f"directions differ in (d, k): {tuple(v.shape)} and {tuple(u.shape)}")
    return (v.mT @ u).square().sum((-2, -1)) / v.shape[-1]


def subspace_similarity(x: Tensor, y: Tensor, *, k: int) -> Tensor:
    r"""Return the overlap of top-`k` principal subspaces, ``(n, ...), (m, ...) -> ()`` float64.

    :math:`\frac1k \|V_k^\top U_k\|_F^2 \in [0, 1]`, with `V_k`, `U_k` the `principal_directions`
    (Ramasesh, Dyer & Raghu 2021). 1: the same subspace; chance level k/p for p features.
    Both need the same p; n may differ.

    Raises
    ------
    ValueError
        If the feature numbers differ, or as `principal_directions`.

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
    r"""Return how many singular values of the feature covariance count, ``(n, ...) -> ()`` int64.

    The number of singular values of :math:`C = \tilde X^\top \tilde X / (n - 1)` above `rtol`
    times the largest. Those of `C` are the *squares* of those of the centred data matrix over
    n − 1, so 1e-3 here is 0.032 there. It cannot exceed min(n − 1, d): give n beside it. The
    quantity of figure 4 of Masarczyk et al. (2023). A constant representation has rank 0. Several
    `rtol` share one decomposition and give one rank each, ``(n, ...) -> (R,)``.

    Raises
    ------
    ValueError
        If an `rtol` is not in [1e-12, 1), n < 2, or `x` is non-finite.

    Examples
    --------
    >>> x = torch.diag(torch.tensor([1.0, 1.0, 1e-2, 0.0]))
    >>> numerical_rank(x).item(), numerical_rank(x, rtol=[1e-6, 1e-3]).tolist()
    (2, [3, 2])
    """
    for one in [rtol] if isinstance(rtol, float | int) else rtol:
        if not 1e-12 <= one < 1:
            raise ValueError(f"rtol={one} is not in [1e-12, 1)")
    values = torch.linalg.eigvalsh(_scatter(as_rows(x), "x"))
    least = torch.as_tensor(rtol, dtype=torch.float64, device=values.device)[..., None] * values[-1]
    return (values > least).sum(-1)
