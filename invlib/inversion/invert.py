r"""Invert layers of a model: search for images X′ that a layer cannot tell from given images X.

For every image and layer k, minimise the relative distance (Mahendran & Vedaldi 2015; Nanda et al.
2022)

.. math:: \ell(x') = \lVert m^{[k]}(x') - m^{[k]}(x)\rVert_2 \,/\, \lVert m^{[k]}(x)\rVert_2

over the flattened tokens of all positions, from noise, keeping pixels in [0, 1]. All layers ride in
one batch sorted by depth: each stage runs once on the rows that still need it, and the rows of
layer k leave after stage k. Nothing beyond a layer is ever computed for it. Before the first
step all layers are at the same images, and share one pass forward.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm.auto import tqdm

from invlib.inversion.chunks import default_chunk
from invlib.inversion.rules import OPTIMIZERS, Rule
from invlib.models.base import frozen, outside_autocast, split_batches
from invlib.models.staged import StagedModel, check_layers
from invlib.names import STARTS, choices

__all__ = ["Inversion", "check_images", "invert", "start_images"]


@dataclass(frozen=True)
class Inversion:
    """The result of `invert`.

    Attributes
    ----------
    images
        (layer, N, 3, H, W), the best iterate of every image at every layer.
    loss
        (layer, iteration), the mean over images of the relative distance before step 0, 1, …, and
        after the last: iterations + 1 values.
    best
        (layer, N), the relative distance of `images`.
    layers
        The layer numbers along the first axis.
    """

    images: Tensor
    loss: Tensor
    best: Tensor
    layers: tuple[int, ...]


def invert(
    model: StagedModel,
    images: Tensor,
    *,
    layers: Iterable[int] | None = None,
    iterations: int = 50,
    optimizer: str | Rule = "ngd",
    step: float | None = None,
    init: str = "noise",
    seed: int = 0,
    chunk: int | None = None,
    progress: bool | None = None,
) -> Inversion:
    """Search, for each image and layer, for another image with the same representation.

    Parameters
    ----------
    images
        (N, 3, H, W) floats in [0, 1].
    layers
        Which layers to invert; default all. What is found at one layer does not depend on which
        others were asked for.
    iterations
        Gradient steps. The best iterate is kept, the one after the last step included.
    optimizer
        A name of `invlib.inversion.rules.OPTIMIZERS`. ``"ngd"`` is the reference recipe: a step of
        fixed length along the normalised gradient. ``"adam"`` has a cosine schedule. ``"fast"``
        gets furthest in 50 steps. Or a rule of your own, as that module describes them.
    step
        Its step size; default the optimizer's own.
    init
        Where to start: ``"noise"`` (normal, clamped, one per image), ``"same-noise"`` (one for
        all), ``"white"``, ``"black"``, or ``"images"`` (another image of the batch).
    chunk
        Images worked on at a time, all layers of each; default from the memory at hand. On a CPU
        results do not depend on it, but for one case: PyTorch computes the convolutions of a
        *single* image in another order, and what that rounds differently grows with the iterations.
        A single image left over joins the chunk before it; of convolutional nets, ask for no
        ``chunk=1``. On a GPU another chunk rounds differently. STIR of untrained networks under
        ``"ngd"`` then moves by 1e-7, but of ImageNet weights under ``"fast"`` by 2e-4 in the mean
        and 0.01 at most (ViT-Tiny, 224 px, 64 images, 25 steps). The same chunk gives the same.
    progress
        Show a bar; default only on a terminal.

    Raises
    ------
    ValueError
        Images of the wrong shape or outside [0, 1], a layer that does not exist, an unknown
        optimizer or start, a representation that is zero or not finite.

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
    check_recipe(iterations=iterations, optimizer=optimizer, step=step, init=init, chunk=chunk)
    rule = optimizer if callable(optimizer) else OPTIMIZERS[optimizer]
    asked = check_layers(model, layers)
    layers = sorted(asked)
    n, device = len(images), model.device
    starts = start_images(images, init, seed).to(images.dtype)

    like = dict(device=device, dtype=images.dtype)
    found = torch.empty(len(layers), *images.shape, **like)
    best = torch.empty(len(layers), n, **like)
    history = torch.zeros(iterations + 1, len(layers), **like)
    with frozen(model):
        chunk = chunk or default_chunk(model, images, layers)
        parts = split_batches(torch.arange(n), chunk, least=min(2, n, chunk))
        options = dict(basis=model.patch_basis()) | ({} if step is None else dict(step=step))
        bar = tqdm(
            total=iterations * len(parts),
            desc=f"invert {model.name}",
            unit="it",
            leave=False,
            disable=None if progress is None else not progress,
        )
        with bar:
            for part in parts:
                x = images[part].to(device)
                start = starts[part].to(device)
                result = _invert_chunk(model, x, start, layers, iterations, rule, options, bar)
                found[:, part], best[:, part] = result[:2]
                history += result[2] / n
    history = history.T
    if asked != layers:  # not a copy of all images for nothing
        order = [layers.index(k) for k in asked]
        found, history, best = found[order], history[order], best[order]
    return Inversion(found, history, best, tuple(asked))


def _invert_chunk(model, images, start, layers, iterations, rule, options, bar):
    c = len(images)
    with torch.no_grad():
        targets = [h.flatten(1) for h in model.features(images, layers)]  # (c, d_k) each
    norms = torch.stack([t.norm(dim=1) for t in targets])  # (L, c)
    check_norms(norms, layers, model)
    x = start.repeat(len(layers), 1, 1, 1)  # (L·c, 3, H, W), sorted by layer
    update = rule(x, iterations, **options)
    best_x, best = x.clone(), x.new_full((len(x),), torch.inf)
    history = []
    for t in range(iterations + 1):
        if t == 0:
            loss, grad = _first_gradient(model, start, targets, norms, layers)
        elif t < iterations:
            loss, grad = _gradient(model, x, targets, norms, layers)
        else:
            with torch.no_grad():
                loss = _distances(model, x, targets, norms, layers)
        history.append(loss)
        better = loss < best
        torch.where(better, loss, best, out=best)
        torch.where(better[:, None, None, None], x, best_x, out=best_x)
        if t < iterations:
            with outside_autocast(x.device):  # a precision is the network's, not the rule's
                update(grad)  # x moves, and is projected to [0, 1], in place
            bar.update()
    history = torch.stack(history).view(iterations + 1, len(layers), c).sum(2)
    return best_x.view(len(layers), *images.shape), best.view(len(layers), c), history


def _first_gradient(model, start, targets, norms, layers) -> tuple[Tensor, Tensor]:
    """Return relative distances (L·c,) and gradients at the start, from one pass for all layers."""
    leaf = start.detach().requires_grad_()
    rows = zip(model.features(leaf, layers), targets, norms, strict=True)
    losses = [(h.flatten(1) - target).norm(dim=1) / norm for h, target, norm in rows]
    back = [torch.autograd.grad(loss.sum(), leaf, retain_graph=True)[0] for loss in losses]
    return torch.cat(losses).detach(), torch.cat(back)


def _gradient(model, x, targets, norms, layers) -> tuple[Tensor, Tensor]:
    """Return relative distances (L·c,) and their gradients, for all rows in one batch."""
    leaf = x.detach().requires_grad_()
    loss = _distances(model, leaf, targets, norms, layers)
    (grad,) = torch.autograd.grad(loss.sum(), leaf)
    return loss.detach(), grad


def _distances(model, x, targets, norms, layers) -> Tensor:
    """Return relative distances of all rows, (L·c,). The rows of layer k leave after stage k."""
    c, losses, h = len(targets[0]), [], x
    for k in range(layers[-1] + 1):
        h = model.stages[k](h)
        if k == layers[len(losses)]:
            here, h = (h, None) if k == layers[-1] else h.split([c, len(h) - c])
            i = len(losses)
            losses.append((here.flatten(1) - targets[i]).norm(dim=1) / norms[i])
    return torch.cat(losses)


def start_images(images: Tensor, init: str, seed: int) -> Tensor:
    """Return the images that an inversion starts from, (N, 3, H, W), the same for every layer.

    Drawn on the CPU from `seed`, so that every device starts at the same place.

    Examples
    --------
    >>> start_images(torch.zeros(2, 3, 4, 4), "white", seed=0).min()
    tensor(1.)
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
    noise = torch.randn(
        1 if init == "same-noise" else len(images), *images.shape[1:], generator=rng
    )
    return noise.clamp(0, 1).expand(images.shape).contiguous()


def check_recipe(
    *, iterations: int, optimizer: str | Rule, step: float | None, init: str, chunk: int | None
) -> None:
    """Raise ValueError for arguments that `invert` cannot use."""
    if not callable(optimizer):
        choices("optimizer", optimizer, OPTIMIZERS)
    choices("init", init, STARTS)
    for name, value in dict(iterations=iterations, chunk=1 if chunk is None else chunk).items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
    if step is not None and not 0 < step < float("inf"):
        raise ValueError(f"step={step!r} must be a positive number")


def check_images(model: StagedModel, images: Tensor) -> None:
    """Raise ValueError unless images are floats in [0, 1] of the model's size."""
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


def check_norms(norms: Tensor, layers: list[int], model: StagedModel) -> None:
    """Raise ValueError for representations of length 0, inf or NaN, which have no distance."""
    usable = (norms.isfinite() & (norms > 0)).all(1).tolist()
    for k, fine in zip(layers, usable, strict=True):
        if not fine:
            raise ValueError(
                f"layer {k} ({model.layer_names[k]}) of {model.name} has a representation that is "
                "zero or not finite for some image; it cannot be inverted"
            )
