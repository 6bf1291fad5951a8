"""An open question of paper A: do its findings hold on satellite and on medical images?"""

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.across.base import Pool
from papers.parameters import Names, Positive


class OtherImages(Pool):
    """Forgetting, robustness and compression on images that are not photographs of things.

    Examples
    --------
    >>> list(OtherImages().runs())[1:]
    ['digits, adamw:0.0005, 0']
    """

    name = "other_images"
    dims = ("dataset", "setting", "train_seed")
    uses = ("finetuning_task",)  # at the same scale its training is among these

    other_datasets: Names = Field(("digits",), description="what the model is fine-tuned to")
    other_corrupted_n: Positive = Field(100, description="test images for each severity")

    def trainings(self) -> dict[tuple[str, str, int], TrainingRun]:
        """Return the fine-tunings by data set, setting and seed."""
        return {
            (dataset, *key): run
            for dataset in self.other_datasets
            for key, run in self.in_pool(dataset).items()
        }

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return those that are inverted, and those that are corrupted."""
        names = ("n", "other_corrupted_n")
        return [(name, d, None) for d in self.other_datasets for name in names]
