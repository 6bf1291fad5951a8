"""What every section of paper B (Goerttler & Obermayer 2022) is run with."""

from typing import Annotated

from pydantic import AfterValidator, Field

from invlib.training.run import TrainingRun
from papers.parameters import Name, Positive, PositiveFloat, Seeds, Several
from papers.section import Section

__all__ = ["GoerttlerSection", "SETUP"]

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


class GoerttlerSection(Section):
    """What both sections of paper B are run with.

    No image is inverted, and nothing is cached. A seed of `labels_seeds` draws the initial
    weights, the images, their random labels and their order. A label of randomness d is spread
    over d + 1 classes (eq. 1). All trainings are by SGD with momentum 0.9 and neither schedule,
    weight decay nor augmentation. Networks are compared on `labels_images` test images.
    """

    compared = SETUP
    notes = {"seeds": "the first draws the test images on which representations are compared"}
    own_trainings = True

    labels_model: Name = Field("conv4_w16", description='the paper\'s has 64 filters: "conv4"')
    labels_dataset: Name = "digits"
    labels_seeds: Seeds = Field((0, 1), description="each repeats every training")
    labels_randomness: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], *Several, AfterValidator(_rising)
    ] = Field((0, 3, 9), description="d of eq. 1")
    labels_n: Positive = Field(100, description="images of training from a random start")
    labels_epochs: Positive = 45
    labels_lr: PositiveFloat = 0.05
    labels_batch_size: Positive = 25
    labels_test_n: Positive | None = Field(200, description="test images for accuracies")
    labels_images: Annotated[int, Field(ge=4)] = Field(200, description="test images for CKA")

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
