r"""Gram matrices of representations, and CKA from them: whole, of all pairs, without each image.

Tensors in, tensors out. A representation is a floating tensor ``(n, ...)``, one row per image,
flattened to ``(n, d)``; everything is computed in float64 on its own device, and nothing is
differentiated. No measure here sees a translation of the features, so the mean comes off *before*
the first product and a large common offset costs no digits. An undefined value is a ValueError,
never NaN; the test is one look at the small result, so CKA synchronises a GPU once a call.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["center", "cka_from_grams", "cka_leave_one_out", "cka_matrix_from_grams", "gram"]

F64 = torch.float64
VANISHED = 1e-12  # what is left of a Gram after centring, relative to it, that is only rounding


def as_rows(x: Tensor, name: str = "x") -> Tensor:
    """Return `x` as ``(n, d)``, refusing what is not a representation."""
    if not x.is_floating_point() or x.ndim == 0 or x.numel() == 0:
        raise ValueError(f"{name} is {x.dtype} {tuple(x.shape)}; need floating, non-empty (n, ...)")
    x = x.detach().reshape(len(x), -1)
    return x.cpu() if x.device.type == "mps" else x  # Metal has no float64


def centred_blocks(x: Tensor) -> Iterator[Tensor]:
    """Yield blocks of columns ``(n, b)`` of ``(n, d)``, float64 and centred, of bounded size."""
    # 1 MiB stays in a CPU's cache (measured); a GPU wants few, large products instead.
    width = max(1, (1 if x.device.type == "cpu" else 64) * 2**20 // (8 * len(x)))
    for block in x.split(width, dim=1):
        # Off with the first image, then with the mean: equal images become *exactly* zero.
        block = block.to(F64, copy=True)
        block -= block[:1].clone()
        yield block.sub_(block.mean(0))


def varies(x: Tensor, energy: Tensor) -> Tensor:
    """Whether ``energy`` = Σ‖x_i − mean‖² is more than rounding of `x` explains (0-d bool)."""
    # float32's at most: in half precision a shared offset may well be 1/eps times what varies.
    eps = min(torch.finfo(x.dtype).eps, torch.finfo(torch.float32).eps)
    smallest = 4 * eps * torch.linalg.vector_norm(x[0], dtype=F64)
    return ~(energy <= len(x) * smallest**2)  # NaN counts as varying, to be reported as what it is


def gram(x: Tensor) -> Tensor:
    r"""Return the linear Gram matrix of the *centred* features, ``(n, ...) -> (n, n)`` float64.

    :math:`\tilde X \tilde X^\top` with :math:`\tilde X = X - \frac1n 1 1^\top X`, which is
    :math:`H X X^\top H` without its cancellation. Columns are converted block by block: there is
    no float64 copy of `x`. Images that differ by no more than the rounding of `x` give
    zeros; non-finite features give a non-finite Gram, and what is computed from it refuses it.

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
    r"""Return Gram matrices centred for the HSIC estimator, ``(..., n, n) -> (..., n, n)``.

    Biased: :math:`\tilde K = H K H`, and :math:`\langle\tilde K, \tilde L\rangle / (n-1)^2` is
    HSIC₀. Debiased: the U-centred matrix of Székely & Rizzo (2014), zero on the diagonal, else

    .. math:: \tilde K_{ij} = K_{ij} - \frac{\sum_l K_{il} + \sum_l K_{lj}}{n-2}
              + \frac{\sum_{lm} K_{lm}}{(n-1)(n-2)} \qquad (K_{ii} := 0),

    for which :math:`\langle\tilde K, \tilde L\rangle / (n(n-3))` is the unbiased HSIC₁ of
    Song et al. (2012). `k` is taken to be symmetric.

    Raises
    ------
    ValueError
        If the last two dims differ, or n is below 2 (debiased: below 4).

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
    """Frobenius norms ``(...)`` of centred Grams, NaN where centring left only rounding of `k`."""
    norm = torch.linalg.vector_norm(centred, dim=(-2, -1))
    floor = torch.linalg.vector_norm(k, dim=(-2, -1), dtype=F64) * VANISHED
    return norm.where(norm > floor, torch.nan)


def refuse_undefined(value: Tensor, debiased: bool, **sides: tuple[Tensor, Tensor]) -> Tensor:
    """Return `value` if finite; else name the side, and its index, that made it not so."""
    if bool(torch.isfinite(value).all()):  # the one synchronisation
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


def same_n(n: int, m: int, x: str, y: str) -> None:
    if n != m:
        raise ValueError(f"{x} has {n} images and {y} has {m}; CKA compares the same images")


def cka_from_grams(k: Tensor, l: Tensor, *, debiased: bool = False) -> Tensor:  # noqa: E741
    r"""Return CKA of Gram matrices, ``(..., n, n), (..., n, n) -> (...)``, broadcasting.

    :math:`\langle\tilde K, \tilde L\rangle / \|\tilde K\|_F \|\tilde L\|_F` (Kornblith et al.
    2019), centred by `center`. For all pairs of two stacks `cka_matrix_from_grams` is cheaper.

    Raises
    ------
    ValueError
        If n differs or is too small, or a Gram (named with its index) makes CKA undefined.

    Examples
    --------
    >>> k = gram(torch.eye(5)[:, :2])
    >>> round(cka_from_grams(k, 3 * k).item(), 12)
    1.0
    """
    same_n(k.shape[-1], l.shape[-1], "k", "l")
    a, b = center(k, debiased), center(l, debiased)
    norm_a, norm_b = centred_norm(a, k), centred_norm(b, l)
    value = (a * b).sum((-2, -1)) / (norm_a * norm_b)
    return refuse_undefined(value, debiased, k=(norm_a, k), l=(norm_b, l))


def cka_matrix_from_grams(
    ks: Tensor, ls: Tensor, *, debiased: bool = False, names: tuple[str, str] = ("ks", "ls")
) -> Tensor:
    """Return CKA of every pair, ``(..., L1, n, n), (..., L2, n, n) -> (..., L1, L2)``.

    One matrix product of the flattened, centred, normalised Grams. Raises as `cka_from_grams`,
    which calls the two stacks by their `names`.

    Examples
    --------
    >>> ks = torch.stack([gram(torch.eye(5)[:, :d]) for d in (1, 2, 3)])
    >>> cka_matrix_from_grams(ks, ks[:2]).shape
    torch.Size([3, 2])
    """
    same_n(ks.shape[-1], ls.shape[-1], *names)
    a, b = center(ks, debiased), center(ls, debiased)
    norms = centred_norm(a, ks), centred_norm(b, ls)
    a, b = (c.div_(norm[..., None, None]) for c, norm in zip((a, b), norms, strict=True))
    sides = {names[0]: (norms[0], ks), names[1]: (norms[1], ls)}
    return refuse_undefined(a.flatten(-2) @ b.flatten(-2).mT, debiased, **sides)


def cka_leave_one_out(k: Tensor, l: Tensor, *, debiased: bool = False) -> Tensor:  # noqa: E741
    r"""Return CKA with each image left out in turn, ``(..., n, n), (..., n, n) -> (..., n)``.

    What a jackknife over the images needs, in the time of one CKA. Both estimators have

    .. math:: \langle\tilde K, \tilde L\rangle_{-i} = \sum_{ab} \tilde K_{ab}\tilde L_{ab}
        - 2c \sum_a \tilde K_{ai}\tilde L_{ai} + c^2\, \tilde K_{ii}\tilde L_{ii}, \qquad
        c = \tfrac{n}{n-1} \text{ (biased)}, \ \tfrac{n-2}{n-3} \text{ (debiased)},

    where the last term is 0 if debiased. For the rows of a centred Gram sum to 0: without image `i`
    they sum to :math:`-\tilde K_{ai}`, which is all that centring anew has to remove. NaN, the one
    exception, for an image without which CKA is undefined or has only a few digits left.

    Raises
    ------
    ValueError
        As `cka_from_grams` of all images; they must be one more than it needs, 3 or debiased 5.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [1.0, 3.0], [5.0, 5.0], [0.0, 4.0]])
    >>> k, l = gram(x), gram(x[:, :1])
    >>> every, without_2 = cka_leave_one_out(k, l), [0, 1, 3, 4, 5]
    >>> dropped = cka_from_grams(gram(x[without_2]), gram(x[without_2, :1]))
    >>> every.shape, round(float(every[2] - dropped), 12)
    (torch.Size([6]), 0.0)
    """
    same_n(k.shape[-1], l.shape[-1], "k", "l")
    n, kind, least = k.shape[-1], *(("debiased", 5) if debiased else ("biased", 3))
    if n < least:
        raise ValueError(f"n={n} images; to leave one out the {kind} estimator needs {least}")
    a, b = center(k, debiased), center(l, debiased)
    norms = centred_norm(a, k), centred_norm(b, l)
    refuse_undefined(norms[0] * norms[1], debiased, k=(norms[0], k), l=(norms[1], l))
    c = (n - 2) / (n - 3) if debiased else n / (n - 1)

    def without(p: Tensor, q: Tensor) -> Tensor:  # <p, q> without each image, (..., n)
        product = p * q
        rows = product.sum(-1)
        diagonal = product.diagonal(dim1=-2, dim2=-1)  # zero where debiased
        return rows.sum(-1, keepdim=True) - 2 * c * rows + c**2 * diagonal

    def own(p: Tensor, norm: Tensor) -> Tensor:  # the subtraction may cost ten digits, not more
        squared = without(p, p)
        return squared.where(squared > 1e-10 * norm[..., None] ** 2, torch.nan).sqrt()

    return without(a, b) / (own(a, norms[0]) * own(b, norms[1]))
