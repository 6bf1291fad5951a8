"""What every section of paper C (Masarczyk et al. 2023) is run with."""

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
    """What both pages of paper C are run with.

    `erosion_dataset` is that of networks trained from scratch. A seed of `train_seeds` draws
    weights, images and their order; verdicts count these, see `papers.claims.settings`.
    """

    own_trainings = True

    erosion_dataset: Name = "street_digits"
    erosion_n: Positive | None = 800
    erosion_test_n: Positive | None = 300
    erosion_epochs: Positive = Field(10, description="of every task")
    erosion_optimizer: one_of(*OPTIMIZERS) = "sgd"
    erosion_lr: PositiveFloat = 0.05
    erosion_batch_size: Positive = 32
    # 4 hardly erodes street digits; CIFAR-10 needs no more
    square_size: Positive = Field(8, description="pixels of the data set")
    train_seeds: Seeds = Field((0,), description="repeats of the whole sequence")

    def sequence(
        self, model: str, seed: int, *, ratio: float = 1.0, **other: object
    ) -> dict[str, TrainingRun]:
        """Return the run of each task, in order; `ratio` of the images of task 2 carry a square.

        `other` are fields of `TrainingRun` that differ from what this section says. A ratio of 0
        is the control: the first task for twice as long.
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
            augmentation="none",  # which could crop squares away; and tasks are to be alike
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
