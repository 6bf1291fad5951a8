"""What every section of paper B (Goerttler & Obermayer 2022) is run with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from invlib.training.run import TrainingRun
from papers.pages import BesideReference
from papers.parameters import Name, Positive, PositiveFloat, Seeds, Several
from papers.section import best_device

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from invlib.models.staged import StagedModel

__all__ = ["GoerttlerSection", "LOGGED", "SETUP"]

LOGGED = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")

# The parameters that a reader compares between a run and the paper.
SETUP = {
    "labels_model": "model",
    "labels_dataset": "data set",
    "labels_seeds": "repeats (seeds)",
    "labels_n": "training images",
    "labels_epochs": "epochs",
    "labels_lr": "learning rate",
    "labels_batch_size": "batch size",
    "labels_images": "images for CKA",
}


def _rising(values: tuple[int, ...]) -> tuple[int, ...]:
    if list(values) != sorted(values):
        raise ValueError(f"{list(values)} is not in rising order")
    return values


class GoerttlerSection(BesideReference):
    """What both sections of paper B are run with. The defaults are those of the laptop scale.

    Of `seeds` the first draws the test images on which representations are compared; no image is
    inverted, and nothing is cached.

    Parameters
    ----------
    labels_model, labels_dataset
        The network, and the data set it learns from a random start.
    labels_seeds : tuple of int
        Repeats of every training: the initial weights, the images, their random labels, the order.
    labels_randomness : tuple of int
        Degrees d of randomness, rising: a label is spread over d + 1 classes (eq. 1).
    labels_n, labels_epochs
        Images and epochs of training from a random start.
    labels_lr, labels_batch_size
        Of all trainings, by SGD with momentum 0.9 and neither schedule, weight decay nor
        augmentation.
    labels_test_n : int or None
        Test images for accuracies; null is all.
    labels_images : int
        Test images on which representations are compared.
    """

    compared = SETUP

    own_trainings = True

    labels_model: Name = "conv4_w16"
    labels_dataset: Name = "digits"
    labels_seeds: Seeds = (0, 1)
    labels_randomness: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], *Several, AfterValidator(_rising)
    ] = (0, 3, 9)
    labels_n: Positive = 100
    labels_epochs: Positive = 45
    labels_lr: PositiveFloat = 0.05
    labels_batch_size: Positive = 25
    labels_test_n: Positive | None = 200
    labels_images: Annotated[int, Field(ge=4)] = 200

    def run(self, seed: int, **said: object) -> TrainingRun:
        """Return a run by the recipe of paper B; `said` are the other fields of `TrainingRun`."""
        usual = dict(
            model=self.labels_model,
            dataset=self.labels_dataset,
            n_test=self.labels_test_n,
            batch_size=self.labels_batch_size,
            optimizer="sgd",
            lr=self.labels_lr,
            momentum=0.9,
            weight_decay=0.0,  # the paper names none of these four
            schedule="constant",
            warmup_steps=0,
            clip=None,
            augmentation="none",
            seed=seed,
            keep="ends",
        )
        return TrainingRun(**usual | said)

    def scratch_run(self, seed: int, randomness: int, n: int | None = None) -> TrainingRun:
        """Return the training on labels of this randomness from a random start."""
        return self.run(
            seed,
            randomness=randomness,
            n_train=n or self.labels_n,
            epochs=self.labels_epochs,
            keep="ends" if randomness else "all",  # Figure 1 looks at every epoch of the true task
        )

    def probe_images(self, dataset: str) -> Tensor:
        """Return the test images on which networks are compared, (n, 3, H, W)."""
        from invlib import load_images

        return load_images(dataset, "test").sample(self.labels_images, self.seeds[0]).tensor()

    @staticmethod
    def grams(model: StagedModel, images: Tensor) -> Tensor:
        """Return the Gram matrices of all layers and the logits, on a GPU where there is one."""
        from papers.goerttler2022.drift import grams_to_logits

        return grams_to_logits(model.to(best_device()), images)

    def finish_labels(self, ds: xr.Dataset, started: float) -> xr.Dataset:
        """Write the results of one data set, which becomes a dim, see `Section.finish`."""
        ds = ds.expand_dims(dataset=[self.labels_dataset])
        return self.finish(
            ds, kind="drift", device=best_device(), started=started, seeds=self.labels_seeds
        )
