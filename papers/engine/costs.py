"""Measure what a comparison costs: against two baselines, against the least possible, by size.

Every function takes tensors and models and returns plain numbers; the work of the page makes the
Dataset.
Whatever is compared is timed in turns, so that a machine that slows down slows down all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from math import ceil
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from invlib.comparison.compare import _draw, _order, compare
from invlib.inversion.invert import invert, start_images
from invlib.metrics.cka import cka_matrix
from invlib.models.loading import load_model
from invlib.models.staged import StagedModel
from papers.engine.baselines import naive_matrices, pairs_of, reference_pair, spread_pairs
from papers.engine.operations import (
    clock,
    gemm_seconds,
    inversion_flop,
    noise,
    operation_shares,
    products,
)

Pair = dict[str, StagedModel]  # "pt" and "ft"
WAYS = ("reference style", "naive truncated", "ours")
SWEEPS = ("images", "iterations", "layers", "seeds")
# Steps to the loss that the reference recipe has after 500, at every layer: a 50-step schedule of
# `fast` gets there (the page how_inverted measures it).
EQUAL = {"reference style, one pair, 500 steps": 500, "ours, all pairs, 50 steps of fast": 50}
_QUIET = dict(cache=False, examples=0, progress=False)  # nothing kept, nothing shown


# ── Measurements: each returns {variable: (dims, values, long name, units)} ──────────────────────


def against_baselines(
    models: Pair, sizes: Sequence[tuple[int, int, int]], *, sampled_pairs: int, seed: int
) -> dict[str, tuple]:
    """Time all four STIR matrices and CKA, computed in three ways, in turns.

    `sizes` are triples of images, iterations and rounds.
    """
    device, layers = models["pt"].device, models["pt"].layers
    sampled, pairs = spread_pairs(layers, sampled_pairs), pairs_of(layers)
    times = np.full((len(WAYS), len(sizes), max(rounds for *_, rounds in sizes)), np.nan)
    deviation = np.full((2, len(sizes)), np.nan)
    for i, (n, steps, rounds) in enumerate(sizes):
        pool = noise(models["pt"], n)
        images = _draw(pool, _order(pool, n, seed), "pt", models)  # what `compare` will draw
        start = start_images(images, "noise", seed).to(device)
        options = dict(n=n, seeds=[seed], iterations=steps, subspace_k=min(10, n - 1), **_QUIET)
        for turn in range(rounds):
            found = {}
            if i == 0:
                spent = []
                for a, b in sampled:
                    run = partial(reference_pair, models, a, b, images, start, steps)
                    seconds, found[a, b] = clock(run, device)
                    spent.append(seconds)
                times[0, i, turn] = fmean(spent) * len(pairs)
            run = partial(naive_matrices, models, images, start, steps)
            times[1, i, turn], naive = clock(run, device)
            run = partial(compare, models["pt"], models["ft"], pool, **options)
            times[2, i, turn], ds = clock(run, device)
        ours = ds.sel(estimator="biased").isel(seed=0)
        deviation[1, i] = max(float(abs(ours[k] - v.numpy()).max()) for k, v in naive.items())
        for (a, b), values in found.items():
            ways = [(a[1], b[1]), (b[1], a[1]), (a[1], b[1])]
            theirs = zip(("stir_ft_pt", "stir_pt_ft", "cka_ft_pt"), ways, values, strict=True)
            off = [abs(float(ours[k].sel(ref_layer=p, layer=q)) - float(v))
                   for k, (p, q), v in theirs]  # fmt: skip
            deviation[0, i] = np.fmax(deviation[0, i], max(off))
    # A pair: two inversions, each forward through all blocks, back through half of them on average.
    # Otherwise: two models, each layer once, forward and back through just its own blocks.
    blocks = [3 * len(pairs) * max(layers), 4 * sum(layers)]
    by = ("way", "images", "round")
    return {
        "matrices_time": (by, times, "time of all matrices of two models", "s"),
        "reference_pair_time": (
            "round", times[0, 0] / len(pairs), "time of a layer pair, reference style", "s"
        ),
        "reference_pairs": ((), len(pairs), "layer pairs of two models, with themselves", "1"),
        "speedup": (
            ("baseline", *by[1:]), times[:2] / times[2], "time of the baseline over ours", "1"
        ),
        "deviation": (
            ("baseline", "images"), deviation, "largest difference of a value from ours", "1"
        ),
        "block_passes": (
            "way", [*blocks, blocks[1]], "passes through a block", "1"
        ),
    }  # fmt: skip


def at_equal_loss(models: Pair, n: int, steps: int, rounds: int, *, seed: int) -> dict[str, tuple]:
    """Time how long it takes to the loss of the reference recipe's 500 steps, of one pair and all.

    Both are extrapolated along a straight line from `steps` steps and twice as many.
    """
    device, pool = models["pt"].device, noise(models["pt"], n)
    images = _draw(pool, _order(pool, n, seed), "pt", models)
    start = start_images(images, "noise", seed).to(device)
    [(a, b)] = spread_pairs(models["pt"].layers, 1)
    options = dict(n=n, seeds=[seed], optimizer="fast", subspace_k=min(10, n - 1), **_QUIET)
    times = np.zeros((2, rounds, len(EQUAL)))
    for turn in range(rounds):
        for size in (1, 2):
            run = partial(reference_pair, models, a, b, images, start, size * steps)
            times[size - 1, turn, 0] = clock(run, device)[0]
            pair = models["pt"], models["ft"], pool
            run = partial(compare, *pair, iterations=size * steps, **options)
            times[size - 1, turn, 1] = clock(run, device)[0]
    once, twice = np.median(times, axis=1)
    seconds = once + (twice - once) * (np.array(list(EQUAL.values())) / steps - 1)
    return {"equal_loss_time": ("equal_loss", seconds, "time to the same inversion loss", "s")}


def to_distance(model: StagedModel, images: Tensor, distance: float, most: int) -> dict[str, tuple]:
    """Time the inversion of each layer until all images are at a relative distance.

    Each image leaves once it is there; after `most` steps the layer is given up. In turns with as
    many steps in which none leaves. Of these the first hundred are timed and stand for all, since
    each costs the same.
    """
    do = partial(invert, model, images, optimizer="anytime", progress=False)
    columns = []
    for layer in model.layers:
        run = partial(do, layers=[layer], iterations=most, tolerance=distance)
        seconds, found = clock(run, model.device)
        steps = 1 + max(np.flatnonzero(np.diff(found.loss[0].cpu().numpy())), default=0)
        timed = min(int(steps), 100)
        staying, _ = clock(partial(do, layers=[layer], iterations=timed), model.device)
        there = (found.best[0] <= distance).float().mean()
        columns.append(
            (seconds, staying * steps / timed, steps, float(there), float(found.best.mean()))
        )
    words = {
        "distance_time": ("time until all images are near", "s"),
        "distance_time_staying": ("time of as many steps, none leaves, from 100 at most", "s"),
        "distance_steps": ("steps until all images are near", "1"),
        "distance_arrived": ("share of images that came so near", "1"),
        "distance_left": ("relative distance left, mean over images", "1"),
    }
    return {
        name: ("layer", list(column), *said)
        for (name, said), column in zip(words.items(), zip(*columns, strict=True), strict=True)
    } | {"distance_asked": ((), distance, "relative distance asked for", "1")}


def cost_of_snapshots(model: StagedModel, images: Tensor, looks: int, rounds: int) -> dict:
    """Time an inversion with `looks` snapshots over one without, in turns; nothing else differs."""
    do = partial(invert, model, images, optimizer="anytime", iterations=2 * looks, progress=False)
    ways = do, partial(do, snapshots=range(2, 2 * looks + 1, 2))
    times = np.array([[clock(way, model.device)[0] for way in ways] for _ in range(rounds)])
    said = "time with a snapshot every second step over that without"
    return {"snapshot_cost": ("round", times[:, 1] / times[:, 0], said, "1")}


def against_floor(model: StagedModel, n: int, steps: int, rounds: int) -> dict[str, tuple]:
    """Compare an inversion's rate with that of its matrix products alone, timed in turns."""
    layers, images = model.layers, noise(model, n)
    work = {only: n * inversion_flop(model, layers, steps, gemm=only) for only in (False, True)}
    rows = np.arange(len(layers), 0, -1)  # copies of an image, by layer
    whole, alone, parts = [], [], []
    for _ in range(rounds):
        run = partial(invert, model, images, iterations=steps, chunk=n, progress=False)
        whole.append(clock(run, model.device)[0])
        parts.append(gemm_seconds(model, n))
        single = 2 * (parts[-1][0] / rows).sum()  # X's own pass, and the first one
        alone.append(steps * parts[-1].sum() + single)
    whole, alone = np.array(whole), np.array(alone)
    shapes, tokens = products(model)
    each = [4 * n * r * t * sum(a * b for a, b in s)
            for r, t, s in zip(rows, tokens, shapes, strict=True)]  # fmt: skip
    rate = np.array(each) / np.median(parts, 0).sum(0) / 1e9
    shares = operation_shares(model, images, min(steps, 3))
    return {
        "inversion_time": ("round", whole, "time of the inversion of one model", "s"),
        "inversion_rate": ("round", work[False] / whole / 1e9, "rate of the inversion", "GFLOP/s"),
        "gemm_rate": ("round", work[True] / alone / 1e9, "rate of its matrix products", "GFLOP/s"),
        "efficiency": (
            "round", work[False] / whole / (work[True] / alone),
            "rate of the inversion over that of its matrix products alone", "1",
        ),
        "gemm_share": (
            "round", alone / whole, "time of the matrix products alone over the inversion's", "1"
        ),
        "rows_per_image": ("layer", rows, "copies of an image", "1"),
        "gemm_rate_by_layer": ("layer", rate, "rate of the matrix products", "GFLOP/s"),
        "operation_share": ("operation", list(shares.values()), "share of the time", "1"),
    }  # fmt: skip


def scaling(models: Pair, top: int) -> dict[str, tuple]:
    """Time comparisons with half as many images, iterations, layers, seeds, and so on.

    The sweeps go from 4 images, 1 iteration, few layers, 1 seed up by `top` doublings.
    """
    every = list(models["pt"].layers)
    sizes, times, known = [], [], {}
    for what in SWEEPS:
        for less in range(top, -1, -1):
            size = dict(images=4 * 2**top, iterations=2**top, layers=len(every), seeds=1)
            if what == "seeds":
                size |= dict(images=4, seeds=2**top)  # four images are the fewest there can be
            size[what] = ceil(size[what] / 2**less)
            same = tuple(size.values())
            if same not in known:  # all sweeps but one end at the same comparison
                known[same] = clock(partial(_sized, models, every, **size), models["pt"].device)[0]
            times.append(known[same])
            sizes.append(size[what])
    shape, dims = (len(SWEEPS), top + 1), ("sweep", "share")
    times = np.reshape(times, shape)
    return {
        "sweep_size": (dims, np.reshape(sizes, shape), "how many", "1"),
        "sweep_time": (dims, times, "time of a comparison", "s"),
        "sweep_cost": (dims, times / times[:, -1:], "time over that of all", "1"),
    }


def _sized(models: Pair, every, *, images: int, iterations: int, layers: int, seeds: int) -> None:
    # evenly over the depth, so that their mean depth stays what it is
    chosen = np.linspace(0, every[-1], 2 * layers + 1)[1::2].round().astype(int).tolist()
    compare(
        models["pt"],
        models["ft"],
        noise(models["pt"], images),
        n=images,
        iterations=iterations,
        layers=chosen if layers < len(every) else every,
        seeds=range(seeds),
        subspace_k=3,
        **_QUIET,
    )


def cka_against_ckatorch(model: StagedModel, n: int, rounds: int) -> dict[str, tuple]:
    """Time a CKA matrix as one matrix product and, if installed, with `ckatorch` pair by pair."""
    if not find_spec("ckatorch"):
        return {}
    other = import_module("ckatorch").cka_base  # a test dependency, looked for and never needed
    layers, device = len(model.layers), model.device
    wide = model.prefix(noise(model, 1).to(device), 0).numel()
    rng = torch.Generator().manual_seed(0)
    xs = [torch.randn(n, wide, generator=rng).to(device) for _ in range(layers)]
    times = np.zeros((2, rounds))
    for turn in range(rounds):
        times[0, turn], theirs = clock(lambda: [[other(x, y) for y in xs] for x in xs], device)
        times[1, turn], ours = clock(lambda: cka_matrix(xs, xs), device)
    off = float((torch.tensor(theirs, dtype=torch.float64) - ours.cpu()).abs().max())
    return {
        "cka_time": (("cka_method", "round"), times, "time of a CKA matrix of all layers", "s"),
        "cka_features": ((), wide, "features of a layer", "1"),
        "cka_deviation": ((), off, "largest difference of a value from ours", "1"),
    }


PRECISIONS = ("float32", "TF32", "bfloat16")

_ROUNDS = 3  # the first pays for whatever happens only once


def paper_scale(n: int, device: torch.device) -> dict[str, tuple]:
    """Time the paper's comparison of two ViT-B/32 on a GPU; {} without a GPU."""
    if not n or device.type == "cpu":
        return {}
    pt, ft = (load_model("vit_base_patch32_224", seed=seed).to(device) for seed in (0, 1))
    return at_precisions(pt, ft, noise(pt, n), iterations=50)


def at_precisions(
    pt: StagedModel, ft: StagedModel, pool: Tensor, *, iterations: int
) -> dict[str, tuple]:
    """Time a comparison of all images of `pool` at each precision, in turns, on the models' device.

    Also how far debiased STIR then lies from that of float32, over all four matrices.
    """
    n = len(pool)
    work = 2 * n * inversion_flop(pt, pt.layers, iterations)
    options = dict(n=n, seeds=[0], iterations=iterations, subspace_k=min(10, n - 1))
    run = partial(compare, pt, ft, pool, cache=False, examples=0, progress=False, **options)
    times, found = np.zeros((len(PRECISIONS), _ROUNDS)), {}
    for turn in range(_ROUNDS):
        for i, precision in enumerate(PRECISIONS):
            with computing_in(precision, pt.device):
                times[i, turn], ds = clock(run, pt.device)
            matrices = [ds[f"stir_{a}_{b}"] for a in ("ft", "pt") for b in ("ft", "pt")]
            found[precision] = np.stack([m.sel(estimator="debiased") for m in matrices])
    off = [abs(found[precision] - found["float32"]) for precision in PRECISIONS]
    each = ("precision", "gpu_round")
    said = "difference of debiased STIR from that of float32"
    return {
        "gpu_time": (each, times, "time of the paper's comparison, one seed", "s"),
        "gpu_rate": (each, work / times / 1e12, "rate of the paper's comparison", "TFLOP/s"),
        "gpu_deviation": ("precision", [d.mean() for d in off], f"mean {said}", "1"),
        "gpu_deviation_max": ("precision", [d.max() for d in off], f"largest {said}", "1"),
    }


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Compute matrix products in `precision`: PyTorch's switch for TF32, autocast for bfloat16.

    Convolutions follow them, see `frozen`.

    Examples
    --------
    >>> with computing_in("bfloat16", torch.device("cpu")):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "TF32" else "highest")
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
