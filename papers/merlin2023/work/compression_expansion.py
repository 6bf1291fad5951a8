"""Compute section 4.3 of paper A: the STIR matrices of the invariance flow, and its table."""

import itertools
from collections.abc import Iterable

import pandas as pd
import xarray as xr

from invlib.comparison.stacking import stack
from invlib.metrics import invariance
from papers.claims.settings import by_training, settings
from papers.merlin2023.compression_expansion import ITSELF, CompressionExpansion
from papers.merlin2023.work.base import pretrained_model
from papers.merlin2023.work.finetuning_task import compare_all
from papers.parameters import split
from papers.work import written

_KEPT = ("stir_ft_pt", "stir_pt_pt", "stir_control_pt", "stir_control_ft")
_LEFT_OUT = ("stir_ft_pt_left_out", "stir_pt_pt_left_out")


@written("comparison")
def dataset(section: CompressionExpansion) -> xr.Dataset:
    """Return the STIR matrices of eq. 5, with first dims recipe, dataset and task."""
    pretrained = pretrained_model(section)
    recipes = {f"{section.recipe}:{section.iterations}": {}}  # as `compare` knows it
    for recipe in section.flow_recipes:
        optimizer, iterations, _ = split(recipe)
        recipes[recipe] = dict(optimizer=optimizer, iterations=iterations, step=None)
    kept = [*_KEPT, *(_LEFT_OUT if section.n > 4 else ())]
    kept += ["inversion_loss_pt", "test_accuracy", "test_loss"]
    by_recipe = {}
    for recipe, other in recipes.items():
        other |= dict(inverted=["pt"], jackknife="matrix", examples=0)
        by_recipe[recipe] = compare_all(section, pretrained, **other)[kept]
    return stack(by_recipe, "recipe")


def flows(ds: xr.Dataset, estimator: str) -> dict[str, xr.DataArray]:
    """Return the flow matrix of each task, and that of the pretrained model with itself."""
    ds = ds.sel(estimator=estimator)
    by_task = {str(task): ds.sel(task=task) for task in ds["task"].values}
    matrices = {task: invariance.invariance_flow(one) for task, one in by_task.items()}
    return matrices | {ITSELF: invariance.invariance_flow(ds, target="pt")}


def flows_by_data_set(ds: xr.Dataset, estimator: str) -> dict[str, dict[str, xr.DataArray]]:
    """Return `flows` for each data set, by recipe and task: the rows of a figure of small ones."""
    rows: dict[str, dict[str, xr.DataArray]] = {}
    for (dataset, recipe), part in settings(ds):
        for task, matrix in flows(by_training(part), estimator).items():
            rows.setdefault(dataset, {})[f"{recipe}\n{task.partition(':')[0]}"] = matrix
    return rows


def table(
    shown: dict[str, xr.Dataset], blocks: dict[str, tuple[str, Iterable[int], Iterable[int]]]
) -> pd.DataFrame:
    """Return compression and expansion as numbers, a row for each setting, estimator and task.

    `blocks` has a triple for each column: ``"compression"`` or ``"expansion"``, pretrained layers,
    fine-tuned layers.
    """
    rows = {}
    for title, ds in shown.items():
        for words, part in settings(ds):
            by_estimator = {str(e): flows(by_training(part), e) for e in part["estimator"].values}
            for estimator, task in itertools.product(by_estimator, by_estimator["biased"]):
                matrix = by_estimator[estimator][task].mean("seed")
                numbers = {"share compressed": float(invariance.compressed_share(matrix))}
                for name, (kind, *layers) in blocks.items():
                    numbers[name] = float(getattr(invariance, kind)(matrix, *layers))
                rows[", ".join([title, *words, estimator]), task] = numbers
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["results", "fine-tuned for"])
    return table
