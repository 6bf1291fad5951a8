r"""Networks that are blind to a known part of the image, and what their inversions should be.

The rows of an orthonormal basis of all images fall into four blocks. A network sees some blocks and
nothing of the others. The reference sees blocks 0 and 1; `PAIRS` names what targets see. With
P the projection onto what the reference sees, an inversion that started at s should end at

.. math:: x' = P x + (I - P) s,

where the part that the reference sees is that of x, and the part that it cannot see is that of s.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from invlib.models.staged import StagedModel
from invlib.names import ESTIMATORS

__all__ = [
    "CONSTRUCTIONS", "PAIRS", "Blind", "basis_of", "conditional", "covariances", "draw_images",
    "limit", "resampled",
]  # fmt: skip

# What the reference of each construction is blind to, in blocks 2 and 3 of `basis_of`.
CONSTRUCTIONS = ("projection", "flips", "low pass", "grey")
REFERENCE = (0, 1)
# The blocks that a target sees. "all": it is blind to all that the reference is blind to, and to
# nothing else. "more": it is blind to more, "less": to less, "some": to a part, and to something
# else. "none": it sees exactly what the reference does not.
PAIRS = {"all": REFERENCE, "more": (0,), "less": (0, 1, 2), "some": (0, 2), "none": (2, 3)}

AMPLITUDE = 0.08  # standard deviation of a pixel; with 0.5 in the middle, borders are far away


def basis_of(construction: str, size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return an orthonormal basis (D, D) of images of D = 3·size² numbers, and each row's block.

    ``"projection"``: random directions, a quarter of them in each block. The others are cosines
    (DCT-II), whose number of half waves is their frequency. ``"flips"``: cosines that are even
    across are in blocks 0 and 1, so the reference sees the average of an image and its mirror
    image; 0 and 2 are even from top to bottom. ``"low pass"``: quarters by frequency. ``"grey"``:
    the mean of the colours, low (0) and high frequencies (1), and two other colours (2, 3).

    Examples
    --------
    >>> rows, block = basis_of("flips", 4)
    >>> bool(torch.allclose(rows @ rows.T, torch.eye(48), atol=1e-5)), block.bincount().tolist()
    (True, [12, 12, 12, 12])
    """
    d, f = 3 * size**2, torch.arange(size)
    if construction == "projection":
        noise = torch.randn(d, d, generator=torch.Generator().manual_seed(seed))
        return torch.linalg.qr(noise).Q.T.contiguous(), torch.arange(d) * 4 // d
    colour, y, x = (axis.flatten() for axis in torch.meshgrid(torch.arange(3), f, f, indexing="ij"))
    colours = torch.eye(3)
    low = _frequency(size).argsort(stable=True).argsort() * 4 // d  # quarters
    match construction:
        case "flips":
            block = 2 * (x % 2) + y % 2
        case "low pass":
            block = low
        case "grey":
            colours = torch.tensor([[1.0, 1, 1], [1, -1, 0], [1, 1, -2]])
            colours /= colours.norm(dim=1, keepdim=True)
            block = torch.where(colour > 0, colour + 1, low // 2)
    return torch.kron(colours, torch.kron(_cosines(size), _cosines(size))), block


def _cosines(size: int) -> Tensor:
    """Return the orthonormal DCT-II as a matrix (frequency, position)."""
    k = torch.arange(size)
    rows = torch.cos(math.pi * (2 * k + 1) * k[:, None] / (2 * size))
    return rows / rows.norm(dim=1, keepdim=True)


def _frequency(size: int) -> Tensor:
    """Return the frequency of each cosine of an image, (3·size²,)."""
    f = torch.arange(size)
    return torch.hypot(f[:, None].float(), f[None].float()).flatten().repeat(3)


def _variances(size: int) -> Tensor:
    """Return the variance of each cosine in `draw_images`: it falls with the frequency."""
    variance = (1 + _frequency(size)) ** -2
    return AMPLITUDE**2 * variance / variance.mean()


def _generator(seed: int, stream: int) -> torch.Generator:
    """Return a generator that shares nothing with that of the same seed in `invert`."""
    state = np.random.SeedSequence([seed, stream]).generate_state(1)
    return torch.Generator().manual_seed(int(state[0]))


def draw_images(n: int, size: int, seed: int) -> Tensor:
    """Return Gaussian images (n, 3, size, size) around 0.5, smooth as photographs are, in [0, 1].

    Examples
    --------
    >>> images = draw_images(500, 8, seed=0)
    >>> bool(images.min() > 0 and images.max() < 1), round(float(images.std()), 2)
    (True, 0.08)
    """
    rng = _generator(seed, 1)
    noise = torch.randn(n, 3 * size**2, generator=rng)
    rows = torch.kron(torch.eye(3), torch.kron(_cosines(size), _cosines(size)))
    images = 0.5 + (noise * _variances(size).sqrt()) @ rows
    return images.view(n, 3, size, size).clamp(0, 1)


class Blind(StagedModel):
    """A network that sees the `rows` (k, D) of an image and nothing else.

    Layer 0 is linear: the coordinates of the image along the rows. Layer 1 turns them and halves
    what is negative, four times over (a rotation, then a leaky ReLU). That can be undone, so it is
    blind to the same part as layer 0. The rotations are drawn from `seed`.

    Examples
    --------
    >>> rows, block = basis_of("grey", 4)
    >>> model, x = Blind(rows[block < 2], 4), torch.rand(2, 3, 4, 4)
    >>> [bool(torch.allclose(a, b, atol=1e-4)) for a, b in zip(
    ...     model.features(x), model.features(x.mean(1, keepdim=True).expand(x.shape)))]
    [True, True]
    """

    def __init__(self, rows: Tensor, size: int, *, seed: int = 0):
        nn.Module.__init__(self)  # no family: the stages are those below
        see, k = nn.Linear(rows.shape[1], len(rows)), len(rows)
        see.weight.data, see.bias.data = rows / AMPLITUDE, -0.5 * rows.sum(1) / AMPLITUDE
        turns, rng = [], torch.Generator().manual_seed(seed)
        for _ in range(4):
            turn = nn.Linear(k, k, bias=False)
            turn.weight.data = torch.linalg.qr(torch.randn(k, k, generator=rng)).Q
            turns += [turn, nn.LeakyReLU(0.5)]
        self.net = nn.ModuleList([nn.Sequential(nn.Flatten(), see), nn.Sequential(*turns)])
        self.stages, self.layer_names = tuple(self.net), ("linear", "bent")
        self.name, self.img_size = f"blind_{k}", size

    def patch_basis(self) -> None:
        """Return None: rules work on pixels, as in the deep layers of a network."""


def resampled(images: Tensor, starts: Tensor, seen: Tensor) -> Tensor:
    """Return x′ = P x + (I − P) s for `images` x and `starts` s (n, 3, H, W).

    The rows of `seen` (k, D) span what P keeps. The result may leave [0, 1] where s is at a border.

    Examples
    --------
    >>> x, s = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0.0, 0.2]).view(1, 1, 1, 2)
    >>> resampled(x, s, torch.tensor([[1.0, 0.0]])).flatten().tolist()
    [0.5, 0.20000000298023224]
    """
    return starts + ((images - starts).flatten(1) @ seen.T @ seen).view_as(images)


def conditional(images: Tensor, construction: str, seed: int) -> Tensor:
    """Return draws of starting noise that have in common with `images` what the reference sees.

    This is a draw from the noise *given* the seen part. It is exact for the two constructions in
    which a number that is seen is the mean of a few pixels: of an image and its mirror image
    (``"flips"``), or of three colours (``"grey"``).

    Examples
    --------
    >>> x = draw_images(2, 4, seed=0)
    >>> drawn = conditional(x, "grey", seed=0)
    >>> bool(torch.allclose(drawn.mean(1), x.mean(1), atol=1e-5)), bool((drawn >= -0.01).all())
    (True, True)
    """
    k = {"flips": 2, "grey": 3}[construction]
    rng = _generator(seed, 2)
    table = torch.randn(400_000, k, generator=rng).clamp(0, 1)
    table = table[table.mean(1).argsort()]
    mean = (
        images.mean(1) if k == 3 else (images + images.flip(-1))[..., : images.shape[-1] // 2] / 2
    )
    nearest = torch.searchsorted(table.mean(1).contiguous(), mean.contiguous())
    nearest += torch.randint(-50, 51, mean.shape, generator=rng)  # any of a hundred that fit
    rows = table[nearest.clamp(0, len(table) - 1)]
    rows = rows + (mean - rows.mean(-1))[..., None]  # some 1e-4, to the very mean
    if k == 3:
        return rows.movedim(-1, 1)
    return torch.cat([rows[..., 0], rows[..., 1].flip(-1)], -1)


def covariances(seen: Tensor, sees: Tensor, size: int, init: str) -> tuple[Tensor, Tensor, Tensor]:
    r"""Return what a linear target makes of x and `resampled` x′: covariances (k, k).

    With Σ and T the covariances of images and starts, and the rows V that the target `sees`, they
    are :math:`V \Sigma V^\top` of x, :math:`V (P \Sigma P + (I - P) T (I - P)) V^\top` of x′, and
    :math:`V \Sigma P V^\top` between the two. `init` is ``"noise"`` (T is the variance of a clamped
    normal number) or ``"images"`` (T = Σ).
    """
    rows = torch.kron(torch.eye(3), torch.kron(_cosines(size), _cosines(size)))
    cov = (rows.T * _variances(size)) @ rows
    start = {"noise": _clamped_variance() * torch.eye(len(cov)), "images": cov}[init]
    p = seen.T @ seen
    blind = torch.eye(len(p)) - p
    own, other, cross = (
        sees @ c @ sees.T for c in (cov, p @ cov @ p + blind @ start @ blind, cov @ p)
    )
    return own, other, cross


def limit(
    seen: Tensor, sees: Tensor, size: int, init: str, *, similarity: str = "debiased"
) -> float:
    r"""Return a similarity of a linear target's x and `resampled` x′, for infinitely many images.

    With the covariances A of x, B of x′ and C between the two (`covariances`), CKA by both
    estimators, and ``"procrustes"``, are

    .. math:: \frac{\lVert C\rVert_F^2}{\lVert A\rVert_F \lVert B\rVert_F}, \qquad
        1 - \frac{2}{\pi} \arccos \frac{\lVert C\rVert_*}{\sqrt{\operatorname{tr} A
        \operatorname{tr} B}}.
    """
    own, other, cross = covariances(seen, sees, size, init)
    if similarity in ESTIMATORS:
        return float(cross.norm() ** 2 / (own.norm() * other.norm()))
    if similarity != "procrustes":
        raise ValueError(f"there is no closed form of {similarity!r}")
    cosine = torch.linalg.svdvals(cross).sum() / (own.trace() * other.trace()).sqrt()
    return 1 - 2 / math.pi * math.acos(min(1.0, float(cosine)))


def _clamped_variance() -> float:
    """Return the variance of a normal number that is clamped to [0, 1]."""
    above, density = math.erfc(math.sqrt(0.5)) / 2, math.exp(-0.5) / math.sqrt(2 * math.pi)
    mean = 1 / math.sqrt(2 * math.pi) - density + above
    return (0.5 - above - density) + above - mean**2
