"""Section 4.4 of paper A: learning, forgetting and robustness, epoch by epoch."""

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Positive, Seeds
from papers.section import Inverted, Piece


class Dynamics(MerlinSection):
    """Section 4.4: one fine-tuning, compared with its start after every epoch (Figures 5, 11–13).

    The test images of each severity are spread over the 15 corruptions. The last epoch is always
    measured.

    Examples
    --------
    >>> list(Dynamics.from_parameters({}).runs())
    ['digits']
    """

    name = "dynamics"
    long = True

    corrupted_n: Positive = Field(100, description="test images for each severity")
    every: Positive = Field(2, description="epochs from one look at the model to the next")
    finetuning_seeds: Seeds = Field(
        (0,), description="repeats of each fine-tuning; an interval takes several"
    )

    def repeats(self) -> dict[str, dict[int, TrainingRun]]:
        """Return the fine-tunings by name and seed, with the weights of every epoch."""
        return {
            dataset: {
                seed: self.finetuning_run(dataset, seed=seed) for seed in self.finetuning_seeds
            }
            for dataset in self.datasets
        }

    def runs(self) -> dict[str, TrainingRun]:
        """Return those of `repeats`, with the seed in their names where there are several."""
        return {
            self.called(name, seed): run
            for name, by_seed in self.repeats().items()
            for seed, run in by_seed.items()
        }

    def called(self, name: str, seed: int) -> str:
        """Return the name of a training, with its seed where there are several."""
        return f"{name}, seed {seed}" if len(self.finetuning_seeds) > 1 else name

    def epochs(self, last: int) -> list[int]:
        """Return the epochs that are looked at, of a training with so many."""
        return [*range(0, last, self.every), last]

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return those that are inverted, and those that are corrupted."""
        return [(name, d, None) for d in self.datasets for name in ("n", "corrupted_n")]

    def to_invert(self) -> list[Inverted]:
        """Return those of the start, and of each epoch that is looked at."""
        return self.inverted_at(self.runs().values(), self.epochs)

    def pieces(self) -> dict[str, Piece]:
        """Return the trajectory of each training."""
        steps = len(self.seeds) * self.n * self.iterations
        found = {}
        for name, run in self.runs().items():
            looks = len(self.epochs(run.epochs))
            found[name] = Piece(run, looks, looks * steps)
        return found
