"""An open question of paper A: do learning and forgetting grow with the data, or with the steps?"""

from typing import Annotated

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.across.base import OpenQuestion
from papers.parameters import Positive, Several

__all__ = ["BUDGETS", "DataSetSize"]

BUDGETS = ("steps", "epochs")


class DataSetSize(OpenQuestion):
    """Fine-tuning on more or fewer images, at equal steps and at equal epochs.

    The usual training, on `finetuning_n` images for `finetuning_epochs`, belongs to both. Without
    `finetuning_n` it takes all images, of which the largest of `sizes` is the number.

    Examples
    --------
    >>> section = DataSetSize.from_parameters({"finetuning_n": 1000, "sizes": [500, 1000]})
    >>> [run.epochs for run in section.trainings().values()]
    [16, 8, 8, 8]
    """

    name = "data_set_size"
    dims = ("train_seed", "n_train", "budget")
    uses = ("finetuning_task",)  # at the same scale its training and inversions are among these

    sizes: Annotated[tuple[Positive, ...], *Several] = Field(
        (1297,), description="training images; at the laptop scale all digits"
    )

    def trainings(self) -> dict[tuple[int, int, str], TrainingRun]:
        """Return the fine-tuning of every seed, size and budget."""
        return {
            (seed, n, budget): self._run(n, budget, seed)
            for seed in self.train_seeds
            for n in sorted(self.sizes)
            for budget in BUDGETS
        }

    def _run(self, n: int, budget: str, seed: int) -> TrainingRun:
        usual = self.finetuning_n or max(self.sizes)
        if n == usual:
            return self.finetuning_run(self.datasets[0], seed=seed)
        epochs = self.finetuning_epochs
        epochs = max(1, round(epochs * usual / n)) if budget == "steps" else epochs
        fields = dict(n_train=n, epochs=epochs, seed=seed, keep="ends")  # epochs may be many
        return self.finetuning_run(self.datasets[0], **fields)

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return the `n` images of the one data set."""
        return [("n", self.datasets[0], None)]
