"""The placebo of section 4.1: fine-tuned models that differ in nothing but the seed."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Seeds
from papers.section import Inverted


class Placebo(MerlinSection):
    """Compare each fine-tuned model with the next, which was trained with another seed.

    The trainings are those of `FinetuningTask`. The seed draws their images, too. The last is
    compared with the first, if there are more than two.

    Examples
    --------
    >>> Placebo.from_parameters({"placebo_seeds": [0, 1, 2]}).pairs()
    [(0, 1), (1, 2), (2, 0)]
    """

    name = "placebo"
    long = True
    uses = ("finetuning_task",)

    placebo_seeds: Annotated[Seeds, Field(min_length=2)] = Field(
        (0, 1), description="repeats of each fine-tuning that are compared"
    )

    def pairs(self) -> list[tuple[int, int]]:
        """Return the seeds of the trainings that are compared."""
        seeds = self.placebo_seeds
        return [*pairwise(seeds), *([(seeds[-1], seeds[0])] if len(seeds) > 2 else [])]

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, where there is one, and the fine-tunings of each seed."""
        named = {", ".join(map(str, key)): run for key, run in self.trainings()}
        return self.pretraining_by_name() | named

    def trainings(self) -> Iterator[tuple[tuple[str, str, int], TrainingRun]]:
        """Yield the fine-tunings, by data set, task and seed."""
        for dataset in self.datasets:
            for task in self.tasks:
                for seed in self.placebo_seeds:
                    yield (dataset, task, seed), self.finetuning_run(dataset, task, seed=seed)

    def to_invert(self) -> list[Inverted]:
        """Return those of each fine-tuned model; the start is not inverted."""
        runs = dict(self.trainings()).values() if self.cache else ()
        return [Inverted(run, run.epochs, seed) for run in runs for seed in self.seeds]
