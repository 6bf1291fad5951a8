"""Section 4.3 of paper A: which fine-tuned layers hold which pretrained invariances."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from invlib.names import choices
from papers.merlin2023.base import RECIPES
from papers.merlin2023.finetuning_task import FinetuningTask
from papers.parameters import Recipes, split

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["CompressionExpansion"]


def _ours(recipes: tuple[str, ...]) -> tuple[str, ...]:
    for recipe in recipes:
        choices("flow_recipes", split(recipe)[0], RECIPES)
    return recipes


class CompressionExpansion(FinetuningTask):
    """Section 4.3: the Invariance Flow Matrix (Figures 4 and 10) and what it sums up to.

    The trainings are those of `FinetuningTask`, and so are inversions by its recipe: both find them
    in the cache. Only the pretrained model is inverted; the matrix needs no more.

    Parameters
    ----------
    flow_recipes : tuple of str
        Recipes as ``"name:iterations"`` that the matrix is drawn under besides.

    Examples
    --------
    >>> CompressionExpansion.from_parameters({"flow_recipes": ["ngd:50"]}).flow_recipes
    ('ngd:50',)
    """

    name = "compression_expansion"

    flow_recipes: Annotated[Recipes, AfterValidator(_ours)] = ("ngd:20",)

    def dataset(self) -> xr.Dataset:
        """Return the matrices that eq. 5 is made of, dims recipe, task and dataset in front."""
        from invlib import train
        from invlib.comparison.compare import stack

        started = time.perf_counter()
        pretrained = self.pretrained_model()
        recipes = {f"{self.recipe}:{self.iterations}": {}}  # as `compare` knows it
        for recipe in self.flow_recipes:
            optimizer, iterations, _ = split(recipe)
            recipes[recipe] = dict(optimizer=optimizer, iterations=iterations, step=None)
        by_recipe = {}
        for recipe, other in recipes.items():
            by_dataset = {}
            for dataset in self.datasets:
                by_task = {}
                for task in self.tasks:
                    trained = train(self.finetuning_run(dataset, task), root=self.training_root)
                    by_task[task] = self.compare(
                        pretrained,
                        trained,
                        inverted=["pt"],
                        jackknife="matrix",
                        examples=0,
                        **other,
                    )
                by_dataset[dataset] = stack(by_task, "task", shared=True)
            by_recipe[recipe] = stack(by_dataset, "dataset")
        wanted = ("stir_ft_pt", "stir_pt_pt", "stir_control_pt", "stir_control_ft")
        wanted += ("stir_ft_pt_left_out", "stir_pt_pt_left_out") if self.n > 4 else ()
        wanted += ("inversion_loss_pt", "test_accuracy", "test_loss")
        ds = stack({name: part[list(wanted)] for name, part in by_recipe.items()}, "recipe")
        device = pretrained.device
        return self.finish(ds, kind="comparison", device=device, started=started)

    @staticmethod
    def table(
        shown: dict[str, xr.Dataset], blocks: dict[str, tuple[str, Iterable[int], Iterable[int]]]
    ) -> pd.DataFrame:
        """Return compression and expansion as numbers, a row for each run, task and estimator.

        `blocks` names triples (``"compression"`` or ``"expansion"``, pretrained layers, fine-tuned
        layers), each a column.
        """
        import pandas as pd

        from invlib.metrics import invariance
        from papers.claims.settings import settings

        rows = {}
        for title, ds in shown.items():
            for words, one in settings(ds):
                for target, model in {"ft": "fine-tuned", "pt": "itself"}.items():
                    flow = invariance.invariance_flow(one, target=target).mean("seed")
                    tasks = one["task"].values if target == "ft" else ["(none)"]
                    for task, estimator in itertools.product(tasks, one["estimator"].values):
                        this = flow.sel(estimator=estimator)
                        this = this.sel(task=task) if target == "ft" else this
                        numbers = {"share compressed": float(invariance.compressed_share(this))}
                        for name, (kind, *layers) in blocks.items():
                            numbers[name] = float(getattr(invariance, kind)(this, *layers))
                        rows[title, *words, f"pretrained → {model}", task, estimator] = numbers
        table = pd.DataFrame.from_dict(rows, orient="index")
        names = ["run", *(["data set", "recipe"][-len(words) :]), "models", "task", "estimator"]
        table.index = pd.MultiIndex.from_tuples(table.index, names=names)
        return table
