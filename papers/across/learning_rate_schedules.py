"""An open question of paper A: does the early peak of forgetting belong to the schedule?"""

from typing import Annotated

from pydantic import AfterValidator, Field

from invlib.names import SCHEDULES, choices
from invlib.training.run import TrainingRun
from papers.across.base import OpenQuestion
from papers.parameters import Name, Positive, Several
from papers.section import Piece


def _rates(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        schedule, _, lr = value.partition(":")
        choices("equal_sum", schedule, SCHEDULES)
        try:
            fine = float(lr) > 0
        except ValueError:
            fine = False
        if not fine:
            raise ValueError(f"{value!r} is not schedule:learning rate, such as 'cosine:0.02'")
    if len({value.partition(":")[0] for value in values}) < len(values):
        raise ValueError("the same schedule twice")
    return values


def _known(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(choices("equal_peak", value, SCHEDULES) for value in values)


class LearningRateSchedules(OpenQuestion):
    """Forgetting by epoch, and learning at the end, under several schedules of the learning rate.

    The trainings of `equal_sum` have the same sum of learning rates over all steps, so their
    highest rates differ. Those of `equal_peak` have `finetuning_lr` as their highest rate.

    Examples
    --------
    >>> list(LearningRateSchedules.from_parameters({"equal_peak": ["constant"]}).runs())[1:]
    ['cosine, 0', 'constant at equal peak, 0']
    """

    name = "learning_rate_schedules"
    dims = ("schedule", "train_seed")
    uses = ("dynamics",)  # at the same scale its training and inversions are among these

    schedules_dataset: Name = Field("digits", description="what the model is fine-tuned to")
    equal_sum: Annotated[tuple[Name, ...], *Several, AfterValidator(_rates)] = Field(
        ("cosine:0.0005",), description="schedule:highest learning rate"
    )
    equal_peak: Annotated[tuple[Name, ...], AfterValidator(_known)] = Field(
        (), description="schedules that are also run with `finetuning_lr` as the highest rate"
    )
    schedules_every: Positive = Field(4, description="epochs from one look to the next")
    learning_draws: Positive | None = Field(
        None,
        description="of `seeds`, for learning alone, which costs most; None: all",
    )

    def trainings(self) -> dict[tuple[str, int], TrainingRun]:
        """Return the fine-tuning with every schedule and seed."""
        rates = {}
        for value in self.equal_sum:
            schedule, _, lr = value.partition(":")
            rates[schedule] = dict(schedule=schedule, lr=float(lr))
        for schedule in self.equal_peak:
            rates[f"{schedule} at equal peak"] = dict(schedule=schedule, lr=self.finetuning_lr)
        return {
            (label, seed): self.finetuning_run(self.schedules_dataset, seed=seed, **fields)
            for label, fields in rates.items()
            for seed in self.train_seeds
        }

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return the `n` images of the one data set."""
        return [("n", self.schedules_dataset, None)]

    def epochs(self, last: int) -> list[int]:
        """Return the epochs that are looked at, of a training with so many."""
        return [*range(0, last, self.schedules_every), last]

    def pieces(self) -> dict[str, Piece]:
        """Return the epochs of each training. Only the last is inverted."""
        steps = len(self.seeds[: self.learning_draws]) * self.n * self.iterations
        return {
            self.called(key): Piece(run, len(self.epochs(run.epochs)) + 1, steps)
            for key, run in self.trainings().items()
        }
