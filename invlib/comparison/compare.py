"""Compare two models. Every quantity of paper A follows from the resulting Dataset.

Each (model, layer, seed) is inverted once, all layers in one batch. A whole (ref_layer, layer)
matrix then falls out of one forward pass per inverted set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from invlib.comparison.pairs import Layers, Pair
from invlib.comparison.representations import fitted, layer_norms
from invlib.data.images import ImageSet, stratified
from invlib.data.pools import Items, as_pool
from invlib.inversion.cache import cached_invert
from invlib.inversion.invert import (
    Inversion,
    check_gradient,
    check_images,
    check_recipe,
    start_images,
)
from invlib.inversion.rules import Rule, named
from invlib.metrics.cka import (
    cka_from_grams,
    cka_leave_one_out,
    cka_matrix_from_grams,
    minibatch_cka_from_grams,
)
from invlib.metrics.similarities import similarity_from_grams
from invlib.metrics.subspaces import subspace_from_directions
from invlib.models.base import split_batches
from invlib.models.staged import StagedModel, check_model
from invlib.names import ESTIMATORS, JACKKNIFES, choices, each, whole_number, whole_numbers
from invlib.progress import Progress, progress_bar
from invlib.results.provenance import provenance
from invlib.results.validation import numbered

__all__ = ["compare"]

Pool = ImageSet | Tensor | Items
Indices = Tensor | np.ndarray

_MATRIX = ("estimator", "seed", "ref_layer", "layer")
_MATRIX_OF_A_SEED = ("estimator", "ref_layer", "layer")
_PICTURE = ("example", "y", "x", "channel")
_WHOLE, _MINIBATCH = 2_000, 500  # the most images of which Grams are held at once, and then a batch
_PRECISIONS = (torch.float32, torch.float16, torch.bfloat16)


def compare(
    pretrained: StagedModel,
    finetuned: StagedModel,
    pool: ImageSet | Tensor | object,
    *,
    n: int = 500,
    seeds: Iterable[int] = (0, 1, 2),
    layers: Layers | None = None,
    tokens: str = "all",
    stir: bool = True,
    inverted: Iterable[str] = ("pt", "ft"),
    iterations: int = 50,
    optimizer: str | Rule = "ngd",
    step: float | None = None,
    init: str = "noise",
    snapshots: Iterable[int] | None = None,
    tolerance: float | None = None,
    against: float | None = None,
    similarities: Iterable[str] = (),
    subspace_k: int | None = None,
    minibatch: int | None = None,
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
        Two models, in float32 or half precision. They may be different networks, see below.
    pool
        Where images come from: an `ImageSet`, floats (N, 3, H, W) in [0, 1], or another array,
        a data set or a loader of PyTorch, as in `invlib.data.pools.as_pool`. Each model sees
        them at its own size. X′ has the size of the inverted model; where the other one wants
        another size, it sees both X and X′ resized from there (bicubic).
    n
        Images per seed (paper A: 500). The debiased estimator needs at least 4.
    seeds
        A seed draws the `n` images *and* the starting noise, as the paper resamples X.
    layers
        Numbers or names, by default all: of each model those that it has. Or a mapping with lists
        for ``"pt"`` and ``"ft"``.
    tokens
        What a representation is, for inversion and similarity: ``"all"`` positions, ``"cls"`` or
        ``"mean"``, as in `invert`.
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
    against
        A weight in (−1, 1), as in `invert`, with the *other* model as the second. So it shows how
        far STIR depends on which X′ is found. For equal networks.
    similarities
        Beside both estimators of CKA: ``"procrustes"``, ``"mutual_knn"``, ``"trimmed"``, see
        `invlib.metrics.similarities`. They join the dim ``estimator``, without a jackknife (NaN).
    subspace_k
        Principal directions that span a layer's subspace; at most n − 1, and the numbers
        of a representation. Default: 10, or these.
    minibatch
        For large sets and ``stir=False``: images in a batch, of which alone Grams are held. CKA is
        then `invlib.metrics.cka.minibatch_cka_from_grams` (Nguyen et al. 2021), debiased; there is
        no jackknife and no ``subspace_ft_pt``. Default: 500 for more than 2,000 images, else none.
    cache
        Inversions are kept on disk and reused: True for the project's cache, a folder, or False.
        Those by a rule of your own are not kept.
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
        `invlib.metrics.jackknife`. With `tolerance`, ``arrived_pt`` counts the images that arrived.
        Of different networks, `layer` and `ref_layer` have the numbers that either has, and cells
        of a layer that does not exist are NaN (pictures: black). The coordinates ``depth_pt``,
        ``depth_ft``, ``layer_name_pt`` and ``layer_name_ft`` say which is which. ref_layer = layer
        means there: the target's layer at the nearest relative depth. There is no
        ``subspace_ft_pt``.

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
    for name, model in dict(pretrained=pretrained, finetuned=finetuned).items():
        check_model(model, name)
        if model.dtype not in _PRECISIONS:
            raise TypeError(f"{name} is {model.dtype}; expected float32 or half: {name}.float()")
    models = {"pt": pretrained, "ft": finetuned}
    seeds, pair = whole_numbers("seeds", seeds), Pair(models, layers, tokens, similarities)
    if not seeds or len(set(seeds)) < len(seeds) or not all(0 <= s < 2**63 for s in seeds):
        raise ValueError(f"seeds={seeds!r} must be at least one, and distinct, from 0 to 2**63 - 1")
    if not (inverted := [choices("inverted", name, ("pt", "ft")) for name in each(inverted)]):
        raise ValueError("inverted is empty; allowed are 'pt' and 'ft', or stir=False")
    choices("jackknife", jackknife, JACKKNIFES)
    if whole_number("n", n) < 4 or n > len(pool):
        raise ValueError(
            f"n={n} images; a comparison needs at least 4 (the debiased estimator) and there are "
            f"{len(pool)} in the pool"
        )
    if "trimmed" in pair.estimators and n < 5:
        raise ValueError(f"n={n} images; similarities='trimmed' leaves a tenth out and needs 5")
    width = pair.width()  # without it, subspaces of different layers have nothing in common
    most = min(n - 1, width or n)
    subspace_k = whole_number("subspace_k", min(10, most) if subspace_k is None else subspace_k)
    if not 1 <= subspace_k <= most:
        has = f"{n} images" + (f" and representations of {width} numbers" if 0 < width < n else "")
        raise ValueError(f"subspace_k={subspace_k!r} must be from 1 to {most}, with {has}")
    if minibatch is None and not stir and n > _WHOLE:
        minibatch = _MINIBATCH
    if minibatch is not None and (stir or whole_number("minibatch", minibatch) < 4):
        raise ValueError(
            f"minibatch={minibatch!r} must be at least 4, and is for stir=False: STIR needs the "
            "Grams of all images"
        )
    if minibatch is not None:
        if pair.estimators != ESTIMATORS:
            raise ValueError(f"similarities={pair.estimators[2:]!r} need the Grams of all images, "
                             f"not those of minibatch={minibatch}")  # fmt: skip
        pair.estimators = ("debiased",)
    whole_number("examples", examples)
    recipe = dict(iterations=iterations, optimizer=optimizer, step=step, init=init)
    snapshots = None if snapshots is None else tuple(whole_numbers("snapshots", snapshots))
    looks = dict(snapshots=snapshots, tolerance=tolerance)
    recipe |= {name: value for name, value in looks.items() if value is not None}
    check_recipe(**recipe, weight=against, chunk=chunk)
    if against is not None and not pair.alike:
        raise ValueError(f"against={against!r} is for equal networks, layer by layer")
    for short in inverted if stir else ():
        check_gradient(models[short], pair.layers[short])
    recipe |= {} if tokens == "all" else dict(tokens=tokens)
    find = partial(cached_invert, cache=cache, chunk=chunk, **recipe)
    # the layers that are inverted in one go
    together = {k: [[j] for j in own] if snapshots else [own] for k, own in pair.layers.items()}
    steps = iterations * len(seeds) * sum(len(together[short]) for short in inverted if stir)
    per_seed = []
    with progress_bar(progress, steps or len(seeds) * n, "compare") as bar:
        for seed in seeds:
            order = _order(pool, n, seed)
            if minibatch is not None:
                per_seed.append(_by_minibatch(pair, pool, order, minibatch, bar))
                continue
            images = {short: _draw(pool, order, short, models) for short in models}
            parts, grams = _without_inversion(pair, images, width and subspace_k)
            shown = min(examples, n) if stir and seed == seeds[0] else 0
            if stir:
                start = {short: start_images(x, init, seed) for short, x in images.items()}
                parts += _controls(pair, start, grams)
            for short in inverted if stir else ():
                here = {  # X as every model sees it from the size of the inverted one
                    m: grams[m] if images[m].shape == x.shape else pair.grams(m, x)[0]
                    for m, x in dict.fromkeys(models, images[short]).items()
                }
                norms = layer_norms(models[short], images[short], pair.layers[short], tokens=tokens)
                by_layers = []
                for some in together[short]:
                    target = bar.n + iterations
                    what = f"{models[short].name} ({short}), layers {some[0]} to {some[-1]}"
                    bar.set_postfix_str("", refresh=False)
                    bar.set_description_str(f"seed {seed}, {what}")
                    other = finetuned if short == "pt" else pretrained
                    foe = {} if against is None else dict(against=(other, against))
                    inversion = find(
                        models[short], images[short], layers=some, seed=seed, progress=bar, **foe
                    )
                    bar.update(target - bar.n)  # an inversion from the cache takes no steps
                    bar.refresh()
                    part = _with_inversion(pair, short, inversion, here, jackknife)
                    reached = norms, here[short], shown, tolerance
                    by_layers.append([*part, *_inverted(pair, short, inversion, *reached)])
                parts += _joined(by_layers)
            ds = pair.dataset(parts)
            if shown:
                ds["example_images"] = (_PICTURE, _pixels(images["pt"][:shown]))
            per_seed.append(ds)
    out = _stack_seeds(per_seed, seeds, pair)
    parameters = recipe | dict(
        optimizer=named(optimizer),
        model=pretrained.name,
        img_size=pretrained.img_size,
        n=n,
        layers=pair.axis,
        subspace_k=subspace_k,
        pool=getattr(pool, "name", "tensor"),
        **{f"notes_{short}": model.notes for short, model in models.items() if model.notes},
    )
    extra = dict(minibatch=minibatch, against=against)
    parameters |= {name: value for name, value in extra.items() if value is not None}
    if not pair.alike or finetuned.img_size != pretrained.img_size:
        parameters |= dict(finetuned=finetuned.name, img_size_ft=finetuned.img_size)
    out.attrs = {"kind": "comparison"} | provenance(
        parameters=parameters,
        seeds=seeds,
        device=pretrained.device,
        wall_time=time.perf_counter() - started,
        command=f"invlib.compare(pretrained, finetuned, pool, n={n}, seeds={seeds})",
    )
    return out


def _order(pool: Pool, n: int, seed: int) -> Indices:
    """Return the indices of `n` images of the pool, in random order."""
    if isinstance(pool, Tensor):
        return torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))[:n]
    return stratified(pool.labels, n, seed, f"{pool.name}/{pool.split}")


def _draw(pool: Pool, chosen: Indices, short: str, models: Mapping[str, StagedModel]) -> Tensor:
    """Return the images `chosen` at the size of one of the models.

    Floats must have the size of a model. They are resized only for another one of another size.
    """
    model = models[short]
    whole = isinstance(pool, Tensor)
    images = pool[chosen] if whole else pool.subset(chosen).tensor(model.img_size)
    owner = [m for m in models.values() if m.img_size == images.shape[-1]]
    check_images(owner[0] if owner else model, images)
    return fitted(images, model).to(model.device)


def _by_minibatch(pair: Pair, pool: Pool, order: Indices, size: int, bar: Progress) -> xr.Dataset:
    """Return CKA of one seed from batches: nothing in memory grows with n but their indices."""

    def grams() -> Iterator[tuple[Tensor, Tensor]]:
        for part in split_batches(torch.as_tensor(order), size, least=4):
            chosen = part if isinstance(pool, Tensor) else part.numpy()
            drawn = {short: _draw(pool, chosen, short, pair.models) for short in pair.models}
            pt, ft = (pair.grams(short, x)[0] for short, x in drawn.items())
            bar.update(len(part))
            yield pt, torch.cat([ft, pt])

    both = minibatch_cka_from_grams(grams(), names=("pretrained", "both models"))[None]
    parts = zip(("ft", "pt"), both.tensor_split([len(pair.layers["ft"])], -1), strict=True)
    return pair.dataset(pair.array(f"cka_{s}_pt", _MATRIX_OF_A_SEED, part) for s, part in parts)


def _without_inversion(pair: Pair, images: dict[str, Tensor], k: int) -> tuple[list, dict]:
    """Return CKA and subspaces of one seed (without the dim), and the Grams of the images."""
    grams, directions = {}, {}
    for short, x in images.items():
        grams[short], directions[short] = pair.grams(short, x, k or None)

    out = []
    for target in ("ft", "pt"):
        name = f"cka_{target}_pt"
        values = _similar(pair, grams["pt"], grams[target], matrix=True)
        answering = grams[target][pair.answering(target, "pt")]
        out.append(pair.array(name, _MATRIX_OF_A_SEED, values))
        out += _left_out(pair, f"{name}_jackknife", grams["pt"], answering)
    if k:
        v, u = (torch.stack(directions[short]) for short in ("pt", "ft"))
        overlap = subspace_from_directions(v[:, None], u[None])  # (ref_layer, layer)
        out.append(pair.array("subspace_ft_pt", _MATRIX_OF_A_SEED[1:], overlap))
    return out, grams


def _controls(pair: Pair, starts: dict[str, Tensor], grams: dict) -> Iterator[xr.DataArray]:
    """Yield what "no inversion" scores: CKA of the images and of where inversions start."""
    for target, start in starts.items():
        if bool((start == start[:1]).all()):  # one for all images has no CKA
            control = np.full((len(pair.estimators), len(grams[target])), np.nan)
        else:
            control = _similar(pair, grams[target], pair.grams(target, start)[0])
        yield pair.array(f"stir_control_{target}", ("estimator", "layer"), control)


def _with_inversion(
    pair: Pair, reference: str, inversion: Inversion, grams: dict[str, Tensor], jackknife: str
) -> list[xr.DataArray]:
    """Return STIR on images inverted at some layers of one model."""
    own, some = pair.places(reference, inversion.layers), inversion.layers
    parts = []
    for images in inversion.images if inversion.snapshots else inversion.images[None]:
        out = []
        for target in pair.models:
            name = f"stir_{target}_{reference}"
            # (ref_layer, layer, n, n): what the target makes of images inverted at ref_layer
            seen = pair.grams(target, images)[0]
            values = _similar(pair, grams[target][None], seen)
            out.append(pair.array(name, _MATRIX_OF_A_SEED, values, some))
            same = np.array(pair.answering(target, reference))[own]
            pairs = seen[range(len(own)), same]  # (ref_layer, n, n): layer = ref_layer
            out += _left_out(pair, f"{name}_jackknife", grams[target][same], pairs, some)
            if jackknife == "matrix":
                out += _left_out(pair, f"{name}_left_out", grams[target], seen, some)
        parts.append(out)
    if not inversion.snapshots:
        return parts[0]
    looks = xr.Variable("snapshot", list(inversion.snapshots))
    return [xr.concat(each, looks) for each in zip(*parts, strict=True)]


def _inverted(pair: Pair, short: str, inversion: Inversion, norms, grams, shown, tolerance) -> list:
    """Return how far an inversion got, and some of its images, at the pretrained model's size.

    `norms` (layer, n) are the lengths of the images' representations at all layers of the model,
    and `grams` (layer, n, n) their centred Grams; `shown` images are kept as pictures.
    """
    best, own = inversion.best, pair.places(short, inversion.layers)
    # Of centred rows the mean square distance of two is 2 n / (n − 1) times their mean square.
    squares = grams[own].diagonal(dim1=-2, dim2=-1).sum(-1)
    apart = (2 * squares / (best.shape[-1] - 1)).sqrt()  # (ref_layer,)
    dims = ("snapshot", "ref_layer") if inversion.snapshots else ("ref_layer",)
    out = {
        "inversion_loss": (dims, best.mean(-1)),
        "inversion_loss_centred": (dims, (best.to(norms) * norms[own]).mean(-1) / apart),
        "inversion_history": (("ref_layer", "iteration"), inversion.loss),
    }
    if tolerance is not None:
        out["arrived"] = (dims, (best <= tolerance).sum(-1))
    if shown:
        last = inversion.images[-1] if inversion.snapshots else inversion.images
        pictures = fitted(last[:, :shown].flatten(0, 1), pair.models["pt"])
        pictures = _pixels(pictures.unflatten(0, (len(own), shown)))
        out["example_inverted"] = (("ref_layer", *_PICTURE), pictures)
    return [pair.array(f"{k}_{short}", *part, inversion.layers) for k, part in out.items()]


def _joined(parts: list[list[xr.DataArray]]) -> list[xr.DataArray]:
    """Return what was measured at some layers each, along all."""
    each = list(zip(*parts, strict=True))
    dims = ["ref_layer" if "ref_layer" in some[0].dims else "layer" for some in each]
    return [xr.concat(some, dim) for some, dim in zip(each, dims, strict=True)]


def _similar(pair: Pair, a: Tensor, b: Tensor, *, matrix: bool = False) -> np.ndarray:
    """Return every similarity of two stacks of Grams, (estimator, …); `matrix`: of all pairs."""
    both = _both(cka_matrix_from_grams if matrix else cka_from_grams, a, b)
    if matrix:
        a, b = a[:, None], b[None]
    names = pair.estimators[len(ESTIMATORS) :]
    others = [similarity_from_grams(name, a, b).cpu().numpy() for name in names]
    return np.stack([*both, *others])


def _both(function: Callable[..., Tensor], a: Tensor, b: Tensor) -> np.ndarray:
    """Return `function` of two stacks of Grams with both estimators, (estimator, …)."""
    values = [function(a, b, debiased=name == "debiased") for name in ESTIMATORS]
    return torch.stack(values).cpu().numpy()


def _left_out(pair: Pair, name: str, k: Tensor, l: Tensor, some=None) -> list[xr.DataArray]:  # noqa: E741
    """Return CKA without each image in turn; none if n < 5, too few for the debiased estimator.

    Of Grams (layer, n, n) and (layer, n, n), or (ref_layer, layer, n, n) for a whole matrix.
    """
    if k.shape[-1] < 5:
        return []
    # For a spread 7 digits are plenty; one by one, as n times as much as CKA is in hand.
    rows = l if (whole := l.ndim > k.ndim) else l[None]
    values = np.stack([_both(cka_leave_one_out, k, row).astype("float32") for row in rows], axis=1)
    dims = (*_MATRIX_OF_A_SEED, "left_out")
    if not whole:
        values, dims = values[:, 0], ("estimator", "layer", "left_out")
    return [pair.array(name, dims, values, some)]


def _pixels(x: Tensor) -> np.ndarray:
    """Return floats (…, 3, H, W) in [0, 1] as uint8 (…, H, W, 3)."""
    return (x * 255).round().byte().movedim(-3, -1).cpu().numpy()


def _stack_seeds(per_seed: list[xr.Dataset], seeds: list[int], pair: Pair) -> xr.Dataset:
    """Join the seeds, sort the layers, give every dim its coordinates."""
    pictures = [name for name in per_seed[0] if str(name).startswith("example")]
    each = [ds.drop_vars(pictures, errors="ignore") for ds in per_seed]
    out = xr.concat(each, xr.Variable("seed", seeds)).merge(per_seed[0][pictures])
    out = numbered(out).assign_coords(pair.coordinates()).sortby(["layer", "ref_layer"])
    tail = [dim for dim in out.dims if dim not in (*_MATRIX, *_PICTURE)]
    return out.transpose(*_MATRIX, *tail, *_PICTURE, missing_dims="ignore")
