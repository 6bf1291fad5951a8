"""Random representations with a known relation, and HSIC written plainly."""

import torch

from invlib.metrics.cka import minibatch_cka_from_grams
from invlib.metrics.grams import gram

F64 = torch.float64


def randn(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def related(n, d, e, seed=0):
    """Two representations with something in common, and an offset."""
    x = randn(n, d, seed=seed)
    return x + 1, x @ randn(d, e, seed=seed + 1) + 2 * randn(n, e, seed=seed + 2) - 3


def orthogonal(d, seed):
    return torch.linalg.qr(randn(d, d, seed=seed)).Q


def hsic1(k, l):  # noqa: E741
    """Unbiased HSIC of Song et al. (2012), eq. 5, written plainly."""
    n = len(k)
    k, l = k - torch.diag(k.diag()), l - torch.diag(l.diag())  # noqa: E741
    one = torch.ones(n, dtype=F64)
    total = (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
    return (torch.trace(k @ l) + total - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3))


def minibatch_cka(xs, ys):
    """Return minibatch CKA of the batches `xs` and `ys` of representations, ``()``."""
    both = zip(xs, ys, strict=True)
    batches = ((gram(x)[None], gram(y)[None]) for x, y in both)
    return minibatch_cka_from_grams(batches).squeeze()
