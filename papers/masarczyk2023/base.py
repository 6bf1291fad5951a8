"""What every section of paper C (Masarczyk et al. 2023) is run with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from invlib.training.run import OPTIMIZERS, TrainingRun
from papers.pages import BesideReference
from papers.parameters import Name, Positive, PositiveFloat, Seeds, one_of

if TYPE_CHECKING:
    pass

__all__ = ["AGAIN", "ORIGINAL", "SQUARES", "SquaresSection"]

ORIGINAL, SQUARES, AGAIN = TASKS = ("original", "squares", "original again")

Ratio = Annotated[float, Field(ge=0, le=1)]


class SquaresSection(BesideReference):
    """What both pages of paper C are run with. The defaults are those of the laptop scale.

    Parameters
    ----------
    erosion_dataset : str
        The data set of networks that are trained from scratch.
    erosion_n, erosion_test_n : int or None
        Images drawn from its two splits; null is all.
    erosion_epochs, erosion_optimizer, erosion_lr, erosion_batch_size
        Of every task.
    square_size : int
        Side of the squares in pixels of the data set.
    train_seeds : tuple of int
        Repeats of the whole sequence: each draws weights, images and their order. Verdicts count
        them, see `papers.pages.settings`.
    """

    own_trainings = True

    erosion_dataset: Name = "street_digits"
    erosion_n: Positive | None = 800
    erosion_test_n: Positive | None = 300
    erosion_epochs: Positive = 10
    erosion_optimizer: one_of(*OPTIMIZERS) = "sgd"
    erosion_lr: PositiveFloat = 0.05
    erosion_batch_size: Positive = 32
    square_size: Positive = 8  # of street digits, which 4 hardly erode; CIFAR-10 needs no more
    train_seeds: Seeds = (0,)

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
