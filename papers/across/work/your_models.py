"""Compare two models of one's own, and say in five sentences what the comparison shows."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from invlib import (
    cka_divergence,
    compare,
    forgetting,
    invariance_flow,
    learning,
    load_images,
    load_model,
    train,
)
from invlib.commands import named_model
from invlib.data.images import ImageSet
from invlib.metrics.invariance import compression, diagonal
from invlib.metrics.jackknife import interval, left_one_out
from invlib.models.staged import StagedModel
from invlib.models.tokens import check_tokens
from papers.across.your_models import YourModels
from papers.merlin2023.work.base import as_untrained, pretrained_model
from papers.words import counted
from papers.work import best_device, html_of, written

if TYPE_CHECKING:
    from IPython.display import HTML

# Below it, inversion is too far from its target for a difference of scores to mean much.
SELF_TERM = 0.9
UNTRAINED = 2  # a seed that neither model has, if both are random
AS_MUCH = 0.05  # of STIR


@written("comparison", keep=("compared",))
def dataset(section: YourModels) -> xr.Dataset:
    """Compare both models on the images, every matrix also without each image.

    A network like the pretrained one, but with random weights, is given the same X′: a baseline.
    """
    pool, pt, ft = check(section)
    n = min(section.n, len(pool))
    usual = dict(
        n=n,
        seeds=section.seeds,
        tokens=section.tokens,
        iterations=section.iterations,
        optimizer=section.recipe,
        step=section.step,
        subspace_k=section.directions(n) if section.tokens == "all" else None,
        progress=True if section.images else None,
    )
    untrained = load_model(pt.name, img_size=pt.img_size, seed=UNTRAINED).to(pt.device)
    with TemporaryDirectory() as folder:  # without a cache, too, nothing is inverted twice
        usual["cache"] = section.inversions or folder
        # few examples, because these pictures are most of the file: noise does not compress
        ds = compare(pt, ft, pool, jackknife="matrix", examples=4, **usual)
        other = compare(pt, untrained, pool, inverted=["pt"], examples=0, **usual)
    ds = ds.assign(as_untrained(other).reset_coords(drop=True))
    weights = [
        Path(text.rpartition("=")[2]).name
        for text in (section.pretrained, section.finetuned)
        if text
    ]
    names = dict(zip(("pretrained", "fine-tuned"), weights or list(section.runs()), strict=True))
    described = {
        name: f"{model.name} ({names[name]}), {model.img_size} px, layers 0–{len(model.layers) - 1}"
        for name, model in zip(names, (pt, ft), strict=True)
    }
    seen = "all, so some may have been trained on" if pool.split == "all" else pool.split
    described["images"] = f"{n} of the {len(pool)} of {pool.name} ({seen})"
    return ds.assign_attrs(compared=json.dumps(described))


def check(section: YourModels) -> tuple[ImageSet, StagedModel, StagedModel]:
    """Return the images and both models; ValueError if there are too few images."""
    pool = load_images(section.images or section.datasets[0], section.split)
    if len(pool) < 5:
        raise ValueError(
            f"images={section.images!r}: {counted(len(pool), 'image')}; intervals need at least 5"
        )
    models = [model.to(best_device()) for model in _models(section)]
    for model in models:
        check_tokens(model, None, section.tokens)
    return pool, *models


def _models(section: YourModels) -> tuple[StagedModel, StagedModel]:
    runs = section.runs()
    if runs:
        run = list(runs.values())[-1]
        return pretrained_model(section), train(run, root=section.training_root).model()
    size = section.img_size
    usual = section.model if "model" in section.model_fields_set else None
    pt, ft = (
        named_model(text, usual=usual, img_size=size, seed=seed)
        for seed, text in enumerate((section.pretrained, section.finetuned))
    )
    return pt, ft


def compared(section: YourModels, ds: xr.Dataset) -> HTML:
    """Return a table of what was compared, and how."""
    own = json.loads(ds.attrs["compared"])
    how = {
        "draws": "1" if (draws := ds.sizes["seed"]) == 1 else f"{draws}, each of other images and "
        "other noise",
        "inversion": f"{counted(section.iterations, 'step')} of {section.recipe}",
        "representation": {
            "all": "all positions", "cls": "the class token", "mean": "the mean over positions"
        }[section.tokens],
        "similarity": "debiased linear CKA; self terms as measured",
    }  # fmt: skip
    rows = "".join(
        f"<tr><th>{k}</th><td>{html.escape(v)}</td></tr>" for k, v in (own | how).items()
    )
    return html_of(f"<table>{rows}</table>")


class Curve(NamedTuple):
    """A quantity by layer: its mean over draws, and a 95 % interval from leaving out images."""

    mean: xr.DataArray
    low: xr.DataArray
    high: xr.DataArray

    def at(self, layer: int) -> str:
        """Return the value at a layer in words."""
        mean, low, high = (float(values.sel(layer=layer)) for values in self)
        name = str(self.mean["layer_name"].sel(layer=layer).values)
        return f"layer {layer} ({name}): {mean:z.2f} (95 % interval {low:z.2f} to {high:z.2f})"


def curves(ds: xr.Dataset) -> dict[str, Curve]:
    """Return forgetting, learning and CKA divergence by layer, debiased."""
    needed = {
        "forgetting": (forgetting, ["stir_pt_pt", "stir_ft_pt"]),
        "learning": (learning, ["stir_ft_ft", "stir_pt_ft"]),
        "CKA divergence": (cka_divergence, ["cka_pt_pt", "cka_ft_pt"]),
    }
    ds = ds.sel(estimator="debiased")
    return {name: _curve(ds, *measure) for name, measure in needed.items()}


def _curve(ds: xr.Dataset, measure: Callable, names: list[str], *, whole: bool = False) -> Curve:
    values, without = measure(ds), measure(left_one_out(ds, names, whole=whole))
    low, high = interval(values, without)
    parts = (values.mean("seed"), low, high)
    return Curve(*(p.dropna("layer") if "layer" in p.dims else p for p in parts))


def flows(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the flow matrix, and that of the pretrained model with itself as a baseline."""
    ds = ds.sel(estimator="debiased")
    both = {
        "pretrained → fine-tuned": invariance_flow(ds),
        "baseline: pretrained alone": invariance_flow(ds, target="pt"),
    }
    drop = {title: flow.dropna("layer", how="all") for title, flow in both.items()}
    return {title: flow.dropna("ref_layer", how="all") for title, flow in drop.items()}


def checks(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return what says how far to trust the inversions, by layer of the inverted model."""
    ds, out = ds.sel(estimator="debiased"), {}
    for short, long in (("pt", "pretrained"), ("ft", "fine-tuned")):
        out |= {
            f"self term, {long}": diagonal(ds, f"stir_{short}_{short}"),
            f"control, {long}": ds[f"stir_control_{short}"],
            f"distance left, {long}": ds[f"inversion_loss_{short}"].rename(ref_layer="layer"),
        }
    seen = {"fine-tuned": diagonal(ds, "stir_ft_pt"), "random weights": ds["stir_untrained_pt"]}
    seen = {who: values.reset_coords(drop=True) for who, values in seen.items()}
    out["STIR on X′, pretrained"] = xr.concat(seen.values(), xr.Variable("who", list(seen)))
    return {name: values.dropna("layer", how="all") for name, values in out.items()}


def findings(ds: xr.Dataset) -> list[str]:
    """Return five sentences, each computed from the comparison."""
    of = curves(ds)
    lost = {
        "forgetting": "what the fine-tuned model lacks of a pretrained layer's invariances",
        "learning": "what the pretrained model lacks of a fine-tuned layer's invariances",
    }
    said = [_largest(name.capitalize(), of[name], meaning) for name, meaning in lost.items()]
    said[0] += _beside_untrained(ds)
    return [*said, _moved(of), _direction(ds), _trust(ds)]


def _beside_untrained(ds: xr.Dataset) -> str:
    """Say where what is shared with the pretrained model is no more than any network shares."""
    one = ds.sel(estimator="debiased").mean("seed")
    more = (diagonal(one, "stir_ft_pt") - one["stir_untrained_pt"]).dropna("layer")
    no_more = more["layer"][(more <= AS_MUCH).values].values.tolist()
    said = " A network with random weights shares"
    if not no_more:
        return f"{said} fewer of them at every layer, by over {AS_MUCH}."
    where = "every layer" if len(no_more) == more.size else f"layers {_ranges(no_more)}"
    return f"{said} at least as many of them, to {AS_MUCH}, at {where}."


def _largest(name: str, curve: Curve, meaning: str) -> str:
    top, least = (int(curve.mean["layer"][k(curve.mean.values)]) for k in (np.argmax, np.argmin))
    sure = [int(layer) for layer in curve.mean["layer"] if float(curve.low.sel(layer=layer)) > 0]
    if not sure:
        return (
            f"{name} is largest at {curve.at(top)}; no layer's interval lies above 0, so this "
            "comparison does not show any."
        )
    where = "all layers" if len(sure) == curve.mean.size else f"layers {_ranges(sure)}"
    return (
        f"{name}, {meaning}, is largest at {curve.at(top)} and smallest at "
        f"{curve.at(least)}; it is above 0 beyond the draw of images at {where}."
    )


def _moved(of: dict[str, Curve]) -> str:
    cka, lost = of["CKA divergence"], of["forgetting"].mean
    top = int(cka.mean["layer"][np.argmax(cka.mean.values)])
    said = f"The representations themselves differ most, by CKA divergence, at {cka.at(top)}"
    both = xr.align(cka.mean, lost)
    if both[0].size < 3 or not min(float(b.std()) for b in both):
        return f"{said}."
    return (
        f"{said}; over layers it goes with forgetting with a correlation of {xr.corr(*both):.2f}."
    )


def _direction(ds: xr.Dataset) -> str:
    """Compare the flow below the diagonal with that of the pretrained model with itself."""
    ds, names = ds.sel(estimator="debiased"), ["stir_ft_pt", "stir_pt_pt"]

    def excess(one: xr.Dataset) -> xr.DataArray:
        return compression(invariance_flow(one)) - compression(invariance_flow(one, target="pt"))

    mean, low, high = map(float, _curve(ds, excess, names, whole=True))
    said = (
        f"The mean flow of invariances to earlier layers differs by {mean:+z.3f} (95 % interval "
        f"{low:+z.3f} to {high:+z.3f}) from that of the pretrained model with itself"
    )
    if low <= 0 <= high:
        return f"{said}: whether they moved to earlier or later layers is undecided."
    return f"{said}: the fine-tuned model has them in {'earlier' if low > 0 else 'later'} layers."


def _trust(ds: xr.Dataset) -> str:
    checked = {name: values.mean("seed") for name, values in checks(ds).items()}

    def all_of(word: str) -> np.ndarray:
        return np.concatenate([v.values for name, v in checked.items() if name.startswith(word)])

    left, own = all_of("distance"), all_of("self term")
    weak = []
    for long in ("pretrained", "fine-tuned"):
        values = checked[f"self term, {long}"]
        if low := values["layer"][(values < SELF_TERM).values].values.tolist():
            weak.append(f"layers {_ranges(low)} of the {long} model")
    read = f"below {SELF_TERM} at {' and '.join(weak)}, which are to be read with care"
    return (
        f"Inversion left a relative distance of {left.min():.2f} to {left.max():.2f}, and the self "
        f"terms, 1 if it were perfect, are {own.min():.2f} to {own.max():.2f}: "
        + (read if weak else f"all are at least {SELF_TERM}")
        + "."
    )


def _ranges(layers: list[int]) -> str:
    """Return numbers in words.

    Examples
    --------
    >>> _ranges([0, 1, 2, 5])
    '0–2, 5'
    """
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
