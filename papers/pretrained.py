"""Sections that start from a pretrained model: it has given weights, or is trained here once."""

from pydantic import Field

from invlib.names import AUGMENTATIONS, OPTIMIZERS
from invlib.training.run import TrainingRun
from papers.parameters import Name, Natural, Positive, PositiveFloat, one_of
from papers.section import Section

__all__ = ["Pretrained"]


class Pretrained(Section):
    """A section that starts from a pretrained model.

    `weights` are ``"timm"``, a path to safetensors, or None. With None, the model is trained here
    from a random start. `batch_size`, `augmentation` and `train_seed` are used for pretraining and
    for all trainings that start from it.
    """

    model: Name = Field("vit_nano_patch8_32", description="name of the network")
    img_size: Positive | None = Field(None, description="None: the model's own")
    weights: Name | None = Field(
        None, description='None: trained here, as follows; "timm": from the hub'
    )

    pretraining_dataset: Name = Field(
        "shapes", description="what it is trained on here, without `weights`"
    )
    pretraining_n: Positive | None = Field(5000, description="images of pretraining; None: all")
    pretraining_epochs: Natural = Field(6, description="epochs of pretraining")
    pretraining_optimizer: one_of(*OPTIMIZERS) = Field("adamw", description="of pretraining")
    pretraining_lr: PositiveFloat = Field(0.001, description="learning rate of pretraining")

    batch_size: Positive = Field(64, description="images a step, in pretraining and fine-tuning")
    augmentation: one_of(*AUGMENTATIONS) = Field(
        "none", description="changes of images, in pretraining and fine-tuning"
    )
    train_seed: Natural = Field(0, description="draws weights, images and their order")

    def pretraining_run(self) -> TrainingRun | None:
        """Return the run that trains the pretrained model, or None if `weights` are given."""
        if self.weights is not None:
            return None
        return self.run_from_scratch(
            self.pretraining_dataset, self.pretraining_n, self.pretraining_epochs
        )

    def run_from_scratch(
        self, dataset: str, n_train: int | None, epochs: int, **other: object
    ) -> TrainingRun:
        """Return a training from a random start, optimised as the pretraining is.

        `other` replaces fields of `TrainingRun`.
        """
        usual = dict(
            model=self.model,
            img_size=self.img_size,
            dataset=dataset,
            n_train=n_train,
            epochs=epochs,
            optimizer=self.pretraining_optimizer,
            lr=self.pretraining_lr,
            batch_size=self.batch_size,
            augmentation=self.augmentation,
            seed=self.train_seed,
            keep="ends",  # only the last epoch is a starting point
        )
        return TrainingRun(**usual | other)

    def pretraining_by_name(self) -> dict[str, TrainingRun]:
        """Return the pretraining by its name in `runs`, or nothing if `weights` are given."""
        run = self.pretraining_run()
        return {f"pretraining on {run.dataset}": run} if run else {}
