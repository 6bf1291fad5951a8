"""Section 4.2 of paper A: how the pretraining data set changes learning and forgetting."""

from pydantic import Field

from invlib.names import choices
from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Names, Natural, Positive, Seeds
from papers.section import Inverted

NONE = "none"  # no pretraining: a random start
MATCHED = "none, matched"  # a random start, trained as the fine-tunings are
IMAGENET = "imagenet"  # the model of `weights`


class PretrainingDataset(MerlinSection):
    """Section 4.2: learning and forgetting from several starting points (Figures 2 and 3).

    The start ``"imagenet"`` is the model of `weights`, ``"none"`` is a random start. Training from
    it uses the optimiser and the learning rate of the pretraining. ``"none, matched"`` is the same
    random start, trained as the fine-tunings are. Any other name is a model trained here on that
    data set from a random start. A data set is not its own pretraining, so that pair is left out.

    Examples
    --------
    >>> section = PretrainingDataset.from_parameters({"pretrainings": ["shapes", "none"]})
    >>> for name in section.runs():
    ...     print(name)
    digits from shapes
    digits from none
    """

    name = "pretraining_dataset"
    long = True

    targets: Names = Field(("digits",), description="classified from every start")
    pretrainings: Names = Field(
        ("shapes", "none"),
        description='the starts; "imagenet": `weights`; "none, matched": as the fine-tunings',
    )
    scratch_n: Positive | None = Field(
        None, description="training images from a random start; None: all"
    )
    scratch_epochs: Natural = Field(8, description="epochs from a random start")
    train_seeds: Seeds = Field((0,), description="repeats of every training, its start included")

    def starts(self, target: str) -> list[str]:
        """Return the starting points of `target`."""
        return [start for start in self.pretrainings if start != target]

    def scratch_run(self, dataset: str, seed: int = 0) -> TrainingRun:
        """Return the training on `dataset` from a random start; a pretraining is one as well."""
        size = self.scratch_n, self.scratch_epochs
        if self.weights is None and dataset == self.pretraining_dataset:
            size = self.pretraining_n, self.pretraining_epochs
        return self.run_from_scratch(dataset, *size, seed=seed)

    def run_from(self, start: str, target: str, seed: int = 0) -> TrainingRun:
        """Return the training on `target` from one starting point."""
        if start == NONE:
            return self.scratch_run(target, seed)
        if start == MATCHED:
            return self.finetuning_run(target, seed=seed, weights=None)
        if start == IMAGENET:
            if self.weights is None:
                here = [name for name in self.pretrainings if name != IMAGENET]
                choices("pretrainings", start, [*here, self.pretraining_dataset, NONE, MATCHED])
            return self.finetuning_run(target, seed=seed, weights=self.weights)
        start_run = self.scratch_run(start, seed)
        return self.finetuning_run(target, seed=seed, weights=start_run)

    def by_start(self) -> dict[tuple[str, str, int], TrainingRun]:
        """Return a training for each target, each of its starting points and each seed."""
        return {
            (target, start, seed): self.run_from(start, target, seed)
            for target in self.targets
            for start in self.starts(target)
            for seed in self.train_seeds
        }

    def runs(self) -> dict[str, TrainingRun]:
        """Return those of `by_start` by their names."""
        return {self.called(*label): run for label, run in self.by_start().items()}

    def called(self, target: str, start: str, seed: int) -> str:
        """Return the name of a training, with its seed where there are several."""
        return f"{target} from {start}" + (f", seed {seed}" if len(self.train_seeds) > 1 else "")

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return the `n` images of each target."""
        return [("n", target, None) for target in self.targets]

    def to_invert(self) -> list[Inverted]:
        """Return those of each start and of each trained model."""
        return self.inverted_at(self.runs().values())
