"""Pages on several trainings of one start: the runs by labels of dims."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.merlin2023.robustness import fields_of
from papers.section import Inverted


class Trainings(MerlinSection):
    """Several fine-tunings and their start. A subclass defines `dims` and `trainings`."""

    dims: ClassVar[tuple[str, ...]]  # of the results, what the keys of `trainings` are labels of

    def trainings(self) -> Mapping[tuple[str | int, ...], TrainingRun]:
        """Return the fine-tunings by their labels along `dims`."""
        raise NotImplementedError

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, where there is one, and the fine-tunings."""
        tuned = {self.called(key): run for key, run in self.trainings().items()}
        return self.pretraining_by_name() | tuned

    @staticmethod
    def called(key: tuple[str | int, ...]) -> str:
        """Return the name of a training."""
        return ", ".join(map(str, key))

    def to_invert(self) -> list[Inverted]:
        """Return those of the starts and of each fine-tuned model."""
        return self.inverted_at(dict.fromkeys(self.trainings().values()))

    def by_setting(
        self, dataset: str, settings: Iterable[str], seeds: Iterable[int], **other: object
    ) -> dict[tuple[str, int], TrainingRun]:
        """Return the fine-tunings to one data set by setting and seed; `other` are more fields."""
        return {
            (setting, seed): self.finetuning_run(dataset, seed=seed, **other | fields_of(setting))
            for setting in settings
            for seed in seeds
        }
