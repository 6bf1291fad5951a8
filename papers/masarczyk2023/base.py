"""The parameters and training runs that both sections of paper C (Masarczyk et al. 2023) share."""

from typing import Annotated

from pydantic import Field

from invlib.names import OPTIMIZERS
from invlib.training.run import TrainingRun
from papers.parameters import Name, Positive, PositiveFloat, Seeds, one_of
from papers.section import Section

__all__ = ["AGAIN", "ORIGINAL", "SQUARES", "SquaresSection"]

ORIGINAL, SQUARES, AGAIN = TASKS = ("original", "squares", "original again")

Ratio = Annotated[float, Field(ge=0, le=1)]


class SquaresSection(Section):
    """The parameters that both sections of paper C share.

    Networks trained from scratch use `erosion_dataset`. A seed of `train_seeds` draws weights,
    images and their order. Verdicts count these seeds, see `papers.claims.settings`.
    """

    own_trainings = True

    erosion_dataset: Name = Field(
        "street_digits", description="data set of the networks trained from scratch"
    )
    erosion_n: Positive | None = Field(800, description="training images; None: all")
    erosion_test_n: Positive | None = Field(300, description="test images; None: all")
    erosion_epochs: Positive = Field(10, description="of every task")
    erosion_optimizer: one_of(*OPTIMIZERS) = Field("sgd", description="of every task")
    erosion_lr: PositiveFloat = Field(0.05, description="learning rate of every task")
    erosion_batch_size: Positive = Field(32, description="images a step")
    # 4 is enough for CIFAR-10, but hardly erodes street digits
    square_size: Positive = Field(8, description="pixels of the data set")
    train_seeds: Seeds = Field((0,), description="repeats of the whole sequence")

    def sequence(
        self, model: str, seed: int, *, ratio: float = 1.0, **other: object
    ) -> dict[str, TrainingRun]:
        """Return the run of each task, in order. In task 2 a share `ratio` of images has squares.

        `other` replaces fields of `TrainingRun`. A ratio of 0 is the control: it trains the first
        task for twice as long.
        """
        usual = dict(
            model=model,
            dataset=self.erosion_dataset,
            n_train=self.erosion_n,
            n_test=self.erosion_test_n,
            epochs=self.erosion_epochs,
            optimizer=self.erosion_optimizer,
            lr=self.erosion_lr,
            batch_size=self.erosion_batch_size,
            augmentation="none",  # it could crop squares away
            seed=seed,
            keep="ends",
        )
        usual |= other
        size = usual.pop("square_size", self.square_size)
        marked = dict(squares=float(ratio), square_size=size) if ratio else {}
        first = TrainingRun(**usual)
        second = TrainingRun(**usual | marked | dict(weights=first, head="kept"))
        third = TrainingRun(**usual | dict(weights=second, head="kept"))
        return dict(zip(TASKS, (first, second, third), strict=True))
