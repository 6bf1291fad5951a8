r"""A comparison written as plainly as possible, to time ours against it and to check ours.

Two ways, both with the network as timm runs it (its patch embedding a convolution), one layer at a
time, by the literal recipe: ``x ← clamp(x − η g/(‖g‖ + 1e-10), 0, 1)``, best iterate kept.

- *Reference style*, pass for pass after the public code of STIR (`stir-invariance` 0.0 on the
  package index): for each pair of layers, both are inverted anew, and every step runs the whole
  network whatever the layer. Only its clamp is moved out of the graph, where a clamped pixel has no
  gradient in recent PyTorch.
- *Naive truncated*: each layer of each model is inverted once, and a step stops at the layer.

Their results are those of `invlib.compare` with the recipe ``"ngd"`` (tests/papers/engine).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations_with_replacement

import torch
from torch import Tensor

from invlib.metrics.cka import linear_cka
from invlib.models.base import frozen
from invlib.models.staged import StagedModel

__all__ = ["naive_matrices", "pairs_of", "reference_pair", "spread_pairs"]

STEP = 0.5  # η of the reference code
Place = tuple[str, int]  # a model, "pt" or "ft", and one of its layers


def through(model: StagedModel, x: Tensor, layer: int, *, whole: bool) -> Tensor:
    """Return the representation at `layer` as timm computes it; with `whole`, run all layers."""
    net = model.net
    h = net.patch_embed((x - net.input_mean) / net.input_std)  # timm's own convolution
    h = found = net.norm_pre(net.patch_drop(net._pos_embed(h)))
    for k, block in enumerate(net.blocks, 1):
        if k > layer and not whole:
            break
        h = block(h)
        if k == layer:
            found = h
    if whole:
        model.head(h)  # a forward hook picks up one layer; the rest is computed all the same
    return found


def plain_inversion(
    run: Callable[[Tensor], Tensor], target: Tensor, start: Tensor, iterations: int
) -> Tensor:
    """Return the best iterates (N, 3, H, W) of the literal recipe, for `run` to reach `target`."""
    target = target.detach().flatten(1)
    norm, x = target.norm(dim=1), start
    best_x, best = x, torch.full_like(norm, torch.inf)
    for t in range(iterations + 1):
        with torch.set_grad_enabled(t < iterations):
            leaf = x.clone().requires_grad_(t < iterations)
            loss = (run(leaf).flatten(1) - target).norm(dim=1) / norm
        better = loss.detach() < best
        best = torch.where(better, loss.detach(), best)
        best_x = torch.where(better[:, None, None, None], x, best_x)
        if t < iterations:
            (g,) = torch.autograd.grad(loss.sum(), leaf)
            length = g.flatten(1).norm(dim=1)[:, None, None, None]
            x = (x - STEP * g / (length + 1e-10)).clamp(0, 1)
    return best_x


def reference_pair(
    models: dict[str, StagedModel],
    a: Place,
    b: Place,
    images: Tensor,
    start: Tensor,
    iterations: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return STIR(b | a), STIR(a | b) and CKA(a, b) of two places, reusing nothing."""

    def at(place: Place) -> Callable[[Tensor], Tensor]:
        return lambda x: through(models[place[0]], x, place[1], whole=True)

    b_given_a, cka = _reference_stir(at(a), at(b), images, start, iterations)
    a_given_b, _ = _reference_stir(at(b), at(a), images, start, iterations)
    return b_given_a, a_given_b, cka


def _reference_stir(
    reference: Callable[[Tensor], Tensor],
    target: Callable[[Tensor], Tensor],
    images: Tensor,
    start: Tensor,
    iterations: int,
) -> tuple[Tensor, Tensor]:
    """Return STIR(target | reference) and CKA as the function ``_stir`` of the public code does.

    Besides the inversion that is seven passes through a whole network. All of them record a graph,
    for the weights have gradients and nothing says they are not wanted.
    """
    of_reference, of_target = reference(images), target(images)
    reference(start), target(start)  # for a message that is printed on demand
    found = plain_inversion(reference, of_reference, start, iterations)
    reference(found)  # the wrapped model's answer to what it was asked to find
    stir = linear_cka(target(images), target(found))
    return stir, linear_cka(of_reference, of_target)


def pairs_of(layers: Iterable[int]) -> list[tuple[Place, Place]]:
    """Return all unordered pairs of the places of two models, a place with itself included.

    Examples
    --------
    >>> len(pairs_of(range(13)))
    351
    """
    places = [(short, k) for short in ("pt", "ft") for k in layers]
    return list(combinations_with_replacement(places, 2))


def spread_pairs(layers: Iterable[int], count: int) -> list[tuple[Place, Place]]:
    """Return `count` pairs (pt at k, ft at L − k), spread over the depth.

    An inversion at layer k costs a + b·k, and the two depths of such a pair average L/2, as they do
    over all pairs. So the mean over any of these extrapolates without leaning to either end.

    Examples
    --------
    >>> spread_pairs(range(13), 3)
    [(('pt', 0), ('ft', 12)), (('pt', 3), ('ft', 9)), (('pt', 6), ('ft', 6))]
    """
    last = max(layers)
    chosen = torch.linspace(0, last / 2, count).round().int().tolist() if count > 1 else [last // 2]
    return [(("pt", k), ("ft", last - k)) for k in chosen]


def naive_matrices(
    models: dict[str, StagedModel], images: Tensor, start: Tensor, iterations: int
) -> dict[str, Tensor]:
    """Return all matrices (ref_layer, layer): each layer inverted once, CKA pair by pair."""
    layers = models["pt"].layers
    out = _empty(len(layers))
    with frozen(models["pt"]), frozen(models["ft"]):
        true = {short: list(_all(model, images)) for short, model in models.items()}
        for reference, model in models.items():
            for j in layers:

                def prefix(x: Tensor, model=model, j=j) -> Tensor:
                    return through(model, x, j, whole=False)

                with torch.no_grad():
                    wanted = prefix(images)
                found = plain_inversion(prefix, wanted, start, iterations)
                for target, judge in models.items():
                    for i, seen in enumerate(_all(judge, found)):
                        out[f"stir_{target}_{reference}"][j, i] = linear_cka(true[target][i], seen)
    for short in ("ft", "pt"):
        for j in layers:
            for i in layers:
                out[f"cka_{short}_pt"][j, i] = linear_cka(true["pt"][j], true[short][i])
    return out


@torch.no_grad()
def _all(model: StagedModel, x: Tensor) -> Iterator[Tensor]:
    """Yield the representations at all layers, from one pass."""
    h = through(model, x, 0, whole=False)
    yield h
    for block in model.net.blocks:
        h = block(h)
        yield h


def _empty(layers: int) -> dict[str, Tensor]:
    names = [f"stir_{a}_{b}" for a in ("ft", "pt") for b in ("ft", "pt")]
    like = dict(size=(layers, layers), fill_value=torch.nan, dtype=torch.float64)
    return {name: torch.full(**like) for name in [*names, "cka_ft_pt", "cka_pt_pt"]}
