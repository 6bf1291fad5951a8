"""The parameters and training runs that all sections of paper A (Merlin et al. 2023) share."""

from typing import Annotated

from pydantic import Field

from invlib.names import OPTIMIZERS, RECIPES, TASKS
from invlib.training.run import TrainingRun
from papers.parameters import Names, Natural, Positive, PositiveFloat, Several, one_of
from papers.pretrained import Pretrained


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
