"""Compute the section on known invariances: STIR beside the truth, forgetting beside movement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from invlib import cka_divergence, compare, forgetting, invert, learning, load_images, train
from invlib.comparison.representations import layer_grams
from invlib.data.embedded.shapes import CHANGES, draw_shapes
from invlib.data.images import resize
from invlib.inversion.invert import start_images
from invlib.metrics.invariance import diagonal
from invlib.metrics.similarities import similarity_from_grams
from invlib.models.base import frozen
from invlib.models.staged import StagedModel
from invlib.names import SIMILARITIES
from papers.engine.blind import (
    CONSTRUCTIONS,
    PAIRS,
    Blind,
    basis_of,
    conditional,
    draw_images,
    limit,
    resampled,
)
from papers.engine.contenders import CONTENDERS
from papers.engine.known_invariances import DATA_SETS, KnownInvariances
from papers.parameters import split
from papers.work import best_device, written

BUILT_LAYERS = ("linear", "bent")


def _drawn_seeds(section: KnownInvariances) -> Iterable[int]:
    return sorted({*section.known_seeds, *section.shapes_train_seeds, section.seeds[0]})


@written("known_truth", seeds=_drawn_seeds)
def dataset(section: KnownInvariances) -> xr.Dataset:
    """Measure networks that are built and networks that are trained; write one Dataset."""
    return _built(section).merge(_trained(section))


# ── Built in ─────────────────────────────────────────────────────────────────────────────────────


def _built(section: KnownInvariances) -> xr.Dataset:
    """Return STIR of networks that are built, measured and true."""
    grid = dict(
        construction=list(CONSTRUCTIONS),
        side=list(section.known_sizes),
        recipe=list(section.known_recipes),
        built_snapshot=list(section.known_snapshots),
        built_layer=list(BUILT_LAYERS),
        shared=list(PAIRS),
        n_images=list(section.known_n),
        seed=list(section.known_seeds),
        similarity=list(SIMILARITIES),
    )
    where = "construction side recipe"
    stir = "built_layer shared n_images seed similarity"
    dims = {
        "measured": f"{where} built_snapshot {stir}",
        "truth": f"{where} {stir}",
        "truth_conditional": f"{where} {stir}",
        "truth_limit": f"{where} shared",
        "distance": f"{where} built_snapshot built_layer seed",
        "drift": f"{where} built_snapshot built_layer seed",
        "outside": where,
        "n_seen": "construction side",
    }
    out = xr.Dataset(
        {
            name: xr.DataArray(
                np.full([len(grid[d]) for d in of.split()], np.nan, "float32"),
                {d: grid[d] for d in of.split()},
                of.split(),
            )
            for name, of in dims.items()
        }
    )
    for construction, side in product(grid["construction"], grid["side"]):
        rows, block = basis_of(construction, side)
        sees = {k: rows[torch.isin(block, torch.tensor(v))] for k, v in PAIRS.items()}
        out["n_seen"].loc[construction, side] = len(sees["all"])
        for recipe in grid["recipe"]:
            cell = dict(construction=construction, side=side, recipe=recipe)
            init = split(recipe)[2]
            for name, v in sees.items() if init in ("noise", "images") else ():
                out["truth_limit"].loc[cell | {"shared": name}] = limit(sees["all"], v, side, init)
            for seed in grid["seed"]:
                _one_draw(section, out, cell, sees, seed)
    return out


def _one_draw(
    section: KnownInvariances, out: xr.Dataset, cell: dict, sees: dict[str, Tensor], seed: int
) -> None:
    """Fill in `out` at `cell` for one draw of images and starts."""
    rule, iterations, init = split(cell["recipe"])
    device, seen, side = best_device(), sees["all"], cell["side"]
    images = draw_images(max(section.known_n), side, seed)
    start = start_images(images, init, seed)
    truths = {"truth": resampled(images, start, seen)}
    out["outside"].loc[cell] = float(((truths["truth"] < 0) | (truths["truth"] > 1)).float().mean())
    if init == "noise" and cell["construction"] in ("flips", "grey"):
        truths["truth_conditional"] = conditional(images, cell["construction"], seed)
    looks = [steps for steps in section.known_snapshots if steps <= iterations]
    found = invert(
        Blind(seen, side).to(device),
        images.to(device),
        iterations=iterations,
        optimizer=CONTENDERS.get(rule, rule),
        init=init,
        snapshots=looks,
        seed=seed,
    )
    here, reached = cell | {"seed": seed}, cell | {"seed": seed, "built_snapshot": looks}
    out["distance"].loc[reached] = found.best.mean(-1).cpu().numpy()
    out["drift"].loc[reached] = _drift(found.images.cpu(), start, seen)
    sets = torch.stack([images, *truths.values()]).to(device)
    for i, (shared, v) in enumerate(sees.items()):
        # rotations of its own, so that also "all" is another network
        target = Blind(v, side, seed=1 + i).to(device)
        own, *true = layer_grams(target, sets, [0, 1])[0]  # (layer, n, n) each
        for name, grams in zip(truths, true, strict=True):
            out[name].loc[here | {"shared": shared}] = _of_first(section.known_n, own, grams)
        inverted = layer_grams(target, found.images.flatten(0, 1), [0, 1])[0]
        inverted = inverted.unflatten(0, (len(looks), 2))[
            :, [0, 1], [0, 1]
        ]  # (snapshot, layer, n, n)
        values = _of_first(section.known_n, own, inverted)
        out["measured"].loc[reached | {"shared": shared}] = values


def _of_first(counts: Iterable[int], k: Tensor, l: Tensor) -> np.ndarray:  # noqa: E741
    """Return similarities of the first so many images: (…, n, n) -> (…, count, similarity)."""
    values = []
    for n in counts:
        some = k[..., :n, :n], l[..., :n, :n]
        values.append(torch.stack([similarity_from_grams(name, *some) for name in SIMILARITIES]))
    return torch.stack(values).movedim((0, 1), (-2, -1)).cpu().numpy()


def _drift(found: Tensor, start: Tensor, seen: Tensor) -> np.ndarray:
    """Return how far the unseen part has moved from the start, relative to its spread: (…)."""

    def length(x: Tensor) -> Tensor:  # (…, n, 3, H, W) -> (…)
        x = x.flatten(-3)
        return (x - x @ seen.T @ seen).flatten(-2).norm(dim=-1)

    return (length(found - start) / length(start - start.mean(0))).numpy()


# ── Trained in ───────────────────────────────────────────────────────────────────────────────────


def _trained(section: KnownInvariances) -> xr.Dataset:
    """Return learning and forgetting of trained networks, and how far pictures move in them."""
    device, by_seed = best_device(), []
    pool = load_images(DATA_SETS[0], "test")
    pictures = {
        change: draw_shapes(section.shapes_moved_n, "test", change=change)[0]
        for change in (None, *CHANGES)
    }
    for seed in section.shapes_train_seeds:
        by_first = []
        for first in section.first_datasets:
            before = train(section.first_run(first, seed), root=section.training_root)
            pt, by_second = before.model().to(device), []
            moved_before = moved(pt, pictures, section.shapes_layers)
            for second in DATA_SETS:
                run = section.second_run(first, second, seed)
                after = train(run, root=section.training_root)
                ft = after.model().to(device)
                ds = _compared(section, pt, ft, pool)
                ds["moved_after"] = moved(ft, pictures, section.shapes_layers)
                ds["test_accuracy"] = after.log["test_accuracy"].isel(epoch=-1, drop=True)
                by_second.append(ds.assign_coords(dataset=second))
            ds = xr.concat(by_second, "dataset")
            ds["moved_before"] = moved_before
            ds["pretraining_accuracy"] = before.log["test_accuracy"].isel(epoch=-1, drop=True)
            by_first.append(ds.assign_coords(pretraining=first))
        by_seed.append(xr.concat(by_first, "pretraining").assign_coords(train_seed=seed))
    return xr.concat(by_seed, "train_seed").drop_attrs()


def _compared(section: KnownInvariances, pt: StagedModel, ft: StagedModel, pool) -> xr.Dataset:
    ds = compare(
        pt,
        ft,
        pool,
        n=section.shapes_n,
        seeds=section.seeds[:1],
        layers=section.shapes_layers,
        iterations=section.shapes_snapshots[-1],
        snapshots=section.shapes_snapshots,
        optimizer=section.shapes_recipe,
        subspace_k=1,
        examples=0,
        cache=section.inversions,
    ).isel(seed=0, drop=True)
    kept = {
        "learning": learning(ds),
        "forgetting": forgetting(ds),
        "cka_divergence": cka_divergence(ds),
        "self_term_pt": diagonal(ds, "stir_pt_pt"),
        "self_term_ft": diagonal(ds, "stir_ft_ft"),
        "distance_pt": ds["inversion_loss_pt"].rename(ref_layer="layer"),
        "distance_ft": ds["inversion_loss_ft"].rename(ref_layer="layer"),
    }
    return xr.Dataset(kept)


@torch.no_grad()
def moved(
    model: StagedModel, pictures: Mapping[str | None, np.ndarray], layers: Iterable[int] | None
) -> xr.DataArray:
    r"""Return how far a change of a picture moves it in each layer, (change, layer).

    .. math:: \frac{\sum_i \lVert m(x_i^{\text{changed}}) - m(x_i)\rVert}
        {\sum_i \lVert m(x_{i+1}) - m(x_i)\rVert}

    for pictures :math:`x_i` in random order, uint8 (N, H, W, 3): 1 is the distance between two
    random ones. `pictures` has them under None, and their changed copies by the change.
    """
    layers = list(model.layers if layers is None else layers)

    def features(change: str | None) -> list[Tensor]:
        x = resize(torch.from_numpy(pictures[change]), model.img_size).to(model.device)
        parts = [model.features(part, layers) for part in x.split(100)]
        return [torch.cat(of_layer).flatten(1) for of_layer in zip(*parts, strict=True)]

    changes = [change for change in pictures if change is not None]
    with frozen(model):
        plain = features(None)
        far = torch.stack([(h.roll(1, 0) - h).norm(dim=1).sum() for h in plain])
        rows = []
        for change in changes:
            pairs = zip(features(change), plain, strict=True)
            rows.append(torch.stack([(h - own).norm(dim=1).sum() for h, own in pairs]) / far)
    values = torch.stack(rows).cpu().numpy()
    return xr.DataArray(values, {"change": changes, "layer": layers}, ("change", "layer"))
