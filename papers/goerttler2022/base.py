"""The parameters that both sections of paper B (Goerttler & Obermayer 2022) share."""

from typing import Annotated

from pydantic import AfterValidator, Field

from invlib.training.run import TrainingRun
from papers.parameters import Name, Positive, PositiveFloat, Seeds, Several
from papers.section import Section

__all__ = ["GoerttlerSection", "SETUP"]

# Parameters in the table of settings, with their labels.
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
    """The parameters that both sections of paper B share.

    No image is inverted, and nothing is cached. A seed of `labels_seeds` draws the initial weights,
    the images, their random labels and their order. With randomness d, a class is spread over d + 1
    labels (eq. 1). All trainings use SGD with momentum 0.9, without schedule, weight decay and
    augmentation. Networks are compared on `labels_images` test images.
    """

    compared = SETUP
    notes = {"seeds": "the first draws the test images on which representations are compared"}
    own_trainings = True

    labels_model: Name = Field("conv4_w16", description='the paper\'s has 64 filters: "conv4"')
    labels_dataset: Name = Field("digits", description="data set whose labels are made random")
    labels_seeds: Seeds = Field((0, 1), description="each repeats every training")
    labels_randomness: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], *Several, AfterValidator(_rising)
    ] = Field((0, 3, 9), description="d of eq. 1")
    labels_n: Positive = Field(100, description="images of training from a random start")
    labels_epochs: Positive = Field(25, description="epochs from a random start")
    labels_lr: PositiveFloat = Field(0.05, description="learning rate of all trainings")
    labels_batch_size: Positive = Field(25, description="images a step")
    labels_test_n: Positive | None = Field(200, description="test images for accuracies")
    labels_images: Annotated[int, Field(ge=4)] = Field(200, description="test images for CKA")

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return the images that representations are compared on."""
        return [("labels_images", self.labels_dataset, None)]

    def run(self, seed: int, **other: object) -> TrainingRun:
        """Return a run with the recipe of paper B; `other` adds or replaces fields of it."""
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
        return TrainingRun(**usual | other)

    def scratch_run(self, seed: int, randomness: int, n: int | None = None) -> TrainingRun:
        """Return the training from a random start on labels of this randomness."""
        return self.run(
            seed,
            randomness=randomness,
            n_train=n or self.labels_n,
            epochs=self.labels_epochs,
            keep="ends" if randomness else "all",  # Figure 1 needs every epoch of the true task
        )
