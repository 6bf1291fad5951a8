"""Compare two models. Every quantity of paper A follows from the resulting Dataset.

Each (model, layer, seed) is inverted once, all layers in one batch. A whole (ref_layer, layer)
matrix then falls out of one forward pass per inverted set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from tqdm.auto import tqdm

from invlib.comparison.representations import layer_grams
from invlib.data.images import ImageSet
from invlib.data.pools import as_pool
from invlib.inversion.cache import cached_invert
from invlib.inversion.invert import Inversion, check_images, check_recipe, start_images
from invlib.inversion.rules import Rule, named
from invlib.metrics.cka import cka_from_grams, cka_leave_one_out, cka_matrix_from_grams
from invlib.metrics.subspaces import subspace_from_directions
from invlib.models.staged import StagedModel, check_layers
from invlib.names import ESTIMATORS, JACKKNIFES, choices, whole_numbers
from invlib.results.provenance import provenance

__all__ = ["compare"]

_MATRIX = ("estimator", "seed", "ref_layer", "layer")
_MATRIX_OF_A_SEED = ("estimator", "ref_layer", "layer")
_PICTURE = ("example", "y", "x", "channel")


def compare(
    pretrained: StagedModel,
    finetuned: StagedModel,
    pool: ImageSet | Tensor | object,
    *,
    n: int = 500,
    seeds: Iterable[int] = (0, 1, 2),
    layers: Iterable[int] | None = None,
    stir: bool = True,
    inverted: Iterable[str] = ("pt", "ft"),
    iterations: int = 50,
    optimizer: str | Rule = "ngd",
    step: float | None = None,
    init: str = "noise",
    snapshots: Iterable[int] | None = None,
    tolerance: float | None = None,
    subspace_k: int | None = None,
    cache: bool | str | Path = True,
    chunk: int | None = None,
    jackknife: str = "diagonal",
    examples: int = 8,
    progress: bool | None = None,
) -> xr.Dataset:
    """Measure what two models share, layer by layer: STIR in all four directions, CKA, subspaces.

    Parameters
    ----------
    pretrained, finetuned
        Two models with the same layers and image size.
    pool
        Where images come from: an `ImageSet`, floats (N, 3, H, W) in [0, 1], or another array,
        a data set or a loader of PyTorch, as in `invlib.data.pools.as_pool`.
    n
        Images per seed (paper A: 500). The debiased estimator needs at least 4.
    seeds
        A seed draws the `n` images *and* the starting noise, as the paper resamples X.
    layers
        Default all.
    stir
        False computes CKA and subspace similarity only, without inverting anything.
    inverted
        Which models are inverted. ``["pt"]`` alone gives forgetting and the flow matrix, not
        learning; then a whole trajectory of fine-tuned models costs one inversion.
    iterations, optimizer, step, init, chunk
        As in `invert`; the defaults are the paper's recipe.
    snapshots
        Numbers of gradient steps after which everything is measured, all in one run: a dim
        ``snapshot``. Layers are then inverted one after the other, so that few images are held.
    tolerance
        A relative distance at which an image is left alone, as in `invert`.
    subspace_k
        Principal directions that span a layer's subspace; at most n − 1. Default: 10, or n − 1.
    cache
        Inversions are kept on disk and reused: True for the project's cache, a folder, or False.
        Those by a rule of your own are not: no key says what its code does.
    jackknife
        What is kept with each image left out in turn: of every matrix the ``"diagonal"``, or in
        addition of STIR the whole ``"matrix"``, n times its size.
    examples
        Images and their inversions, of the first seed, that ride along as uint8.

    Returns
    -------
    xarray.Dataset
        Of kind ``comparison``, schema version 1. ``stir_ft_pt`` is STIR(ft[layer] | pt[ref_layer]):
        the CKA that fine-tuned layers assign to X and to X′, when X′ inverts the pretrained model.
        ``stir_control_…`` is NaN where all starts are one image, which has no CKA.
        From 5 images on ``stir_ft_pt_jackknife``, and so on, has the values for ref_layer = layer
        with each image left out in turn, ``stir_ft_pt_left_out`` for all: see
        `invlib.metrics.jackknife`.

    Raises
    ------
    TypeError, ValueError
        Models that cannot be compared, too few images, or as `invert` and the similarity kernels.

    Examples
    --------
    >>> from invlib import load_images, load_model
    >>> pt, ft = (load_model("vit_pico_patch8_32", seed=seed) for seed in (0, 1))
    >>> pool = load_images("digits", "test", n=16)
    >>> ds = compare(pt, ft, pool, n=6, seeds=[0], iterations=2, subspace_k=3, cache=False)
    >>> dict(ds.stir_ft_pt.sizes)
    {'estimator': 2, 'seed': 1, 'ref_layer': 4, 'layer': 4}
    """
    started = time.perf_counter()
    pool = as_pool(pool)
    _check_kinds(pretrained, finetuned)
    seeds, layers = whole_numbers("seeds", seeds), check_layers(pretrained, layers)
    if len(pretrained.stages) != len(finetuned.stages) or pretrained.img_size != finetuned.img_size:
        raise ValueError(
            f"pretrained is {pretrained!r}, finetuned {finetuned!r}; "
            "a comparison needs the same layers and image size"
        )
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds={seeds!r} must be at least one, and distinct")
    if not (inverted := [choices("inverted", name, ("pt", "ft")) for name in inverted]):
        raise ValueError("inverted is empty; allowed are 'pt' and 'ft', or stir=False")
    choices("jackknife", jackknife, JACKKNIFES)
    if n < 4 or n > len(pool):
        raise ValueError(
            f"n={n} images; a comparison needs at least 4 (the debiased estimator) and there are "
            f"{len(pool)} in the pool"
        )
    subspace_k = min(10, n - 1) if subspace_k is None else subspace_k
    if not 1 <= subspace_k < n:
        raise ValueError(f"subspace_k={subspace_k!r} must be from 1 to n - 1, with n={n} images")
    if examples < 0:
        raise ValueError(f"examples={examples!r} must be at least 0")
    recipe = dict(iterations=iterations, optimizer=optimizer, step=step, init=init)
    snapshots = None if snapshots is None else tuple(snapshots)
    looks = dict(snapshots=snapshots, tolerance=tolerance)
    recipe |= {name: value for name, value in looks.items() if value is not None}
    check_recipe(**recipe, chunk=chunk)
    find = partial(cached_invert, cache=cache, chunk=chunk, progress=progress, **recipe)
    together = [[layer] for layer in layers] if snapshots else [layers]
    models = {"pt": pretrained, "ft": finetuned}
    per_seed = []
    for seed in tqdm(
        seeds,
        desc="compare",
        unit="seed",
        leave=False,
        disable=None if progress is None else not progress,
    ):
        images = _draw(pool, n, seed, pretrained)
        ds, grams = _without_inversion(models, images, layers, subspace_k)
        if stir:
            start = start_images(images, init, seed)
            ds = ds.merge(_controls(models, start, grams, layers))
            shown = images[: min(examples, n)] if seed == seeds[0] else images[:0]
            for short in inverted:
                parts = []
                for some in together:
                    inversion = find(models[short], images, layers=some, seed=seed)
                    part = _with_inversion(models, short, inversion, grams, layers, jackknife)
                    parts.append(part | _inverted(short, inversion, len(shown)))
                ds = ds.merge(_joined(parts))
            if len(shown):
                ds = ds.merge(_examples(shown))
        per_seed.append(ds)
    out = _stack_seeds(per_seed, seeds, layers, pretrained)
    if "snapshot" in out.dims:
        out = out.assign_coords(snapshot=list(recipe["snapshots"]))
    parameters = recipe | dict(
        optimizer=named(optimizer),
        model=pretrained.name,
        img_size=pretrained.img_size,
        n=n,
        layers=layers,
        subspace_k=subspace_k,
        pool=getattr(pool, "name", "tensor"),
        **{f"notes_{short}": model.notes for short, model in models.items() if model.notes},
    )
    out.attrs = {"kind": "comparison"} | provenance(
        parameters=parameters,
        seeds=seeds,
        device=pretrained.device,
        wall_time=time.perf_counter() - started,
        command=f"invlib.compare(pretrained, finetuned, pool, n={n}, seeds={seeds})",
    )
    return out


def _check_kinds(pretrained: object, finetuned: object) -> None:
    """Raise TypeError unless these are two models with float32 numbers."""
    dtypes = {}
    for name, model in dict(pretrained=pretrained, finetuned=finetuned).items():
        if not isinstance(model, StagedModel):
            raise TypeError(
                f"{name} is of type {type(model).__name__}; a comparison takes models from "
                "load_model(...)"
            )
        dtypes[name] = next(model.net.parameters()).dtype
    for name, dtype in dtypes.items():
        if dtype != torch.float32:
            raise TypeError(f"{name} is {dtype}; a comparison takes float32: {name}.float()")


def _draw(pool: ImageSet | Tensor, n: int, seed: int, model: StagedModel) -> Tensor:
    if isinstance(pool, Tensor):
        images = pool[torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))[:n]]
    else:
        images = pool.sample(n, seed).tensor(model.img_size)
    check_images(model, images)
    return images.to(model.device)


def _without_inversion(
    models: dict[str, StagedModel], images: Tensor, layers: list[int], k: int
) -> tuple[xr.Dataset, dict[str, Tensor]]:
    """Return CKA and subspaces of one seed (without the dim), and the Grams of the images."""
    grams, directions = {}, {}
    for short, model in models.items():
        grams[short], directions[short] = layer_grams(model, images, layers, k=k)

    out = {}
    for target in ("ft", "pt"):
        pair = grams["pt"], grams[target]
        out[f"cka_{target}_pt"] = (_MATRIX_OF_A_SEED, _both(cka_matrix_from_grams, *pair))
        out |= _jackknife(f"cka_{target}_pt", *pair)
    if len({v.shape for v in directions["pt"] + directions["ft"]}) == 1:  # the same features
        v, u = (torch.stack(directions[short]) for short in ("pt", "ft"))
        overlap = subspace_from_directions(v[:, None], u[None])  # (ref_layer, layer)
        out["subspace_ft_pt"] = (_MATRIX_OF_A_SEED[1:], overlap.cpu().numpy())
    return xr.Dataset(out), grams


def _controls(
    models: dict[str, StagedModel], start: Tensor, grams: dict[str, Tensor], layers: list[int]
) -> xr.Dataset:
    """Return what "no inversion" scores: CKA of the images and of where inversions `start`."""
    out = {}
    one_start = bool((start == start[:1]).all())
    for target, model in models.items():
        if one_start:
            control = np.full((len(ESTIMATORS), len(layers)), np.nan)
        else:
            at_start = layer_grams(model, start, layers)[0]
            control = _both(cka_from_grams, grams[target], at_start)
        out[f"stir_control_{target}"] = (("estimator", "layer"), control)
    return xr.Dataset(out)


def _with_inversion(
    models: dict[str, StagedModel],
    reference: str,
    inversion: Inversion,
    grams: dict[str, Tensor],
    layers: list[int],
    jackknife: str,
) -> dict[str, tuple]:
    """Return STIR on images inverted at some layers of one model: dims and values by name.

    Of what is left out in turn at ref_layer = layer, the dim is ``ref_layer`` until all are there.
    """
    looks = inversion.images if inversion.snapshots else inversion.images[None]
    own = [layers.index(layer) for layer in inversion.layers]
    parts = []
    for images in looks:
        out = {}
        for target, model in models.items():
            name = f"stir_{target}_{reference}"
            # (ref_layer, layer, n, n): what the target makes of images inverted at ref_layer
            seen = layer_grams(model, images, layers)[0]
            values = _both(cka_from_grams, grams[target][None], seen)
            out[name] = (_MATRIX_OF_A_SEED, values)
            same = seen[range(len(own)), own]  # (ref_layer, n, n): layer = ref_layer
            out |= _jackknife(name, grams[target][own], same, "ref_layer")
            if jackknife == "matrix":
                out |= _left_out(name, grams[target], seen)
        parts.append(out)
    if not inversion.snapshots:
        return parts[0]
    return {
        name: (("snapshot", *dims), np.stack([part[name][1] for part in parts]))
        for name, (dims, _) in parts[0].items()
    }


def _inverted(short: str, inversion: Inversion, examples: int) -> dict[str, tuple]:
    """Return how far an inversion got, and some of its images: dims and values by name."""
    look = ("snapshot",) if inversion.snapshots else ()
    best = inversion.best.mean(-1).cpu().numpy()
    out = {
        f"inversion_loss_{short}": ((*look, "ref_layer"), best),
        f"inversion_history_{short}": (
            ("ref_layer", "iteration"),
            inversion.loss.cpu().numpy(),
        ),
    }
    if examples:
        last = inversion.images[-1] if inversion.snapshots else inversion.images
        out[f"example_inverted_{short}"] = (("ref_layer", *_PICTURE), _pixels(last[:, :examples]))
    return out


def _joined(parts: list[dict[str, tuple]]) -> xr.Dataset:
    """Return one Dataset of what was measured at some layers each."""
    out = {}
    for name, (dims, _) in parts[0].items():
        axis = dims.index("ref_layer")
        values = np.concatenate([part[name][1] for part in parts], axis)
        if name.endswith("_jackknife"):
            dims = tuple("layer" if dim == "ref_layer" else dim for dim in dims)
        out[name] = (dims, values)
    return xr.Dataset(out)


def _both(function: Callable[..., Tensor], a: Tensor, b: Tensor) -> np.ndarray:
    """Return `function` of two stacks of Grams with both estimators, (estimator, …)."""
    values = [function(a, b, debiased=name == "debiased") for name in ESTIMATORS]
    return torch.stack(values).cpu().numpy()


def _jackknife(name: str, k: Tensor, l: Tensor, dim: str = "layer") -> dict[str, tuple]:  # noqa: E741
    """Return the variable ``<name>_jackknife`` from Grams (`dim`, n, n); none if n < 5."""
    if k.shape[-1] < 5:  # one less is too few for the debiased estimator
        return {}
    values = _both(cka_leave_one_out, k, l).astype("float32")  # for a spread: 7 digits are plenty
    return {f"{name}_jackknife": (("estimator", dim, "left_out"), values)}


def _left_out(name: str, k: Tensor, l: Tensor) -> dict[str, tuple]:  # noqa: E741
    """Return variable ``<name>_left_out`` from Grams (layer, n, n), (ref_layer, layer, n, n)."""
    rows = [_jackknife(name, k, row) for row in l]  # one by one: n times as much as CKA is in hand
    if not all(rows):
        return {}
    values = np.stack([values for row in rows for _, values in row.values()], axis=1)
    return {f"{name}_left_out": (("estimator", "ref_layer", "layer", "left_out"), values)}


def _pixels(x: Tensor) -> np.ndarray:
    """Return floats (…, 3, H, W) in [0, 1] as uint8 (…, H, W, 3)."""
    return (x * 255).round().byte().movedim(-3, -1).cpu().numpy()


def _examples(images: Tensor) -> xr.Dataset:
    size = images.shape[-1]
    coords = dict(
        example=range(len(images)), y=range(size), x=range(size), channel=["red", "green", "blue"]
    )
    return xr.Dataset({"example_images": (_PICTURE, _pixels(images))}, coords)


def _stack_seeds(
    per_seed: list[xr.Dataset], seeds: list[int], layers: list[int], model: StagedModel
) -> xr.Dataset:
    """Join the seeds, sort the layers, give every dim its coordinates."""
    pictures = [name for name in per_seed[0] if str(name).startswith("example")]
    stacked = xr.concat([ds.drop_vars(pictures, errors="ignore") for ds in per_seed], "seed")
    out = stacked.merge(per_seed[0][pictures])
    out = out.assign_coords(
        estimator=list(ESTIMATORS),
        seed=seeds,
        layer=layers,
        ref_layer=layers,
        layer_name=("layer", [model.layer_names[k] for k in layers]),
        depth=("layer", model.depth[layers]),
    )
    counts = {dim: range(out.sizes[dim]) for dim in ("iteration", "left_out") if dim in out.dims}
    out = out.assign_coords(counts)
    out = out.sortby(["layer", "ref_layer"])
    tail = [d for d in out.dims if d not in (*_MATRIX, "example", "y", "x", "channel")]
    return out.transpose(*_MATRIX, *tail, "example", "y", "x", "channel", missing_dims="ignore")
