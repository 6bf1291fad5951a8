"""The model that sections start from: given weights, or trained here, once for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invlib.training.run import AUGMENTATIONS, OPTIMIZERS, TrainingRun
from papers.pages import BesideReference
from papers.parameters import Name, Natural, Positive, PositiveFloat, one_of

if TYPE_CHECKING:
    from invlib.models.staged import StagedModel

__all__ = ["Pretrained"]


class Pretrained(BesideReference):
    """A section that starts from a pretrained model. The defaults are those of the laptop scale.

    Parameters
    ----------
    model, img_size
        Name for `load_model`, and the side of the images in pixels (null: the model's own).
    weights : str or None
        Where the pretrained model comes from: ``"timm"``, a path to safetensors, or null to
        train it here from a random start, as the ``pretraining_`` parameters say.
    batch_size, augmentation, train_seed
        Of pretraining, and of whatever starts from it.
    """

    model: Name = "vit_nano_patch8_32"
    img_size: Positive | None = None
    weights: Name | None = None

    pretraining_dataset: Name = "shapes"
    pretraining_n: Positive | None = 8000
    pretraining_epochs: Natural = 6
    pretraining_optimizer: one_of(*OPTIMIZERS) = "adamw"
    pretraining_lr: PositiveFloat = 0.001

    batch_size: Positive = 64
    augmentation: one_of(*AUGMENTATIONS) = "none"
    train_seed: Natural = 0

    def pretraining_run(self) -> TrainingRun | None:
        """Return the run that makes the pretrained model, or None where `weights` are given."""
        if self.weights is not None:
            return None
        return TrainingRun(
            model=self.model,
            img_size=self.img_size,
            dataset=self.pretraining_dataset,
            n_train=self.pretraining_n,
            epochs=self.pretraining_epochs,
            optimizer=self.pretraining_optimizer,
            lr=self.pretraining_lr,
            batch_size=self.batch_size,
            augmentation=self.augmentation,
            seed=self.train_seed,
            keep="ends",  # only its last epoch is ever a starting point
        )

    def pretrained_model(self) -> StagedModel:
        """Return the model that fine-tuning starts from."""
        from invlib import load_model, train

        if run := self.pretraining_run():
            return train(run, root=self.training_root).model()
        return load_model(self.model, weights=self.weights, img_size=self.img_size)
