"""The parameters and training runs that all sections of paper A (Merlin et al. 2023) share."""

from collections.abc import Callable, Iterable
from typing import Annotated

from pydantic import Field

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

    n: Positive = Field(16, description="images per seed")
    iterations: Positive = 20
    recipe: one_of(*RECIPES) = Field("fast", description='"ngd" is the recipe of the paper')
    step: PositiveFloat | None = Field(None, description="None: the recipe's own")
    subspace_k: Positive = Field(10, description="directions of the subspace similarity")

    datasets: Names = ("digits",)
    tasks: Annotated[tuple[one_of(*TASKS), ...], *Several] = TASKS
    finetuning_n: Positive | None = Field(None, description="None: all training images")
    finetuning_test_n: Positive | None = None
    finetuning_epochs: Natural = 12
    finetuning_optimizer: one_of(*OPTIMIZERS) = "adamw"
    finetuning_lr: PositiveFloat = 0.0005

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
