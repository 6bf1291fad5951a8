"""How inverted is inverted? Recipes raced against one another, and what they do to the measures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Natural, Positive, Recipes, Several, split
from papers.section import best_device

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from invlib.models.staged import StagedModel

__all__ = ["HowInverted", "agreement", "evaluations_needed"]


class HowInverted(MerlinSection):
    """Which recipe gets how far, layer by layer; and whether learning and forgetting notice.

    Parameters
    ----------
    race : list
        Recipes whose loss is followed, as ``rule:evaluations`` or ``rule:evaluations:start``.
    measured : list
        Recipes for which learning and forgetting are measured. The last is the yardstick.
    race_n, race_layers
        Images and layers of the race (null: all layers).
    measured_n, measured_layers, measured_seeds
        Images per seed, layers and seeds of the measurement.

    Examples
    --------
    >>> HowInverted.from_parameters({"race": ["fast:50", "ngd:500"]}).race
    ('fast:50', 'ngd:500')
    """

    name = "how_inverted"

    race: Recipes = ("ngd:50", "adam:50", "short_adam:50", "fast:50", "ngd:150")
    measured: Recipes = ("ngd:20", "fast:20", "ngd:80")
    race_n: Positive = 2
    race_layers: Annotated[tuple[Natural, ...], *Several] | None = None
    measured_n: Positive = 16
    measured_layers: Annotated[tuple[Natural, ...], *Several] | None = (0, 4, 8, 12)
    measured_seeds: Annotated[tuple[Natural, ...], *Several] = (0, 1)

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, where there is one, and the first fine-tuning."""
        pretraining = self.pretraining_run()
        runs = {f"pretraining on {pretraining.dataset}": pretraining} if pretraining else {}
        dataset, task = self.datasets[0], self.tasks[0]
        return runs | {f"{dataset}: {task}": self.finetuning_run(dataset, task)}

    def dataset(self) -> xr.Dataset:
        """Race the recipes, measure with some of them, and write one Dataset of kind benchmark."""
        from invlib import load_images, train

        started = time.perf_counter()
        pretrained = self.pretrained_model().to(best_device())
        trained = train(
            self.finetuning_run(self.datasets[0], self.tasks[0]), root=self.training_root
        )
        pool = load_images(self.datasets[0], "test")
        ds = self._race(pretrained, pool).merge(
            self._measure(pretrained, trained.model().to(pretrained.device), pool)
        )
        return self.finish(ds, kind="benchmark", device=pretrained.device, started=started)

    def _race(self, model: StagedModel, pool) -> xr.Dataset:
        """Loss after every gradient evaluation, NaN after a recipe's last; pictures of the end."""
        import numpy as np
        import xarray as xr

        from invlib import invert
        from papers.engine.contenders import CONTENDERS

        images = pool.sample(self.race_n, self.seeds[0]).tensor(model.img_size).to(model.device)
        layers = list(self.race_layers or model.layers)
        longest = max(split(recipe)[1] for recipe in self.race)
        loss = np.full((len(self.race), len(layers), longest + 1), np.nan)
        best = np.empty((len(self.race), len(layers)))
        pictures = []
        for i, recipe in enumerate(self.race):
            rule, evaluations, init = split(recipe)
            found = invert(
                model,
                images,
                layers=layers,
                iterations=evaluations,
                init=init,
                optimizer=CONTENDERS.get(rule, rule),
                seed=self.seeds[0],
            )
            loss[i, :, : evaluations + 1] = found.loss.cpu()
            best[i] = found.best.mean(1).cpu()
            shown = (found.images[:, :1] * 255).round().byte().movedim(2, -1)
            pictures.append(shown.cpu().numpy())
        say = dict(units="1")
        return xr.Dataset(
            {
                "race_loss": (
                    ("recipe", "race_layer", "evaluation"),
                    loss,
                    say | dict(long_name="mean relative distance after so many gradients"),
                ),
                "race_best": (
                    ("recipe", "race_layer"),
                    best,
                    say | dict(long_name="mean relative distance of each image's best iterate"),
                ),
                "race_images": (
                    ("recipe", "race_layer", "example", "y", "x", "channel"),
                    np.stack(pictures),
                    say | dict(long_name="the first image, inverted"),
                ),
            },
            dict(
                recipe=list(self.race),
                race_layer=layers,
                evaluation=range(longest + 1),
                example=range(1),
                y=range(model.img_size),
                x=range(model.img_size),
                channel=["red", "green", "blue"],
            ),
        )

    def _measure(self, pretrained: StagedModel, finetuned: StagedModel, pool) -> xr.Dataset:
        """Self terms, learning and forgetting under each recipe, by layer and seed."""
        import xarray as xr

        from invlib import compare, forgetting, learning
        from invlib.metrics.invariance import diagonal

        parts = []
        for recipe in self.measured:
            rule, evaluations, init = split(recipe)
            ds = compare(
                pretrained,
                finetuned,
                pool,
                n=self.measured_n,
                seeds=self.measured_seeds,
                layers=self.measured_layers,
                iterations=evaluations,
                optimizer=rule,
                init=init,
                subspace_k=min(self.subspace_k, self.measured_n - 1),
                examples=0,
                cache=self.cache and self.output.parent / "inversions",
            )
            values = {
                "self_term_pt": (
                    diagonal(ds, "stir_pt_pt"),
                    "STIR of pretrained[layer] with itself",
                ),
                "self_term_ft": (
                    diagonal(ds, "stir_ft_ft"),
                    "STIR of fine-tuned[layer] with itself",
                ),
                "learning": (learning(ds), "learning"),
                "forgetting": (forgetting(ds), "forgetting"),
                "learning_one": (learning(ds, self_term="one"), "learning, self term 1"),
                "forgetting_one": (forgetting(ds, self_term="one"), "forgetting, self term 1"),
            }
            parts.append(
                xr.Dataset(
                    {
                        name: value.drop_attrs().assign_attrs(long_name=long, units="1")
                        for name, (value, long) in values.items()
                    }
                )
            )
        return xr.concat(parts, xr.Variable("measured_recipe", list(self.measured)))


def evaluations_needed(ds: xr.Dataset) -> pd.DataFrame:
    """Return, by recipe and layer, the evaluations until the yardstick's final distance.

    The mean distance at an iterate counts, not the best of each image, so this is a bound from
    above. "–": not within the recipe's own budget.
    """
    import numpy as np
    import pandas as pd

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
    """Return how far each recipe's measures are from the yardstick's, and how far seeds differ."""
    import pandas as pd

    rows = {}
    for name in ("learning", "forgetting", "self_term_pt", "self_term_ft"):
        values = ds[name].sel(estimator="debiased")
        spread = (values.max("seed") - values.min("seed")).max("layer")
        mean = values.mean("seed")
        off = abs(mean - mean.isel(measured_recipe=-1)).max("layer")
        rows[f"{name}: off by"] = off.values.round(3)
        rows[f"{name}: seeds span"] = spread.values.round(3)
    return pd.DataFrame(rows, index=list(ds["measured_recipe"].values))
