"""An open question of paper A: do its findings hold on satellite and on medical images?"""

from typing import Annotated

from pydantic import AfterValidator, Field

from invlib.training.run import TrainingRun
from papers.across.base import OpenQuestion
from papers.merlin2023.robustness import Robustness, check_trainings
from papers.parameters import Name, Names, Positive, Several


class OtherImages(OpenQuestion):
    """Forgetting, robustness and compression on images that are not photographs of things.

    Each data set is fine-tuned to with several settings, and each setting with several seeds. So
    robustness can be compared across trainings, with clean accuracy held fixed.

    Examples
    --------
    >>> list(OtherImages().runs())[1:]
    ['digits, adamw:0.0005, 0']
    """

    name = "other_images"
    dims = ("dataset", "setting", "train_seed")
    uses = ("finetuning_task",)  # at the same scale its training is among these

    other_datasets: Names = Field(("digits",), description="what the model is fine-tuned to")
    other_settings: Annotated[tuple[Name, ...], *Several, AfterValidator(check_trainings)] = Field(
        ("adamw:0.0005",), description=Robustness.model_fields["trainings"].description
    )
    other_corrupted_n: Positive = Field(100, description="test images for each severity")

    def trainings(self) -> dict[tuple[str, str, int], TrainingRun]:
        """Return the fine-tunings by data set, setting and seed."""
        runs = {}
        for dataset in self.other_datasets:
            for setting in self.other_settings:
                optimizer, lr, *augmentation = setting.split(":")
                fields = dict(optimizer=optimizer, lr=float(lr))
                fields |= dict(augmentation=augmentation[0]) if augmentation else {}
                for seed in self.train_seeds:
                    run = self.finetuning_run(dataset, seed=seed, **fields)
                    runs[dataset, setting, seed] = run
        return runs

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return those that are inverted, and those that are corrupted."""
        names = ("n", "other_corrupted_n")
        return [(name, d, None) for d in self.other_datasets for name in names]

    def to_invert(self) -> list:
        """Return those of the starts alone: forgetting and the flow need no others."""
        return self.inverted_at(self.trainings().values(), lambda _: [])
