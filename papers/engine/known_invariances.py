"""The section that tests the instrument on invariances that are known: built in, or trained in."""

from typing import Annotated

from pydantic import AfterValidator, Field

from invlib.names import RECIPES
from invlib.training.run import TrainingRun
from papers.parameters import (
    Name,
    Natural,
    Positive,
    PositiveFloat,
    Recipes,
    Seeds,
    Several,
    one_of,
)
from papers.section import Section

__all__ = ["COLOUR", "DATA_SETS", "FORM", "MARGIN", "KnownInvariances"]

# The same pictures with two kinds of labels: with the first colour matters, with the second it is
# noise.
COLOUR, FORM = DATA_SETS = ("shapes", "shapes_by_form")

# Written down before the reference run. STIR measures what it says if it is nearer than this to the
# truth: half of 0.1, the smallest difference that a claim of this book calls a difference.
MARGIN = 0.05

Rising = AfterValidator(lambda values: tuple(sorted(values)))
DataSets = Annotated[tuple[one_of(*DATA_SETS), ...], *Several]


class KnownInvariances(Section):
    """STIR beside its true value, and forgetting beside what a network really stopped ignoring.

    *Built in*: networks that are blind to a known part of the image are inverted with
    `known_recipes` (rule:steps or rule:steps:start), and read after `known_snapshots` steps.
    *Trained in*: each network of `first_datasets` is trained on to both data sets. One of these is
    its own: the placebo.

    Examples
    --------
    >>> section = KnownInvariances.from_parameters({})
    >>> for name in section.runs():
    ...     print(name)
    shapes, seed 0
    shapes, then shapes, seed 0
    shapes, then shapes_by_form, seed 0
    """

    name = "known_invariances"
    long = True
    own_trainings = True
    notes = {"seeds": "the first draws the images that trained networks are inverted for"}

    known_seeds: Seeds = Field((0, 1), description="each draws images and starts")
    known_recipes: Recipes = Field(
        ("ngd:50", "anytime:50", "lbfgs:25:images", "anytime:50:images"),
        description="rule:steps",
    )
    known_snapshots: Annotated[tuple[Positive, ...], *Several, Rising] = Field(
        (10, 25, 50), description="steps; those beyond a recipe's own are left out"
    )
    known_sizes: Annotated[tuple[Positive, ...], *Several, Rising] = Field(
        (8,), description="sides of the images in pixels, multiples of 4"
    )
    known_n: Annotated[tuple[Positive, ...], *Several, Rising] = Field(
        (16, 48), description="numbers of images that similarities are computed from"
    )

    # trained in: the first training on `shapes` is that of paper A's pages
    known_model: Name = Field("vit_nano_patch8_32", description="network that is trained")
    first_datasets: DataSets = Field((COLOUR,), description="what networks learn first")
    first_n: Positive = Field(5000, description="images of the first training")
    first_epochs: Positive = Field(6, description="epochs of the first training")
    first_test_n: Positive | None = Field(None, description="None: all test images")
    second_n: Positive = Field(400, description="images of the second training")
    second_epochs: Positive = Field(2, description="epochs of the second training")
    second_lr: PositiveFloat = Field(0.0005, description="learning rate of the second training")
    second_test_n: Positive = Field(200, description="test images of the second training")
    shapes_train_seeds: Seeds = Field((0,), description="repeats of all trainings")
    shapes_layers: Annotated[tuple[Natural, ...], *Several] | None = Field(
        (0, 4, 8, 12), description="None: all layers"
    )
    shapes_n: Positive = Field(12, description="test images that are inverted")
    shapes_moved_n: Positive = Field(100, description="test images that are drawn again")
    shapes_recipe: one_of(*RECIPES) = Field(
        "anytime", description="how trained networks are inverted"
    )
    shapes_snapshots: Annotated[tuple[Positive, ...], *Several, Rising] = Field(
        (10, 30), description="gradient steps; the last is where inversion ends"
    )

    def first_run(self, dataset: str, seed: int) -> TrainingRun:
        """Return the run that trains a network from a random start."""
        return TrainingRun(
            model=self.known_model,
            dataset=dataset,
            n_train=self.first_n,
            n_test=self.first_test_n,
            epochs=self.first_epochs,
            optimizer="adamw",
            batch_size=64,
            augmentation="none",
            seed=seed,
            keep="ends",
        )

    def second_run(self, first: str, second: str, seed: int) -> TrainingRun:
        """Return the run that trains a network of `first_run` on, with images it has not seen.

        Both second runs of a network have the same images in the same order, with other labels.
        """
        return TrainingRun(
            model=self.known_model,
            weights=self.first_run(first, seed),
            dataset=second,
            n_train=self.second_n,
            n_test=self.second_test_n,
            epochs=self.second_epochs,
            optimizer="adamw",
            lr=self.second_lr,
            batch_size=64,
            augmentation="none",
            seed=1000 + seed,
            keep="ends",
        )

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return the images that trained networks are inverted for, and that are drawn again."""
        return [(name, DATA_SETS[0], None) for name in ("shapes_n", "shapes_moved_n")]

    def runs(self) -> dict[str, TrainingRun]:
        """Return the first trainings, and after each its second trainings."""
        runs = {}
        for seed in self.shapes_train_seeds:
            for first in self.first_datasets:
                runs[f"{first}, seed {seed}"] = self.first_run(first, seed)
                for second in DATA_SETS:
                    run = self.second_run(first, second, seed)
                    runs[f"{first}, then {second}, seed {seed}"] = run
        return runs
