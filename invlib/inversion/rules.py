r"""Update rules: how an inversion moves the pixels in one step, given their gradient.

A rule is ``make(x, iterations, step=…, basis=None) -> update``; ``update(grad)`` moves the rows of
x (R, 3, H, W) in place and projects them back to [0, 1]. Rows never look at one another, so a row's
path does not depend on its batch. `basis` is `StagedModel.patch_basis`, which only `fast` reads.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

__all__ = [
    "OPTIMIZERS", "Rule", "adam", "anytime", "check_call", "checked", "fast", "fourier", "lbfgs",
    "named", "ngd", "tv",
]  # fmt: skip

Update = Callable[[Tensor], None]
Rule = Callable[..., Update]
Schedule = Callable[[torch.optim.Optimizer, int], LRScheduler]


def ngd(x: Tensor, iterations: int, step: float = 0.5, basis: Tensor | None = None) -> Update:
    r"""Normalised gradient descent, the recipe of the STIR reference code.

    .. math:: x \leftarrow \Pi_{[0, 1]}\left(x - \eta\, g / (\lVert g\rVert_2 + 10^{-10})\right)

    with η = 0.5 in the L2 norm of the whole image and no momentum.

    Examples
    --------
    >>> x = torch.full((1, 3, 2, 2), 0.5)
    >>> ngd(x, 1)(torch.ones_like(x))
    >>> round(float((0.5 - x).norm()), 4)
    0.5
    """

    def update(grad: Tensor) -> None:
        norm = grad.flatten(1).norm(dim=1)[:, None, None, None]
        x.addcmul_(grad, -step / (norm + 1e-10)).clamp_(0, 1)

    return update


def adam(x: Tensor, iterations: int, step: float = 0.1, basis: Tensor | None = None) -> Update:
    """Adam (Kingma & Ba 2015) on pixels, with a cosine schedule from `step` to 0."""
    direction = _adam_direction(torch.zeros_like(x), iterations, step, (0.9, 0.999))

    def update(grad: Tensor) -> None:
        x.add_(direction(grad)).clamp_(0, 1)

    return update


def fast(
    x: Tensor,
    iterations: int,
    step: float = 0.4,
    basis: Tensor | None = None,
    *,
    unit: bool = True,
    schedule: Schedule | None = None,
) -> Update:
    r"""Adam with short averages, on unit gradients in the coordinates of the patch embedding.

    Each p×p patch x is seen by a ViT only as Vx, where the orthonormal rows of V span what the
    patch embedding does not throw away. Adam scales its coordinates one by one, so it matters
    which they are: along V they are the network's own, while pixels mix all of them. With Adam's
    direction δ for the gradient g of all patches of an image,

    .. math:: \delta = \mathrm{Adam}\left(V g / (\lVert V g\rVert_2 + 10^{-10})\right),\qquad
              x \leftarrow \Pi_{[0, 1]}(x + V^\top \delta).

    The length is taken off (``unit=False`` leaves it) as in the reference recipe, because in late
    layers it explodes now and then. β is (0.8, 0.9): averages over the usual thousand steps are too
    long for some fifty. The page *How inverted is inverted?* compares it with the reference recipe.
    Without a `basis` (networks that do not cut patches) the coordinates are pixels and the step is
    half as long.

    Examples
    --------
    >>> x = torch.full((1, 3, 2, 2), 0.5)
    >>> basis = torch.eye(12)[:1]  # sees the first pixel of each 2×2 patch only
    >>> fast(x, 10, 0.1, basis)(torch.ones_like(x))
    >>> x[0, 0]
    tensor([[0.4000, 0.5000],
            [0.5000, 0.5000]])
    """
    betas, n = (0.8, 0.9), len(x)
    if basis is None:
        direction = _adam_direction(torch.zeros_like(x), iterations, step / 2, betas, schedule)

        def move(grad: Tensor) -> Tensor:
            return direction(_unit(grad.flatten(1)).view_as(grad) if unit else grad)

    else:
        basis = basis.to(x)
        c, height, width = x.shape[1:]
        p = round((basis.shape[1] / c) ** 0.5)
        grid = (n, c, height // p, p, width // p, p)
        patches = n * (height // p) * (width // p)
        at = x.new_zeros(patches, len(basis))
        direction = _adam_direction(at, iterations, step, betas, schedule)

        def move(grad: Tensor) -> Tensor:
            rows = grad.reshape(grid).permute(0, 2, 4, 1, 3, 5).reshape(patches, -1) @ basis.T
            if unit:
                rows = _unit(rows.view(n, -1)).view_as(rows)
            back = (direction(rows) @ basis).reshape(n, grid[2], grid[4], c, p, p)
            return back.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)

    def update(grad: Tensor) -> None:
        x.add_(move(grad)).clamp_(0, 1)

    return update


def anytime(x: Tensor, iterations: int, step: float = 0.6, basis: Tensor | None = None) -> Update:
    r"""`fast` with steps that shrink as :math:`\eta / (1 + t / 15)`, whatever `iterations` is.

    The schedule of `fast` ends at `iterations`, so that half a run is not a run of half the length.
    Here it is. Up to 200 steps it gets about as far as a run of `fast` that ends there.
    """
    return fast(x, iterations, step, basis, schedule=_inverse)


def lbfgs(
    x: Tensor, iterations: int, step: float = 1.0, basis: Tensor | None = None, memory: int = 8
) -> Update:
    r"""L-BFGS of each row (Nocedal 1980), one gradient a step, without a line search.

    The direction is a sum of gradients and of steps taken before, of the last `memory` steps. So
    what a layer cannot see stays as it was at the start, but where a pixel is stopped at 0 or 1.
    Adam's directions move it: see the page *Known invariances*. A step has length 2 at most in the
    L2 norm of the image, the first 0.5. Past some 200 steps it gets as far as `anytime`.

    Examples
    --------
    >>> x = torch.tensor([0.2, 0.7, 0.3]).expand(1, 3, 1, 3).clone()
    >>> goal, scale = torch.full_like(x, 0.5), torch.tensor([1.0, 10.0, 0.1])
    >>> update = lbfgs(x, 20)
    >>> for _ in range(20):
    ...     update(scale * (x - goal))  # the gradient of a stretched square
    >>> bool((x - goal).abs().max() < 1e-3)
    True
    """
    pairs: list[tuple[Tensor, Tensor, Tensor]] = []
    last: dict[str, Tensor] = {}

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


def tv(
    x: Tensor, iterations: int, step: float = 0.6, basis: Tensor | None = None, weight: float = 0.25
) -> Update:
    r"""`anytime` with a prior for smooth images, the total variation.

    To the relative distance it adds `weight` times the total variation (Mahendran & Vedaldi 2015)

    .. math:: V(x) = \operatorname{mean}_{c, i, j}
              \sqrt{(x_{i, j + 1} - x_{i, j})^2 + (x_{i + 1, j} - x_{i, j})^2 + 10^{-6}}.

    The best iterate is still the one of the smallest distance.

    Examples
    --------
    >>> x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> before, update = _variation(x), tv(x, 100)
    >>> for _ in range(100):
    ...     update(torch.zeros_like(x))  # a network that sees nothing
    >>> bool(_variation(x) < before / 10)
    True
    """
    move = anytime(x, iterations, step, basis)

    def update(grad: Tensor) -> None:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            (rough,) = torch.autograd.grad(_variation(leaf).sum(), leaf)
        move(grad.add(rough, alpha=weight))

    return update


def fourier(x: Tensor, iterations: int, step: float = 0.3, basis: Tensor | None = None) -> Update:
    r"""`anytime` in Fourier coordinates, with larger steps for lower frequencies.

    With the orthonormal transform F and weights :math:`s(f) \propto 1 / \max(\lvert f\rvert, 1/H)`
    of mean square 1, as photographs have them (Olah et al. 2017),

    .. math:: x \leftarrow \Pi_{[0, 1]}\left(x + F^{-1} s\,\mathrm{Adam}(s\,F g)\right).

    Examples
    --------
    >>> x = torch.full((1, 3, 8, 8), 0.5)
    >>> grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    >>> fourier(x, 1)(grad)
    >>> bool(_variation(x) < _variation(grad) / grad.std() * x.std())  # smoother than its gradient
    True
    """
    height, width = x.shape[-2:]
    down = torch.fft.fftfreq(height, device=x.device)[:, None]
    along = torch.fft.rfftfreq(width, device=x.device)
    scale = 1 / torch.hypot(down, along).clamp_min(1 / max(height, width))
    scale = (scale / scale.square().mean().sqrt()).to(x.dtype)
    at = torch.view_as_real(torch.fft.rfft2(torch.zeros_like(x)))
    direction = _adam_direction(at, iterations, step, (0.8, 0.9), _inverse)

    def update(grad: Tensor) -> None:
        grad = _unit(grad.flatten(1)).view_as(grad)
        moved = direction(torch.view_as_real(scale * torch.fft.rfft2(grad, norm="ortho")))
        back = torch.view_as_complex(moved.contiguous()) * scale
        x.add_(torch.fft.irfft2(back, s=(height, width), norm="ortho")).clamp_(0, 1)

    return update


def _variation(x: Tensor) -> Tensor:
    """Return the total variation of images (R, C, H, W), in the mean over pixels, (R,)."""
    across, down = x.diff(dim=-1)[..., :-1, :], x.diff(dim=-2)[..., :-1]
    return (across.square() + down.square() + 1e-6).sqrt().mean((1, 2, 3))


def _unit(rows: Tensor) -> Tensor:
    """Return rows (R, D) scaled to length 1; a row of 0 stays 0."""
    return rows / (rows.norm(dim=1, keepdim=True) + 1e-10)


def _inverse(descent: torch.optim.Optimizer, iterations: int) -> LRScheduler:
    return LambdaLR(descent, lambda t: 1 / (1 + t / 15))


def _adam_direction(
    at: Tensor,
    iterations: int,
    step: float,
    betas: tuple[float, float],
    schedule: Schedule | None = None,
) -> Callable[[Tensor], Tensor]:
    """PyTorch's Adam with a schedule, cosine by default, as a function of gradients."""
    descent = torch.optim.Adam([at], lr=step, betas=betas)
    steps = (schedule or CosineAnnealingLR)(descent, iterations)

    def direction(grad: Tensor) -> Tensor:
        at.zero_()  # so that after the step it *is* the displacement
        at.grad = grad
        descent.step()
        steps.step()
        at.grad = None
        return at

    return direction


OPTIMIZERS: dict[str, Rule] = {
    rule.__name__: rule for rule in (adam, anytime, fast, fourier, lbfgs, ngd, tv)
}


def named(rule: str | Rule) -> str:
    """Return the name of a rule for results; two rules may have the same name.

    Examples
    --------
    >>> named("ngd"), named(partial(fast, unit=False))
    ('ngd', 'invlib.inversion.rules.fast(unit=False)')
    """
    if isinstance(rule, str):
        return rule
    if isinstance(rule, partial):
        given = [*map(repr, rule.args), *(f"{k}={v!r}" for k, v in rule.keywords.items())]
        return f"{named(rule.func)}({', '.join(given)})"
    kind = rule if hasattr(rule, "__qualname__") else type(rule)
    return f"{kind.__module__}.{kind.__qualname__}"


def check_call(rule: Rule, *options: str) -> None:
    """Raise TypeError unless `rule` can be called with x, `iterations`, `basis` and `options`."""
    try:
        inspect.signature(rule).bind(None, iterations=1, basis=None, **dict.fromkeys(options))
    except TypeError as error:
        raise TypeError(
            f"optimizer={named(rule)}: {error}; a rule is called as "
            "rule(x, iterations=…, basis=…), and with step=… if a step is given"
        ) from None
    except ValueError:  # code in C may show no signature
        return


def checked(rule: Rule) -> Rule:
    """Return `rule`, a rule of one's own, with a check of what it returns and of its first update.

    The check waits for the GPU, so it is made once and not for the rules of this module.

    Examples
    --------
    >>> def jump(x, iterations, basis=None):
    ...     return lambda grad: x.add_(1)
    >>> checked(jump)(torch.ones(1, 3, 2, 2), 1)(torch.zeros(1, 3, 2, 2))
    Traceback (most recent call last):
        ...
    ValueError: optimizer=invlib.inversion.rules.jump moved x to [2, 2]; its update must keep x \
finite and in [0, 1]
    """

    def make(x: Tensor, *arguments: Any, **options: Any) -> Update:
        update, first = rule(x, *arguments, **options), True
        if not callable(update):
            raise TypeError(
                f"optimizer={named(rule)} returned {type(update).__name__}; a rule returns a "
                "function update(grad) that moves x in place"
            )

        def update_and_check(grad: Tensor) -> None:
            nonlocal first
            update(grad)
            if first:
                first = False
                low, high = x.detach().aminmax()
                if not (low >= 0 and high <= 1):  # also catches NaN
                    raise ValueError(
                        f"optimizer={named(rule)} moved x to [{low:.3g}, {high:.3g}]; its update "
                        "must keep x finite and in [0, 1]"
                    )

        return update_and_check

    return make
