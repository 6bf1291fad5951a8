"""What every section of paper A (Merlin et al. 2023) is run with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from invlib.names import TASKS
from invlib.training.run import OPTIMIZERS, TrainingRun
from papers.parameters import Names, Natural, Positive, PositiveFloat, Several, one_of
from papers.pretrained import Pretrained
from papers.section import best_device

if TYPE_CHECKING:
    import xarray as xr

    from invlib.models.staged import StagedModel
    from invlib.training.checkpoints import Trained

__all__ = ["MerlinSection"]

RECIPES = ("adam", "fast", "ngd")

# The parameters that a reader compares between a run and the paper.
_SETUP = {
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


class MerlinSection(Pretrained):
    """What every section of paper A is run with. The defaults are those of the laptop scale.

    Parameters
    ----------
    n : int
        Images that are inverted, for each seed.
    iterations, recipe, step
        How they are inverted: ``"ngd"`` is the paper's, ``"fast"`` gets furthest in 50 iterations;
        the step is the recipe's own where it is null.
    datasets, tasks
        What it is fine-tuned to, all pairs of the two.
    finetuning_n, finetuning_test_n : int or None
        Images drawn from the training and test split; null is all.
    subspace_k : int
        Directions that the subspace similarity compares.
    """

    compared = _SETUP

    n: Positive = 16
    iterations: Positive = 20
    recipe: one_of(*RECIPES) = "fast"
    step: PositiveFloat | None = None
    subspace_k: Positive = 10

    datasets: Names = ("digits",)
    tasks: Annotated[tuple[one_of(*TASKS), ...], *Several] = ("classification", "reconstruction")
    finetuning_n: Positive | None = None
    finetuning_test_n: Positive | None = None
    finetuning_epochs: Natural = 12
    finetuning_optimizer: one_of(*OPTIMIZERS) = "adamw"
    finetuning_lr: PositiveFloat = 0.0005

    def finetuning_run(
        self, dataset: str, task: str = "classification", **other: object
    ) -> TrainingRun:
        """Return the run that fine-tunes the pretrained model to one task on one data set.

        `other` are fields of `TrainingRun` that differ from what this section says.
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

    def compare(
        self, pretrained: StagedModel, trained: Trained, epoch: int = -1, **other: object
    ) -> xr.Dataset:
        """Compare the pretrained model with a fine-tuned one, on its own data set's test images.

        `other` are arguments of `invlib.compare` that differ from what this section says.
        """
        from invlib import compare, load_images

        device = best_device()
        usual = dict(
            n=self.n,
            seeds=self.seeds,
            iterations=self.iterations,
            optimizer=self.recipe,
            step=self.step,
            subspace_k=self.subspace_k,
            examples=4,  # noise does not compress: a picture a layer is most of the file
            cache=self.cache and self.output.parent / "inversions",
        )
        ds = compare(
            pretrained.to(device),
            trained.model(epoch).to(device),
            load_images(trained.run.dataset, "test"),
            **usual | other,
        )
        log = trained.log.isel(epoch=epoch, drop=True)
        names = [name for name in ("test_loss", "test_accuracy") if name in log]
        return ds.assign({name: log[name] for name in names})
