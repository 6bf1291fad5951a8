"""Table 1 and appendix C.1 of paper A: accuracies; the correlation of learning and forgetting."""

from invlib.training.run import TrainingRun
from papers.merlin2023.pretraining_dataset import IMAGENET, PretrainingDataset
from papers.section import Inverted


class Accuracy(PretrainingDataset):
    """Table 1, the accuracies of all models, and appendix C.1, from the comparisons.

    Data sets of `datasets` that are not in `targets` are only fine-tuned to, such as EuroSAT and
    Pets in paper A.

    Examples
    --------
    >>> list(Accuracy.from_parameters({"datasets": ["digits", "shapes"]}).runs())
    ['digits from shapes', 'digits from none', 'shapes from shapes']
    """

    name = "accuracy"
    long = False
    uses = ("pretraining_dataset",)

    def by_start(self) -> dict[tuple[str, str, int], TrainingRun]:
        """Return the trainings of `PretrainingDataset`, and those of the other data sets."""
        start = self.pretraining_dataset if self.weights is None else IMAGENET
        return super().by_start() | {
            (dataset, start, seed): self.run_from(start, dataset, seed)
            for dataset in self.datasets
            if dataset not in self.targets
            for seed in self.train_seeds
        }

    def to_invert(self) -> list[Inverted]:
        """Return none: this section reads the comparisons of `PretrainingDataset`."""
        return []
