r"""Invert layers of a model: search for images X′ that a layer cannot tell from given images X.

For every image and layer k, minimise the relative distance (Mahendran & Vedaldi 2015; Nanda et al.
2022)

.. math:: \ell(x') = \lVert m^{[k]}(x') - m^{[k]}(x)\rVert_2 \,/\, \lVert m^{[k]}(x)\rVert_2

over the flattened tokens of all positions (or as `tokens` says), from noise, keeping pixels in
[0, 1]. All layers ride in one batch sorted by depth: each stage runs once on the rows that still
need it, and the rows of layer k leave after stage k.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from numbers import Real

import torch
from torch import Tensor
from tqdm import tqdm

from invlib.inversion.chunks import default_chunk
from invlib.inversion.rules import OPTIMIZERS, Rule, check_call, checked
from invlib.models.base import frozen, outside_autocast, split_batches
from invlib.models.hooked import HookedModel
from invlib.models.staged import StagedModel, check_model
from invlib.models.tokens import check_tokens, enter, represent
from invlib.names import STARTS, choices, whole_number, whole_numbers
from invlib.progress import progress_bar

__all__ = ["Inversion", "check_gradient", "check_images", "invert", "start_images"]


@dataclass(frozen=True)
class Inversion:
    """The result of `invert`.

    Attributes
    ----------
    images
        (layer, N, 3, H, W), the best iterate of every image at every layer; with snapshots
        (snapshot, layer, N, 3, H, W), the best until then.
    loss
        (layer, iteration), the mean over images of the relative distance before step 0, 1, …, and
        after the last: iterations + 1 values. An image that has left keeps its distance.
    best
        (layer, N) or (snapshot, layer, N), the relative distance of `images`.
    layers
        The layer numbers along their axis.
    snapshots
        The gradient steps taken, along the first axis; empty without snapshots.
    """

    images: Tensor
    loss: Tensor
    best: Tensor
    layers: tuple[int, ...]
    snapshots: tuple[int, ...] = ()


def invert(
    model: StagedModel,
    images: Tensor,
    *,
    layers: Iterable[int | str] | None = None,
    tokens: str = "all",
    iterations: int = 50,
    optimizer: str | Rule = "ngd",
    step: float | None = None,
    init: str = "noise",
    snapshots: Iterable[int] | None = None,
    tolerance: float | None = None,
    against: tuple[StagedModel, float] | None = None,
    seed: int = 0,
    chunk: int | None = None,
    progress: bool | tqdm | None = None,
) -> Inversion:
    r"""Search, for each image and layer, for another image with the same representation.

    Parameters
    ----------
    images
        (N, 3, H, W) floats in [0, 1].
    layers
        Which layers to invert, by number or name; default all. What is found at one layer does not
        depend on which others were asked for.
    tokens
        What a representation is: ``"all"`` positions, the class token (``"cls"``; by default of the
        layers where it depends on the image) or the ``"mean"`` over positions, as in
        `invlib.models.tokens.represent`.
    iterations
        Gradient steps. The best iterate is kept, the one after the last step included.
    optimizer
        A name of `invlib.inversion.rules.OPTIMIZERS`: ``"ngd"`` is the reference recipe, ``"fast"``
        gets furthest in 50 steps. Or a rule of your own, as that module describes them.
    step
        Its step size; default the optimizer's own.
    init
        Where to start: ``"noise"`` (normal, clamped, one per image), ``"same-noise"`` (one for
        all), ``"white"``, ``"black"``, or ``"images"`` (another image of the batch).
    snapshots
        Numbers of gradient steps, increasing, after which the best iterates are looked at as well,
        in one run. A rule with a schedule over `iterations` (``"adam"``, ``"fast"``) is then in the
        middle of it; ``"anytime"`` and ``"ngd"`` have none: a snapshot of theirs is what a run of
        so many iterations gives.
    tolerance
        A relative distance at which an image leaves the batch: easy layers then cost little.
    against
        A second model and a weight w in (−1, 1): controversial images (Golan et al. 2020; Nanda et
        al. 2023). With the gradient g of the distance and h of the second model's distance at the
        same layer, the rule gets :math:`g - w \lVert g\rVert h / \lVert h\rVert`. So the
        distance still falls, and the second model is driven from X; for w < 0 it is drawn to X.
    chunk
        Images worked on at a time, all layers of each; default from the memory at hand. On a CPU
        results do not depend on it, but for ``chunk=1`` of convolutional nets, which rounds
        differently. On a GPU every chunk does: STIR of ImageNet weights under ``"fast"`` moves by
        2e-4 in the mean and 0.01 at most (ViT-Tiny, 224 px, 64 images, 25 steps).
    progress
        Show how far it is: True, False, or by default only on a terminal. A bar of
        `invlib.progress` that serves several inversions is moved on by `iterations`.

    Raises
    ------
    TypeError, ValueError
        Images of the wrong shape or outside [0, 1], a layer that does not exist, an unknown
        optimizer or start, a representation that is zero or not finite. A rule of your own that is
        not as `invlib.inversion.rules` describes.
    MemoryError
        Too little memory, with what to do about it.

    Examples
    --------
    >>> from invlib import load_model
    >>> model = load_model("vit_pico_patch8_32")
    >>> found = invert(model, torch.rand(2, 3, 32, 32), iterations=5, layers=[0, 3])
    >>> found.images.shape, found.loss.shape, found.best.shape
    (torch.Size([2, 2, 3, 32, 32]), torch.Size([2, 6]), torch.Size([2, 2]))
    >>> bool((found.loss[:, -1] < found.loss[:, 0]).all())
    True
    """
    check_images(model, images)
    images = images.to(torch.promote_types(images.dtype, torch.float32))
    whole_number("seed", seed)
    match against:
        case None | (StagedModel(), int() | float()):
            pass
        case _:
            raise TypeError(f"against={against!r} must be a model and a weight: (model, 0.3)")
    snapshots = None if snapshots is None else tuple(whole_numbers("snapshots", snapshots))
    check_recipe(
        iterations=iterations,
        optimizer=optimizer,
        step=step,
        init=init,
        snapshots=snapshots,
        tolerance=tolerance,
        weight=None if against is None else against[1],
        chunk=chunk,
    )
    rule = checked(optimizer) if callable(optimizer) else OPTIMIZERS[optimizer]
    asked = check_tokens(model, layers, tokens)
    layers = sorted(asked)
    check_gradient(model, layers)
    if against is not None:
        check_images(against[0], images)
        check_tokens(against[0], layers, tokens)
    n, device = len(images), model.device
    starts = start_images(images, init, seed).to(images.dtype)

    like = dict(device=device, dtype=images.dtype)
    looks = snapshots or (iterations,)
    found = torch.empty(len(looks), len(layers), *images.shape, **like)
    best = torch.empty(len(looks), len(layers), n, **like)
    history = torch.zeros(iterations + 1, len(layers), **like)
    with frozen(model), nullcontext() if against is None else frozen(against[0]):
        chunk = chunk or default_chunk(model, images, layers)
        parts = split_batches(torch.arange(n), chunk, least=min(2, n, chunk))
        options = dict(basis=model.patch_basis()) | ({} if step is None else dict(step=step))
        with progress_bar(progress, iterations, f"invert {model.name}") as bar:
            for part in parts:
                bar.share = len(part) / n
                x = images[part].to(device)
                start = starts[part].to(device)
                make = partial(rule, iterations=iterations, **options)
                with _memory_named(f"chunk={chunk} images at {len(layers)} layers"):
                    seen, losses = _invert_chunk(
                        model, x, start, layers, tokens, make, iterations, looks, tolerance,
                        against, bar,
                    )  # fmt: skip
                for i, (best_x, distance) in enumerate(seen):
                    found[i][:, part], best[i][:, part] = best_x, distance
                history += losses / n
    history = history.T
    if asked != layers:  # not a copy of all images for nothing
        order = [layers.index(k) for k in asked]
        found, history, best = found[:, order], history[order], best[:, order]
    if snapshots is None:
        found, best = found[0], best[0]
    return Inversion(found, history, best, tuple(asked), snapshots or ())


@contextmanager
def _memory_named(what: str) -> Iterator[None]:
    """Raise MemoryError that names `what` where PyTorch cannot have the memory it wants."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # on a CPU it is a plain RuntimeError
        if not re.search("out of memory|can't allocate|not enough memory|^$", str(error)):
            raise
        said = f"{what} do not fit into memory: pass a smaller chunk ({str(error):.200})"
        raise MemoryError(said) from error


@dataclass(frozen=True)
class _Goal:
    """What the rows of a batch, sorted by layer, are to look like there."""

    layers: list[int]
    targets: list[Tensor]  # (c, d) for each layer
    norms: list[Tensor]  # (c,) for each layer
    tokens: str

    def only(self, rows: Tensor) -> _Goal:
        """Return the goal of those `rows` (bool, one for each) alone."""
        of_layer = rows.split([len(target) for target in self.targets])
        kept = [i for i, here in enumerate(of_layer) if bool(here.any())]
        return _Goal(
            [self.layers[i] for i in kept],
            [self.targets[i][of_layer[i]] for i in kept],
            [self.norms[i][of_layer[i]] for i in kept],
            self.tokens,
        )


def _goal(model, images, layers, tokens) -> _Goal:
    """Return what `images` look like to `model` at `layers`."""
    with torch.no_grad():
        shown = model.features(enter(model, images), layers)
    targets = [represent(h, tokens) for h in shown]
    norms = [target.norm(dim=1) for target in targets]
    usable = torch.stack([(norm.isfinite() & (norm > 0)).all() for norm in norms])
    for k, fine in zip(layers, usable.tolist(), strict=True):
        if not fine:
            raise ValueError(
                f"layer {k} ({model.layer_names[k]}) of {model.name} has a representation that is "
                "zero or not finite for some image; it cannot be inverted"
            )
    return _Goal(layers, targets, norms, tokens)


def _invert_chunk(
    model, images, start, layers, tokens, make, iterations, looks, tolerance, against, bar
):
    """Return (best iterates, distances) after each number of steps in `looks`, and all losses."""
    c = len(images)
    goal = going = _goal(model, images, layers, tokens)
    foe, weight = against or (None, 0.0)
    foes = foes_going = foe and _goal(foe, images, layers, tokens)
    x = start.repeat(len(layers), 1, 1, 1)  # (L·c, 3, H, W), sorted by layer
    update = make(x)
    best_x, best = x.clone(), x.new_full((len(x),), torch.inf)
    away = None  # the rows that have not arrived, once some have
    seen, history = [], []
    for t in range(iterations + 1):
        at = x if away is None else x[away]
        if t < iterations:
            loss, grad = _gradient(model, at, going)
            grad = _driven(grad, foe and _gradient(foe, at, foes_going)[1], weight)
        else:
            with torch.no_grad():
                loss, grad = _distances(model, at, going), None
        if away is not None:  # the others keep their distance, wherever they go
            loss = best.masked_scatter(away, loss)
            if grad is not None:
                grad = torch.zeros_like(x).masked_scatter(away[:, None, None, None], grad)
        history.append(loss)
        better = loss < best
        torch.where(better, loss, best, out=best)
        torch.where(better[:, None, None, None], x, best_x, out=best_x)
        if t in looks:
            last = t == iterations
            seen.append((best_x, best) if last else (best_x.clone(), best.clone()))
        if tolerance is not None:
            now = best > tolerance
            if not bool(now.any()):
                break
            if not bool(now.all()) and (away is None or not torch.equal(now, away)):
                away, going, foes_going = now, goal.only(now), foes and foes.only(now)
        if t < iterations:
            with outside_autocast(x.device):  # a precision is the network's, not the rule's
                update(grad)  # x moves, and is projected to [0, 1], in place
            bar.step(t, best)
    bar.update((iterations - t) * bar.share)  # steps that were not needed
    seen += [(best_x, best)] * (len(looks) - len(seen))
    history += [best] * (iterations + 1 - len(history))
    shape = len(layers), c
    seen = [(x.view(*shape, *images.shape[1:]), distance.view(shape)) for x, distance in seen]
    return seen, torch.stack(history).view(iterations + 1, *shape).sum(2)


def _gradient(model, x, goal: _Goal) -> tuple[Tensor, Tensor]:
    """Return relative distances of all rows, and their gradients with respect to the pixels."""
    leaf, norm = x.detach().requires_grad_(), torch.cat(goal.norms)
    loss = _distances(model, leaf, goal)
    if model.dtype != torch.float16:
        return loss.detach(), torch.autograd.grad(loss.sum(), leaf)[0]
    # Those of a relative distance are too small for float16, those of the distance itself are not.
    (grad,) = torch.autograd.grad((loss * norm).sum(), leaf)
    return loss.detach(), grad / norm[:, None, None, None]


def _driven(grad: Tensor, other: Tensor | None, weight: float) -> Tensor:
    """Return gradients (R, 3, H, W) turned from where `other` gradients point, see `invert`."""
    if other is None:
        return grad
    length, others = (g.flatten(1).norm(dim=1)[:, None, None, None] for g in (grad, other))
    return grad - weight * length / (others + 1e-10) * other


def _distances(model, x, goal: _Goal) -> Tensor:
    """Return relative distances of all rows. The rows of layer k leave after stage k."""
    seen = model.walk(enter(model, x), goal.layers, rows=[len(target) for target in goal.targets])
    rows = zip(seen, goal.targets, goal.norms, strict=True)
    losses = [(represent(h, goal.tokens) - target).norm(dim=1) / norm for h, target, norm in rows]
    return torch.cat(losses).to(x.dtype)


def start_images(images: Tensor, init: str, seed: int) -> Tensor:
    """Return the images that an inversion starts from, (N, 3, H, W), the same for every layer.

    Drawn on the CPU from `seed`, so that every device starts at the same place.
    """
    choices("init", init, STARTS)
    if init in ("white", "black"):
        return torch.full(images.shape, float(init == "white"))
    rng = torch.Generator().manual_seed(seed)
    if init == "images":
        if len(images) < 2:
            raise ValueError("init='images' starts at another image: at least 2 are needed")
        order = torch.randperm(len(images), generator=rng)
        return images.cpu()[order.roll(1)[order.argsort()]]  # a cycle: nobody starts at itself
    # Clamped here, not inside the graph: a clamp has zero gradient at its bounds in recent PyTorch.
    n = 1 if init == "same-noise" else len(images)
    noise = torch.randn(n, *images.shape[1:], generator=rng)
    return noise.clamp(0, 1).expand(images.shape).contiguous()


def check_recipe(
    *,
    iterations: int,
    optimizer: str | Rule,
    step: float | None,
    init: str,
    snapshots: tuple[int, ...] | None = None,
    tolerance: float | None = None,
    weight: float | None = None,
    chunk: int | None,
) -> None:
    """Raise ValueError or TypeError for arguments that `invert` cannot use."""
    if callable(optimizer):
        check_call(optimizer, *(() if step is None else ("step",)))
    else:
        choices("optimizer", optimizer, OPTIMIZERS)
    choices("init", init, STARTS)
    for name, value in dict(iterations=iterations, chunk=1 if chunk is None else chunk).items():
        whole_number(name, value, 1)
    for name, value in dict(step=step, tolerance=tolerance).items():
        if value is not None and not (isinstance(value, Real) and 0 < value < float("inf")):
            raise ValueError(f"{name}={value!r} must be a positive number")
    if weight is not None and not (isinstance(weight, Real) and -1 < weight < 1):
        raise ValueError(f"against={weight!r}: its weight must lie between -1 and 1")
    if snapshots is not None and (
        not snapshots or list(snapshots) != sorted({s for s in snapshots if 1 <= s <= iterations})
    ):
        raise ValueError(
            f"snapshots={snapshots!r} must be increasing whole numbers from 1 to "
            f"iterations={iterations}"
        )


def check_gradient(model: StagedModel, layers: list[int]) -> None:
    """Raise ValueError if the pixels get no gradient from a layer of a module of the user's own."""
    if not isinstance(model, HookedModel):
        return
    x = torch.zeros(1, 3, model.img_size, model.img_size).requires_grad_()
    with frozen(model):
        for k, h in zip(layers, model.features(enter(model, x), layers), strict=True):
            if not h.requires_grad:
                raise ValueError(
                    f"layer {k} ({model.layer_names[k]}) of {model.name} gives the pixels no "
                    "gradient: it runs under torch.no_grad(), or detaches what it is given"
                )


def check_images(model: StagedModel, images: Tensor) -> None:
    """Raise unless `model` is one of ours, and images are floats in [0, 1] of its size."""
    check_model(model)
    size = (3, model.img_size, model.img_size)
    if not isinstance(images, Tensor) or images.ndim != 4 or tuple(images.shape[1:]) != size:
        shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"images are {shape}; {model.name} takes a tensor (N, {size})")
    if not images.is_floating_point():
        raise ValueError(f"images are {images.dtype}; expected floats in [0, 1] (uint8 / 255)")
    if not len(images):
        raise ValueError("images is an empty batch; at least one image is needed")
    low, high = images.aminmax()
    if not (low >= 0 and high <= 1):  # also catches NaN
        raise ValueError(
            f"images range over [{low:.3g}, {high:.3g}]; expected [0, 1] (normalisation is the "
            "model's own)"
        )
