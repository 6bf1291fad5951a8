"""The pages on several trainings, such as open questions of paper A: runs by labels of dims."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.merlin2023.robustness import Robustness, SettingNames, fields_of
from papers.parameters import Seeds
from papers.section import Inverted

__all__ = ["OpenQuestion", "Pool", "Trainings"]


class Trainings(MerlinSection):
    """Several fine-tunings and their start. A subclass defines `dims` and `trainings`."""

    dims: ClassVar[tuple[str, ...]]  # of the results, what the keys of `trainings` are labels of

    def trainings(self) -> Mapping[tuple[str | int, ...], TrainingRun]:
        """Return the fine-tunings by their labels along `dims`."""
        raise NotImplementedError

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, where there is one, and the fine-tunings."""
        tuned = {", ".join(map(str, key)): run for key, run in self.trainings().items()}
        return self.pretraining_by_name() | tuned

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


class OpenQuestion(Trainings):
    """A question that paper A leaves open. Each training is repeated with all `train_seeds`."""

    train_seeds: Seeds = Field((0,), description="repeats of every training")


class Pool(OpenQuestion):
    """A question about trainings with several settings, each repeated with each of `train_seeds`.

    So quantities can be compared across trainings, with clean accuracy held fixed. Only the start
    is inverted: forgetting and the flow need no other model.
    """

    other_settings: SettingNames = Field(
        ("adamw:0.0005",), description=Robustness.model_fields["trainings"].description
    )

    def in_pool(self, dataset: str) -> dict[tuple[str, int], TrainingRun]:
        """Return the fine-tunings to one data set by setting and seed."""
        return self.by_setting(dataset, self.other_settings, self.train_seeds)

    def to_invert(self) -> list[Inverted]:
        """Return those of the starts."""
        return self.inverted_at(self.trainings().values(), lambda _: [])
