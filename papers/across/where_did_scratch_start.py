"""A question about paper A: what weights did its models "trained from scratch" start from?"""

from typing import Self

from pydantic import Field, model_validator

from invlib.training.run import TrainingRun
from papers.across.base import OpenQuestion
from papers.merlin2023.pretraining_dataset import (
    IMAGENET,
    MATCHED,
    NONE,
    PretrainingDataset,
)
from papers.parameters import Positive
from papers.section import Inverted

__all__ = ["PLAIN", "READINGS", "REPOSITORY", "WhereDidScratchStart"]

PLAIN, REPOSITORY = READINGS = ("plain", "repository")

Label = tuple[str, int, str, str]  # target, seed of the training, start, reading


class WhereDidScratchStart(OpenQuestion, PretrainingDataset):
    """Section 4.2 of paper A under two readings of "trained from scratch".

    ``"plain"``: such a training starts from random weights, and is optimised as the pretraining is.
    ``"repository"``: it starts from the pretrained weights, and is optimised as the fine-tuning is.
    Both have `scratch_n` images for `scratch_epochs`. Under both, the start ``"none"`` is compared
    with random weights, as Figure 2 says of it, and a start on another data set is the model from
    scratch there.

    Examples
    --------
    >>> section = WhereDidScratchStart()
    >>> for name in section.runs():
    ...     print(name)
    pretraining on shapes
    digits, 0, shapes, plain
    digits, 0, shapes, repository
    digits, 0, none, plain
    digits, 0, none, repository
    """

    name = "where_did_scratch_start"
    dims = ("dataset", "train_seed", "pretraining", "reading")
    uses = (
        "pretraining_dataset",
    )  # at the same scale its trainings and inversions are among these

    compared = PretrainingDataset.compared | {
        "scratch_n": "images from scratch",
        "scratch_epochs": "epochs from scratch",
    }

    reading_draws: Positive | None = Field(
        None, description="how many of `seeds` are used; None: all"
    )

    @model_validator(mode="after")
    def _both_ends(self) -> Self:
        needed = (self.pretrained, NONE)
        unknown = self.weights is None and IMAGENET in self.pretrainings
        if unknown or not set(needed) <= set(self.pretrainings):
            raise ValueError(
                f"pretrainings={list(self.pretrainings)}: allowed is {' and '.join(needed)}, and "
                "data sets beside them"
            )
        return self

    @property
    def pretrained(self) -> str:
        """The start that both readings share: ``"imagenet"``, or what the laptop has for it."""
        return self.pretraining_dataset if self.weights is None else IMAGENET

    @property
    def draws(self) -> tuple[int, ...]:
        """Those of `seeds` that are used."""
        return self.seeds[: self.reading_draws]

    def starts(self, target: str) -> list[str]:
        """Return the starting points of `target` that the readings differ about."""
        return [start for start in super().starts(target) if start != MATCHED]

    def others(self, target: str) -> list[str]:
        """Return the starts of `target` that are models from scratch on another data set."""
        return [start for start in self.starts(target) if start not in (self.pretrained, NONE)]

    def from_scratch(self, dataset: str, seed: int, reading: str) -> TrainingRun:
        """Return the training on `dataset` that a reading takes for one from scratch."""
        if reading == REPOSITORY:
            fields = dict(n_train=self.scratch_n, epochs=self.scratch_epochs)
            return self.finetuning_run(dataset, seed=seed, **fields)
        return self.run_from_scratch(dataset, self.scratch_n, self.scratch_epochs, seed=seed)

    def trained_from(self, label: Label) -> TrainingRun:
        """Return the training on a target from one start."""
        target, seed, start, reading = label
        if start == NONE:
            return self.from_scratch(target, seed, reading)
        if start == self.pretrained:
            return self.finetuning_run(target, seed=seed)
        return self.finetuning_run(
            target, seed=seed, weights=self.from_scratch(start, seed, reading)
        )

    def compared_with(self, label: Label) -> TrainingRun:
        """Return the training whose weights before the first step a model is compared with."""
        target, seed, start, _ = label
        return self.trained_from((target, seed, NONE, PLAIN) if start == NONE else label)

    def trainings(self) -> dict[Label, TrainingRun]:
        """Return the trainings on every target by seed, start and reading."""
        labels = [
            (target, seed, start, reading)
            for target in self.targets
            for seed in self.train_seeds
            for start in self.starts(target)
            for reading in READINGS
        ]
        return {label: self.trained_from(label) for label in labels}

    def elsewhere(self) -> dict[str, TrainingRun]:
        """Return the fine-tunings to the other starts, whose accuracy Table 1 has as well."""
        others = {name: None for target in self.targets for name in self.others(target)}
        return {
            f"{name}, {seed}, {self.pretrained}": self.finetuning_run(name, seed=seed)
            for name in others
            for seed in self.train_seeds
        }

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, where there is one, and all other trainings."""
        return super().runs() | self.elsewhere()

    def to_invert(self) -> list[Inverted]:
        """Return those of each start and of each trained model."""
        wanted = self.inverted_at(dict.fromkeys(self.trainings().values()))
        return [one for one in wanted if one.seed in self.draws]
