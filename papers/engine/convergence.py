"""The section that follows STIR while inversion gets nearer, by recipe and layer."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Natural, Positive, Recipes, Several, split
from papers.section import Piece

Weight = Annotated[float, Field(gt=-1, lt=1)]


class Convergence(MerlinSection):
    """STIR, learning and forgetting as functions of steps, and of the distance that is left.

    The first recipe of `convergence` is run with all `seeds`, the others with the first seed. So
    are the adversarial ones: the first rule and start, with each weight of `convergence_against`.

    Examples
    --------
    >>> short = {"convergence": ["anytime:20", "ngd:10"], "convergence_snapshots": [5, 10, 20]}
    >>> Convergence.from_parameters(short).convergence
    ('anytime:20', 'ngd:10')
    """

    name = "convergence"
    long = True

    convergence: Recipes = Field(
        ("lbfgs:20", "anytime:20"),
        description="rule:steps[:start]",
    )
    convergence_snapshots: Annotated[tuple[Positive, ...], *Several] = Field(
        (5, 10, 20),
        description="steps, among them those of each recipe",
        validate_default=True,
    )
    convergence_n: Annotated[int, Field(ge=5)] = Field(8, description="images per seed")
    convergence_layers: Annotated[tuple[Natural, ...], *Several] | None = Field(
        (0, 6, 12), description="None: all layers"
    )
    convergence_seeds: Annotated[tuple[Natural, ...], *Several] = Field(
        (0,), description="of the first recipe; the others have the first of them"
    )
    convergence_shown: Annotated[tuple[Natural, ...], *Several] = Field(
        (0, 6, 12), description="layers whose X′ are shown along the way"
    )

    convergence_learning: bool = Field(
        True, description="invert the fine-tuned models, too; without, forgetting alone"
    )

    convergence_against: Annotated[tuple[Weight, ...], *Several] = Field(
        (0.5,),
        description="weights with which X′ is also driven from the other model’s X",
    )
    convergence_against_steps: Positive = Field(10, description="one of the snapshots")

    @field_validator("convergence_against_steps")
    @classmethod
    def _seen(cls, steps: int, others: ValidationInfo) -> int:
        looks = others.data.get("convergence_snapshots", (steps,))  # none: refused themselves
        if steps not in looks:
            raise ValueError(f"must be one of convergence_snapshots={list(looks)}")
        return steps

    @field_validator("convergence_snapshots")
    @classmethod
    def _reached(cls, looks: tuple[int, ...], others: ValidationInfo) -> tuple[int, ...]:
        if "convergence" not in others.data:  # it was refused itself
            return looks
        first, *more = (split(recipe)[1] for recipe in others.data["convergence"])
        if list(looks) != sorted(looks) or looks[-1] != first or set(more) - set(looks):
            raise ValueError(
                f"must increase up to the {first} steps of the first recipe, and have the steps of "
                "every other one"
            )
        return looks

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return the images that are inverted."""
        return [("convergence_n", self.datasets[0], None)]

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, if there is one, and a fine-tuning for each task."""
        dataset = self.datasets[0]
        return self.pretraining_by_name() | {
            f"{dataset}: {task}": self.finetuning_run(dataset, task) for task in self.tasks
        }

    def recipes(self) -> dict[str, float | None]:
        """Return the recipes, the adversarial ones with their weight behind a space."""
        rule, _, init = split(self.convergence[0])
        driven = f"{rule}:{self.convergence_against_steps}" + f":{init}" * (init != "noise")
        return dict.fromkeys(self.convergence) | {
            f"{driven} {weight:+g}": weight for weight in self.convergence_against
        }

    def pieces(self) -> dict[str, Piece]:
        """Return the comparisons by recipe, task and seed, whose inversions are kept."""
        found, dataset, models = {}, self.datasets[0], 1 + self.convergence_learning
        for recipe in self.recipes() if self.cache else ():
            seeds = self.convergence_seeds[: None if recipe == self.convergence[0] else 1]
            steps = split(recipe.split(" ")[0])[1]
            looks = len([look for look in self.convergence_snapshots if look <= steps])
            for task in self.tasks:
                for seed in seeds:
                    run = self.finetuning_run(dataset, task)
                    found[f"{recipe}, {task}, {seed}"] = Piece(
                        run, looks, models * steps * self.convergence_n, kept=False
                    )
        return found
