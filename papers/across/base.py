"""The pages on questions that paper A leaves open: repeats of trainings, by the labels of dims."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.merlin2023.robustness import Robustness, check_trainings
from papers.parameters import Name, Seeds, Several
from papers.section import Inverted

__all__ = ["OpenQuestion", "Pool"]


class OpenQuestion(MerlinSection):
    """A question that paper A leaves open. Every training is repeated with each of `train_seeds`.

    A subclass defines `dims` and `trainings`.
    """

    dims: ClassVar[tuple[str, ...]]  # of the results, what the keys of `trainings` are labels of

    train_seeds: Seeds = Field((0,), description="repeats of every training")

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


class Pool(OpenQuestion):
    """A question about trainings with several settings, each repeated with each of `train_seeds`.

    So quantities can be compared across trainings, with clean accuracy held fixed. Only the start
    is inverted: forgetting and the flow need no other model.
    """

    other_settings: Annotated[tuple[Name, ...], *Several, AfterValidator(check_trainings)] = Field(
        ("adamw:0.0005",), description=Robustness.model_fields["trainings"].description
    )

    def by_setting(self, dataset: str) -> dict[tuple[str, int], TrainingRun]:
        """Return the fine-tunings to one data set by setting and seed."""
        runs = {}
        for setting in self.other_settings:
            optimizer, lr, *augmentation = setting.split(":")
            fields = dict(optimizer=optimizer, lr=float(lr))
            fields |= dict(augmentation=augmentation[0]) if augmentation else {}
            for seed in self.train_seeds:
                runs[setting, seed] = self.finetuning_run(dataset, seed=seed, **fields)
        return runs

    def to_invert(self) -> list[Inverted]:
        """Return those of the starts."""
        return self.inverted_at(self.trainings().values(), lambda _: [])
