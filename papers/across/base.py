"""The pages on questions that paper A leaves open: repeats of trainings, by the labels of dims."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Seeds
from papers.section import Inverted

__all__ = ["OpenQuestion"]


class OpenQuestion(MerlinSection):
    """A question that paper A leaves open. Every training is repeated with each of `train_seeds`.

    A subclass defines `dims` and `trainings`.
    """

    dims: ClassVar[tuple[str, ...]]  # of the results, what the keys of `trainings` are labels of

    train_seeds: Seeds = Field((0,), description="repeats of every training")

    def trainings(self) -> Mapping[tuple[str | int, ...], TrainingRun]:
        """Return the fine-tunings by their labels along `dims`."""
        raise NotImplementedError

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, where there is one, and the fine-tunings."""
        tuned = {", ".join(map(str, key)): run for key, run in self.trainings().items()}
        return self.pretraining_by_name() | tuned

    def to_invert(self) -> list[Inverted]:
        """Return those of the starts and of each fine-tuned model."""
        return self.inverted_at(dict.fromkeys(self.trainings().values()))
