"""Centred kernel alignment (CKA) of representations, or of their Gram matrices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from invlib.metrics.grams import (
    VANISHED,
    as_rows,
    center,
    centred_blocks,
    centred_norm,
    gram,
    refuse_undefined,
    same_n,
    varies,
)

__all__ = [
    "cka_from_grams", "cka_leave_one_out", "cka_matrix", "cka_matrix_from_grams", "linear_cka",
    "minibatch_cka_from_grams",
]  # fmt: skip


def cka_from_grams(k: Tensor, l: Tensor, *, debiased: bool = False) -> Tensor:  # noqa: E741
    r"""Return the CKA of Gram matrices, ``(..., n, n), (..., n, n) -> (...)``, broadcasting.

    :math:`\langle\tilde K, \tilde L\rangle / \|\tilde K\|_F \|\tilde L\|_F` (Kornblith et al.
    2019), both centred by `center`. For all pairs of two stacks use `cka_matrix_from_grams`.
    ValueError if n differs or is too small, or if CKA is undefined; it names the Gram matrix.

    Examples
    --------
    >>> k = gram(torch.eye(5)[:, :2])
    >>> round(cka_from_grams(k, 3 * k).item(), 12)
    1.0
    """
    same_n(k, l)
    a, b = center(k, debiased), center(l, debiased)
    norm_a, norm_b = centred_norm(a, k), centred_norm(b, l)
    value = (a * b).sum((-2, -1)) / (norm_a * norm_b)
    return refuse_undefined(value, debiased=debiased, k=(norm_a, k), l=(norm_b, l))


def cka_matrix_from_grams(
    ks: Tensor, ls: Tensor, *, debiased: bool = False, names: tuple[str, str] = ("ks", "ls")
) -> Tensor:
    """Return the CKA of every pair, ``(..., L1, n, n), (..., L2, n, n) -> (..., L1, L2)``.

    It raises what `cka_from_grams` raises; messages call the two stacks by their `names`.

    Examples
    --------
    >>> ks = torch.stack([gram(torch.eye(5)[:, :d]) for d in (1, 2, 3)])
    >>> cka_matrix_from_grams(ks, ks[:2]).shape
    torch.Size([3, 2])
    """
    same_n(ks, ls, *names)
    a, b = center(ks, debiased), center(ls, debiased)
    norms = centred_norm(a, ks), centred_norm(b, ls)
    a, b = (c.div_(norm[..., None, None]) for c, norm in zip((a, b), norms, strict=True))
    sides = {names[0]: (norms[0], ks), names[1]: (norms[1], ls)}
    return refuse_undefined(a.flatten(-2) @ b.flatten(-2).mT, debiased=debiased, **sides)


def cka_leave_one_out(k: Tensor, l: Tensor, *, debiased: bool = False) -> Tensor:  # noqa: E741
    r"""Return CKA with each image left out in turn, ``(..., n, n), (..., n, n) -> (..., n)``.

    A jackknife needs these values. They take the time of one CKA. For both estimators

    .. math:: \langle\tilde K, \tilde L\rangle_{-i} = \sum_{ab} \tilde K_{ab}\tilde L_{ab}
        - 2c \sum_a \tilde K_{ai}\tilde L_{ai} + c^2\, \tilde K_{ii}\tilde L_{ii}, \qquad
        c = \tfrac{n}{n-1} \text{ (biased)}, \ \tfrac{n-2}{n-3} \text{ (debiased)},

    where the last term is 0 if debiased. The reason: the rows of a centred Gram sum to 0. Without
    image `i` they sum to :math:`-\tilde K_{ai}`, and centring again removes only that. A value is
    NaN if CKA is undefined without the image, or keeps only a few correct digits. ValueError as by
    `cka_from_grams` of all images, or if there are fewer than 3 (debiased: 5).

    Examples
    --------
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [1.0, 3.0], [5.0, 5.0], [0.0, 4.0]])
    >>> k, l = gram(x), gram(x[:, :1])
    >>> every, without_2 = cka_leave_one_out(k, l), [0, 1, 3, 4, 5]
    >>> dropped = cka_from_grams(gram(x[without_2]), gram(x[without_2, :1]))
    >>> every.shape, round(float(every[2] - dropped), 12)
    (torch.Size([6]), 0.0)
    """
    n, kind, least = same_n(k, l), *(("debiased", 5) if debiased else ("biased", 3))
    if n < least:
        raise ValueError(f"n={n} images; to leave one out the {kind} estimator needs {least}")
    a, b = center(k, debiased), center(l, debiased)
    norms = centred_norm(a, k), centred_norm(b, l)
    refuse_undefined(norms[0] * norms[1], debiased=debiased, k=(norms[0], k), l=(norms[1], l))
    c = (n - 2) / (n - 3) if debiased else n / (n - 1)

    def without(p: Tensor, q: Tensor) -> Tensor:  # <p, q> without each image
        product = p * q
        rows = product.sum(-1)
        diagonal = product.diagonal(dim1=-2, dim2=-1)  # zero where debiased
        return rows.sum(-1, keepdim=True) - 2 * c * rows + c**2 * diagonal

    def own(p: Tensor, norm: Tensor) -> Tensor:  # the subtraction may lose ten digits, not more
        squared = without(p, p)
        return squared.where(squared > 1e-10 * norm[..., None] ** 2, torch.nan).sqrt()

    return without(a, b) / (own(a, norms[0]) * own(b, norms[1]))


def linear_cka(x: Tensor, y: Tensor, *, debiased: bool = False) -> Tensor:
    r"""Return linear CKA of two representations, ``(n, ...), (n, ...) -> ()`` float64.

    This is `cka_from_grams` of the linear Grams (Kornblith et al. 2019). The biased estimator is
    near 1 when there are more features than images: *independent* isotropic Gaussians score about
    :math:`\sqrt{d_x d_y / ((d_x + n)(d_y + n))}`, 0.987 at n = 500 and d = 38,400. The debiased
    estimator gives 0 there.

    Raises
    ------
    ValueError
        If n differs or is below 2 (debiased: 4), if values are not finite, or if CKA is undefined
        because all images have the same representation.

    Examples
    --------
    >>> x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    >>> round(linear_cka(x, -2 * x + 1, debiased=True).item(), 6)
    1.0
    """
    return _linear([x], [y], debiased, ("x", "y")).squeeze()


def cka_matrix(xs: Sequence[Tensor], ys: Sequence[Tensor], *, debiased: bool = False) -> Tensor:
    r"""Return linear CKA of every pair of layers, lists of ``(n, ...)`` -> ``(L1, L2)`` float64.

    Computed from Grams or from features, whichever needs fewer multiplications. From features, with
    :math:`k_i = \|\tilde x_i\|^2`, :math:`l_i = \|\tilde y_i\|^2` (Kornblith et al.'s code):

    .. math:: (n-1)^2\,\mathrm{HSIC}_0 = \|\tilde Y^\top \tilde X\|_F^2, \qquad
        n(n-3)\,\mathrm{HSIC}_1 = \|\tilde Y^\top \tilde X\|_F^2 - \tfrac{n}{n-2} k^\top l
        + \tfrac{\sum k \sum l}{(n-1)(n-2)}

    ValueError as by `linear_cka`, with the index of the layer, and for a single array (n, d).

    Examples
    --------
    >>> xs = list(torch.randn(3, 8, 5, generator=torch.Generator().manual_seed(0)))
    >>> cka_matrix(xs, xs[:2]).shape
    torch.Size([3, 2])
    """
    if bad := [n for n, zs in (("xs", xs), ("ys", ys)) if getattr(zs, "ndim", 3) < 3]:
        raise ValueError(f"{bad[0]} is one array of features; pass a list of layers (n, …)")
    return _linear(xs, ys, debiased, ("xs", "ys"))


def _linear(xs: Iterable, ys: Iterable, debiased: bool, names: tuple[str, str]) -> Tensor:
    xs, ys = ([as_rows(z, name) for z in zs] for zs, name in zip((xs, ys), names, strict=True))
    if not xs or not ys:
        raise ValueError(f"{names[0]} has {len(xs)} layers and {names[1]} {len(ys)}; need some")
    n, wx, wy = len(xs[0]), [x.shape[1] for x in xs], [y.shape[1] for y in ys]
    for name, zs in zip(names, (xs, ys), strict=True):
        for i, z in enumerate(zs):
            same_n(xs[0].mT, z.mT, names[0], name if len(zs) == 1 else f"{name}[{i}]")
    cost_gram = n * n * (sum(wx) + sum(wy) + len(xs) * len(ys))
    if n >= 4 and n * (sum(wx) * sum(wy) + sum(w * w for w in wx + wy)) < cost_gram:
        value = _feature_form(xs, ys, debiased)
        if bool(torch.isfinite(value).all()):
            return value
        # Undefined, or too few correct digits: the Gram form finds out which, and in which layer.
    ks, ls = (torch.stack([gram(z) for z in zs]) for zs in (xs, ys))
    return cka_matrix_from_grams(ks, ls, debiased=debiased, names=names)


def _feature_form(xs: list[Tensor], ys: list[Tensor], debiased: bool) -> Tensor:
    """Return linear CKA ``(L1, L2)`` from d x d products; NaN where the Gram form must decide."""
    n = len(xs[0])

    def correct(s: Tensor, kl: Tensor, sums: Tensor) -> Tensor:
        return s - n / (n - 2) * kl + sums / ((n - 1) * (n - 2)) if debiased else s

    def side(zs: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        cs = [torch.cat(list(centred_blocks(z)), dim=1) for z in zs]
        k = torch.stack([c.square().sum(1) for c in cs])  # (L, n)
        real = torch.stack([varies(z, e) for z, e in zip(zs, k.sum(1), strict=True)])
        own = torch.stack([(c.T @ c).square().sum() for c in cs])
        hsic = correct(own, k.square().sum(1), k.sum(1).square())
        # The subtraction may lose four digits, not more.
        return torch.cat(cs, dim=1), k, hsic.where(real & (hsic > 1e-4 * own), torch.nan)

    (x, k, hsic_x), (y, l, hsic_y) = side(xs), side(ys)  # noqa: E741
    cross = (x.T @ y).square()  # (sum dx, sum dy), summed over each pair's block:
    cross = torch.stack([c.sum(0) for c in cross.split([z.shape[1] for z in xs])])
    cross = torch.stack([c.sum(1) for c in cross.split([z.shape[1] for z in ys], 1)], dim=1)
    cross = correct(cross, k @ l.T, torch.outer(k.sum(1), l.sum(1)))
    return cross / torch.outer(hsic_x.sqrt(), hsic_y.sqrt())


def minibatch_cka_from_grams(
    batches: Iterable[tuple[Tensor, Tensor]], *, names: tuple[str, str] = ("ks", "ls")
) -> Tensor:
    r"""Estimate linear CKA of every pair of layers from batches of images, -> ``(L1, L2)``.

    .. math:: \frac{\sum_b n_b\, \mathrm{HSIC}_1(K_b, L_b)}{\sqrt{\sum_b n_b\,
        \mathrm{HSIC}_1(K_b, K_b)} \sqrt{\sum_b n_b\, \mathrm{HSIC}_1(L_b, L_b)}}

    A batch is a pair of stacks of Grams ``(L1, n_b, n_b), (L2, n_b, n_b)``; only one is in memory
    at a time. The batches of Nguyen et al. (2021) have equal sizes. Here a batch has the weight of
    its number of images. One batch of all images gives the debiased `linear_cka`.

    ValueError if the two sides of a batch differ in n or have fewer than 4 images, or if the value
    is undefined as in `linear_cka`; messages call the two sides by their `names`.

    Examples
    --------
    >>> xs = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0))
    >>> ks = torch.stack([gram(x) for x in xs])
    >>> minibatch_cka_from_grams([(ks, ks[:2])] * 3).shape
    torch.Size([3, 2])
    """
    total = None
    for i, (k, l) in enumerate(batches):  # noqa: E741
        n = same_n(k, l, *(f"{name}[{i}]" for name in names))
        if n < 4:
            raise ValueError(f"batch {i} has {n} images; debiased HSIC needs at least 4")
        a, b = (center(grams, debiased=True).flatten(-2) for grams in (k, l))
        parts = [a @ b.mT, *(c.square().sum(-1) for c in (a, b, k.flatten(-2), l.flatten(-2)))]
        parts = [part / (n - 3) for part in parts]  # n_b HSIC₁ = <a, b> / (n_b - 3)
        total = parts if total is None else [x + y for x, y in zip(total, parts, strict=True)]
    if total is None:
        raise ValueError(f"{names[0]} and {names[1]} hold no batches")
    xy, xx, yy, kk, ll = total
    norms = [p.where(p > VANISHED**2 * q, torch.nan).sqrt() for p, q in ((xx, kk), (yy, ll))]
    sides = {names[0]: (norms[0], kk), names[1]: (norms[1], ll)}
    return refuse_undefined(xy / torch.outer(*norms), debiased=True, **sides)
