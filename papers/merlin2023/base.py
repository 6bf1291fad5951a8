"""The parameters and training runs that all sections of paper A (Merlin et al. 2023) share."""

from collections.abc import Callable, Iterable
from typing import Annotated, Self

from pydantic import Field, model_validator

from invlib.names import OPTIMIZERS, RECIPES, TASKS
from invlib.training.run import TrainingRun
from papers.parameters import Names, Natural, Positive, PositiveFloat, Several, one_of
from papers.pretrained import Pretrained
from papers.section import Inverted


class MerlinSection(Pretrained):
    """The parameters that all sections of paper A share.

    The model is fine-tuned to all pairs of `datasets` and `tasks`. The recipe ``"fast"`` leaves the
    smallest distance after 50 iterations.
    """

    compared = {
        "model": "model",
        "img_size": "image size (px)",
        "n": "images per seed",
        "recipe": "inversion recipe",
        "iterations": "inversion steps",
        "finetuning_n": "training images",
        "finetuning_epochs": "epochs of fine-tuning",
        "finetuning_optimizer": "optimiser",
        "finetuning_lr": "learning rate",
        "batch_size": "batch size",
    }

    n: Annotated[int, Field(ge=4)] = Field(16, description="images per seed")
    iterations: Positive = Field(20, description="gradient steps of an inversion")
    recipe: one_of(*RECIPES) = Field("fast", description='"ngd" is the recipe of the paper')
    step: PositiveFloat | None = Field(None, description="of the recipe; None: its own")
    subspace_k: Positive | None = Field(
        None, description="directions of the subspace similarity; None: 10, or n - 1"
    )

    datasets: Names = Field(("digits",), description="what the model is fine-tuned to")
    tasks: Annotated[tuple[one_of(*TASKS), ...], *Several] = Field(
        TASKS, description="and how: a training for each data set and task"
    )
    finetuning_n: Positive | None = Field(None, description="training images; None: all")
    finetuning_test_n: Positive | None = Field(None, description="test images; None: all")
    finetuning_epochs: Natural = Field(8, description="epochs of fine-tuning")
    finetuning_optimizer: one_of(*OPTIMIZERS) = Field("adamw", description="of fine-tuning")
    finetuning_lr: PositiveFloat = Field(0.0005, description="learning rate of fine-tuning")

    @model_validator(mode="after")
    def _fewer_directions_than_images(self) -> Self:
        used = any(name == "n" for name, *_ in self.samples())
        if used and self.subspace_k is not None and self.subspace_k >= self.n:
            allowed = f"allowed is 1 to {self.n - 1}, or None"
            raise ValueError(f"subspace_k={self.subspace_k} with n={self.n}: {allowed}")
        return self

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return the `n` images of each data set that is fine-tuned to."""
        return [("n", dataset, None) for dataset in self.datasets]

    def directions(self, n: int) -> int:
        """Return `subspace_k`, or fewer where there are only `n` images."""
        return min(self.subspace_k or 10, n - 1)

    def finetuning_run(
        self, dataset: str, task: str = "classification", **other: object
    ) -> TrainingRun:
        """Return the run that fine-tunes the pretrained model to one task on one data set.

        `other` replaces fields of `TrainingRun`.
        """
        usual = dict(
            model=self.model,
            img_size=self.img_size,
            weights=self.pretraining_run() or self.weights,
            dataset=dataset,
            task=task,
            n_train=self.finetuning_n,
            n_test=self.finetuning_test_n,
            epochs=self.finetuning_epochs,
            optimizer=self.finetuning_optimizer,
            lr=self.finetuning_lr,
            batch_size=self.batch_size,
            augmentation=self.augmentation,
            seed=self.train_seed,
        )
        return TrainingRun(**usual | other)

    def inverted_at(
        self,
        runs: Iterable[TrainingRun],
        epochs: Callable[[int], Iterable[int]] = lambda last: [last],
    ) -> list[Inverted]:
        """Return the inversions of the starts of `runs`, and of each after `epochs` (of the last).

        A start that several trainings on one data set share is inverted once.
        """
        if not self.cache:
            return []
        starts = {}
        for run in runs:
            start = run.parent.id if run.parent else run.weights or run.id
            starts.setdefault((start, run.dataset), run)
        models = [(run, 0) for run in starts.values()]
        models += [(run, epoch) for run in runs for epoch in epochs(run.epochs) if epoch > 0]
        return [Inverted(run, epoch, seed) for run, epoch in models for seed in self.seeds]
