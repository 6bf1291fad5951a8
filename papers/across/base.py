"""The pages on questions that paper A leaves open: repeats of trainings."""

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.merlin2023.robustness import Robustness, SettingNames
from papers.merlin2023.trainings import Trainings
from papers.parameters import Seeds
from papers.section import Inverted

__all__ = ["OpenQuestion", "Pool"]


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
