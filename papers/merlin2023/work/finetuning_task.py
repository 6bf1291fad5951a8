"""Compute section 4.1 of paper A: fine-tune to two kinds of task, invert, compare."""

from collections.abc import Iterator

import xarray as xr

from invlib import cka_divergence, forgetting, learning, train
from invlib.comparison.stacking import stack
from invlib.metrics.invariance import diagonal
from invlib.models.staged import StagedModel
from papers.claims.settings import settings
from papers.claims.shapes import level, pearson
from papers.claims.statistics import level_in_words
from papers.merlin2023.finetuning_task import FinetuningTask
from papers.merlin2023.work.base import (
    compare_finetuned,
    compare_untrained,
    of_untrained,
    pretrained_model,
)
from papers.work import written


@written("comparison")
def dataset(section: FinetuningTask) -> xr.Dataset:
    """Train, invert and compare. The first dims are dataset, task and, if several, train_seed.

    What an untrained network makes of the X′ of the pretrained model does not depend on a training.
    """
    pretrained = pretrained_model(section)
    ds = compare_all(section, pretrained)
    untrained = {name: compare_untrained(section, pretrained, name) for name in section.datasets}
    return ds.assign(stack(untrained, "dataset").data_vars)


def compare_all(section: FinetuningTask, pretrained: StagedModel, **other: object) -> xr.Dataset:
    """Compare the pretrained model with each fine-tuned one, as `dataset` does.

    `other` replaces arguments of `invlib.compare`.
    """
    by_dataset = {}
    several = len(section.finetuning_seeds) > 1
    for dataset in section.datasets:
        by_task = {}
        for task in section.tasks:
            by_seed = {}
            for seed in section.seeds_of(dataset):
                run = section.finetuning_run(dataset, task, seed=seed)
                trained = train(run, root=section.training_root)
                by_seed[seed] = compare_finetuned(section, pretrained, trained, **other)
            by_task[task] = _stacked(by_seed) if several else by_seed[seed]
        by_dataset[dataset] = stack(by_task, "task", shared=True)
    if several:  # what was not run is NaN
        seeds = sorted({seed for name in section.datasets for seed in section.seeds_of(name)})
        by_dataset = {name: ds.reindex(train_seed=seeds) for name, ds in by_dataset.items()}
    return stack(by_dataset, "dataset")


def _stacked(by_seed: dict[int, xr.Dataset]) -> xr.Dataset:
    """Join comparisons of several trainings. Pictures are kept of the first alone."""
    first, picture = next(iter(by_seed.values())), "example_inverted_ft"
    pictures = {picture: first[picture]} if picture in first else {}
    parts = {seed: ds.drop_vars(picture, errors="ignore") for seed, ds in by_seed.items()}
    return stack(parts, "train_seed", shared=True).assign(pictures)


def directions(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return panels of each task: STIR in both directions, and the distances they are read at.

    STIR(untrained | pretrained) is beside them, in results that have it. Dims are given, layer and
    perhaps seed. `ds` has one estimator.
    """
    both, panels = ("STIR(fine-tuned | pretrained)", "STIR(pretrained | fine-tuned)"), {}
    for task in ds["task"].values.tolist():
        one = ds.sel(task=task)
        stir = dict(
            zip(both, (diagonal(one, f"stir_{k}") for k in ("ft_pt", "pt_ft")), strict=True)
        )
        left = (one[f"inversion_loss_{k}"].rename(ref_layer="layer") for k in ("pt", "ft"))
        panels[f"{task}: STIR"] = _given(stir | of_untrained(one))
        panels[f"{task}: distance left of X′"] = _given(dict(zip(both, left, strict=True)))
    return panels


def _given(curves: dict[str, xr.DataArray]) -> xr.DataArray:
    bare = [curve.reset_coords(drop=True) for curve in curves.values()]
    return xr.concat(bare, xr.Variable("given", list(curves)), join="exact")


def findings(ds: xr.Dataset) -> list[str]:
    """Return sentences on both tasks: levels early and late, and what goes with what.

    Intervals are over trainings, of the mean over draws of images.
    """
    ds = ds.sel(estimator="debiased")
    return [sentence for words, part in settings(ds) for sentence in _said(words, part)]


def _said(words: list[str], ds: xr.Dataset) -> Iterator[str]:
    where, last = f"*{', '.join(words)}*", int(ds["layer"][-1])
    places = {"layers 0–1": [0, 1], "layers 4–6": [4, 6], "the last three": [last - 2, last]}
    places = {name: at for name, at in places.items() if at[1] <= last}  # of shorter ones
    for task in ds["task"].values.tolist():
        one = ds.sel(task=task)
        curves = [measure(one).mean("seed") for measure in (learning, forgetting, cka_divergence)]
        for name, curve in zip(("Learning", "Forgetting", "CKA divergence"), curves, strict=True):
            said = [f"{level_in_words(level(curve, at))} in {of}" for of, at in places.items()]
            yield f"{where}, {task}: {name} is {', '.join(said[:-1])} and {said[-1]}."
        _, lost, moved = curves
        depth = xr.zeros_like(moved) + moved["layer"]
        yield (
            f"{where}, {task}: over the layers, forgetting correlates with CKA divergence by "
            f"{level_in_words(pearson(lost, moved))}, and with depth alone by "
            f"{level_in_words(pearson(lost, depth))}. Their steps from layer to layer correlate by "
            f"{level_in_words(pearson(lost.diff('layer'), moved.diff('layer')))}."
        )
