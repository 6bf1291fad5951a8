"""Section 4.1 of paper A: what fine-tuning to two kinds of task learns and forgets."""

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Name, Seeds
from papers.section import Inverted


class FinetuningTask(MerlinSection):
    """Section 4.1: what is learnt and forgotten, layer by layer, for two kinds of task.

    Examples
    --------
    >>> section = FinetuningTask.from_parameters({"datasets": ["digits"], "n": 8})
    >>> for name in section.runs():
    ...     print(name)
    pretraining on shapes
    digits: classification
    digits: reconstruction
    """

    name = "finetuning_task"
    beside = ("convergence",)  # whether recipes agree about a verdict
    long = True

    finetuning_seeds: Seeds = Field(
        (0,), description="repeats of each fine-tuning; an interval takes several"
    )
    seeds_elsewhere: Seeds | None = Field(
        None, description="the same on all data sets but the first; None: as many"
    )
    all_images_of: tuple[Name, ...] = Field(
        (), description="data sets that give all their training images"
    )

    def seeds_of(self, dataset: str) -> tuple[int, ...]:
        """Return the seeds of the fine-tunings to a data set."""
        elsewhere = dataset != self.datasets[0] and self.seeds_elsewhere
        return elsewhere or self.finetuning_seeds

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, where there is one, and the fine-tunings of each pair."""
        return self.pretraining_by_name() | self._finetunings()

    def to_invert(self) -> list[Inverted]:
        """Return those of the pretrained model on each data set, and of each fine-tuned one."""
        return self.inverted_at(self._finetunings().values())

    def finetuning_run(
        self, dataset: str, task: str = "classification", **other: object
    ) -> TrainingRun:
        """Return the run that fine-tunes to one task on one data set, see `MerlinSection`."""
        usual = {"n_train": None} if dataset in self.all_images_of else {}
        return super().finetuning_run(dataset, task, **usual | other)

    def _finetunings(self) -> dict[str, TrainingRun]:
        return {
            f"{dataset}: {task}"
            + (f", seed {seed}" if len(self.finetuning_seeds) > 1 else ""): self.finetuning_run(
                dataset, task, seed=seed
            )
            for dataset in self.datasets
            for task in self.tasks
            for seed in self.seeds_of(dataset)
        }
