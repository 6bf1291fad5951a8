"""Compute the section on recipes: race them, measure with some of them, make its tables."""

import numpy as np
import pandas as pd
import xarray as xr

from invlib import compare, forgetting, invert, learning, load_images, train
from invlib.data.images import ImageSet
from invlib.metrics.invariance import diagonal
from invlib.models.staged import StagedModel
from papers.engine.contenders import CONTENDERS
from papers.engine.how_inverted import HowInverted
from papers.merlin2023.work.base import pretrained_model
from papers.parameters import split
from papers.work import best_device, written

_LONG_NAMES = {
    "race_loss": "mean relative distance after so many gradients",
    "race_best": "mean relative distance of each image's best iterate",
    "race_images": "the first image, inverted",
    "self_term_pt": "STIR of pretrained[layer] with itself",
    "self_term_ft": "STIR of fine-tuned[layer] with itself",
    "learning": "learning",
    "forgetting": "forgetting",
    "learning_one": "learning, self term 1",
    "forgetting_one": "forgetting, self term 1",
}


@written("benchmark")
def dataset(section: HowInverted) -> xr.Dataset:
    """Race the recipes, measure with some of them, and write one Dataset of kind benchmark."""
    pretrained = pretrained_model(section).to(best_device())
    trained = train(
        section.finetuning_run(section.datasets[0], section.tasks[0]), root=section.training_root
    )
    pool = load_images(section.datasets[0], "test")
    finetuned = trained.model().to(pretrained.device)
    return _race(section, pretrained, pool).merge(_measure(section, pretrained, finetuned, pool))


def _race(section: HowInverted, model: StagedModel, pool: ImageSet) -> xr.Dataset:
    """Return the loss after every gradient evaluation (NaN after the last), and final pictures."""
    images = pool.sample(section.race_n, section.seeds[0]).tensor(model.img_size).to(model.device)
    layers = list(section.race_layers or model.layers)
    longest = max(split(recipe)[1] for recipe in section.race)
    loss = np.full((len(section.race), len(layers), longest + 1), np.nan)
    best = np.empty((len(section.race), len(layers)))
    pictures = []
    for i, recipe in enumerate(section.race):
        rule, evaluations, init = split(recipe)
        found = invert(
            model,
            images,
            layers=layers,
            iterations=evaluations,
            init=init,
            optimizer=CONTENDERS.get(rule, rule),
            seed=section.seeds[0],
        )
        loss[i, :, : evaluations + 1] = found.loss.cpu()
        best[i] = found.best.mean(1).cpu()
        shown = (found.images[:, :1] * 255).round().byte().movedim(2, -1)
        pictures.append(shown.cpu().numpy())
    at = ("recipe", "race_layer")
    race = {
        "race_loss": ((*at, "evaluation"), loss),
        "race_best": (at, best),
        "race_images": ((*at, "example", "y", "x", "channel"), np.stack(pictures)),
    }
    coords = dict(
        recipe=list(section.race),
        race_layer=layers,
        evaluation=range(longest + 1),
        example=range(1),
        y=range(model.img_size),
        x=range(model.img_size),
        channel=["red", "green", "blue"],
    )
    return _said(xr.Dataset(race, coords))


def _measure(
    section: HowInverted, pretrained: StagedModel, finetuned: StagedModel, pool: ImageSet
) -> xr.Dataset:
    """Return self terms, learning and forgetting with each recipe, by layer and seed."""
    parts = []
    for recipe in section.measured:
        rule, evaluations, init = split(recipe)
        ds = compare(
            pretrained,
            finetuned,
            pool,
            n=section.measured_n,
            seeds=section.measured_seeds,
            layers=section.measured_layers,
            iterations=evaluations,
            optimizer=rule,
            init=init,
            subspace_k=section.directions(section.measured_n),
            examples=0,
            cache=section.inversions,
        )
        measures = {
            "self_term_pt": diagonal(ds, "stir_pt_pt"),
            "self_term_ft": diagonal(ds, "stir_ft_ft"),
            "learning": learning(ds),
            "forgetting": forgetting(ds),
            "learning_one": learning(ds, self_term="one"),
            "forgetting_one": forgetting(ds, self_term="one"),
        }
        parts.append(_said(xr.Dataset(measures)))
    return xr.concat(parts, xr.Variable("measured_recipe", list(section.measured)))


def _said(ds: xr.Dataset) -> xr.Dataset:
    """Return `ds` with only long names and units as attributes of its variables."""
    ds = ds.drop_attrs()
    for name in ds:
        ds[name].attrs = dict(long_name=_LONG_NAMES[name], units="1")
    return ds


def evaluations_needed(ds: xr.Dataset) -> pd.DataFrame:
    """Return, by recipe and layer, the evaluations until the yardstick's final distance.

    The mean distance at an iterate counts, not the best of each image, so this is a bound from
    above. "–": not within the recipe's own budget.
    """
    target = ds["race_best"].isel(recipe=-1)
    reached = (ds["race_loss"] <= target).values  # NaN beyond the budget compares False
    first = np.where(reached.any(-1), reached.argmax(-1), -1)
    best_reached = (ds["race_best"] <= target).values
    cells = [
        [
            str(n) if n >= 0 else (f"≤ {split(recipe)[1]}" if ok else "–")
            for n, ok in zip(row, oks, strict=True)
        ]
        for recipe, row, oks in zip(ds["recipe"].values, first, best_reached, strict=True)
    ]
    layers = [f"layer {k}" for k in ds["race_layer"].values]
    return pd.DataFrame(cells, index=list(ds["recipe"].values), columns=layers)


def agreement(ds: xr.Dataset) -> pd.DataFrame:
    """Return the distance of each recipe's measures from the yardstick's, and that of seeds."""
    rows = {}
    for name in ("learning", "forgetting", "self_term_pt", "self_term_ft"):
        values = ds[name].sel(estimator="debiased")
        spread = (values.max("seed") - values.min("seed")).max("layer")
        mean = values.mean("seed")
        off = abs(mean - mean.isel(measured_recipe=-1)).max("layer")
        rows[f"{name}: off by"] = off.values.round(3)
        rows[f"{name}: seeds span"] = spread.values.round(3)
    return pd.DataFrame(rows, index=list(ds["measured_recipe"].values))
