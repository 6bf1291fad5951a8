"""Section 4.4 of paper A across trainings: does forgetting tell robustness in other settings?"""

from typing import Annotated

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.merlin2023.robustness import Robustness, SettingNames, are_short
from papers.merlin2023.trainings import Trainings
from papers.parameters import Positive, Seeds
from papers.section import Inverted


class RobustnessAcrossSettings(Trainings):
    """Forgetting and robustness after the last epoch, over many settings of the training.

    The setting is the unit: its trainings with several seeds are averaged. Only the start is
    inverted, because forgetting needs no other model.

    Examples
    --------
    >>> list(RobustnessAcrossSettings().runs())[1:]
    ['sgd:0.05, 0', 'sgd:0.01, 0', 'adam:0.0005, 0']
    """

    name = "robustness_across_settings"
    dims = ("setting", "train_seed")
    uses = ("robustness",)  # at the laptop scale its trainings are these

    many_settings: SettingNames = Field(
        ("sgd:0.05", "sgd:0.01", "adam:0.0005"),
        description=Robustness.model_fields["trainings"].description,
    )
    many_train_seeds: Seeds = Field((0,), description="repeats of every setting, averaged")
    many_epochs: Positive | None = Field(4, description="of each; None: as `finetuning_epochs`")
    many_n: Positive | None = Field(400, description="training images; None: as `finetuning_n`")
    many_corrupted_n: Annotated[int, Field(ge=30)] = Field(
        100, description="test images for each severity; two halves are compared"
    )

    @property
    def own_trainings(self) -> bool:
        """Whether the notebook does the trainings itself."""
        return are_short(self.many_n, self.many_epochs or self.finetuning_epochs)

    def trainings(self) -> dict[tuple[str, int], TrainingRun]:
        """Return the fine-tunings to the first data set, by setting and seed."""
        size = dict(n_train=self.many_n or self.finetuning_n)
        size |= dict(epochs=self.many_epochs or self.finetuning_epochs)
        return self.by_setting(self.datasets[0], self.many_settings, self.many_train_seeds, **size)

    def to_invert(self) -> list[Inverted]:
        """Return those of the one start."""
        starts = self.trainings().values()
        return [] if self.own_trainings else self.inverted_at(starts, lambda _: [])

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return those that are inverted, and those that are corrupted."""
        return [(name, self.datasets[0], None) for name in ("n", "many_corrupted_n")]
