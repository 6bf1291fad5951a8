"""Table 1 and appendix C.1 of paper A: accuracies, and learning against forgetting."""

from invlib.training.run import TrainingRun
from papers.merlin2023.pretraining_dataset import IMAGENET, PretrainingDataset


class Accuracy(PretrainingDataset):
    """Table 1: how well every model does its task; and appendix C.1, from the comparisons.

    The data sets of paper A that are only fine-tuned to (EuroSAT, Pets) are those of `datasets`
    that are not among the `targets`.

    Examples
    --------
    >>> list(Accuracy.from_parameters({"datasets": ["digits", "shapes"]}).runs())
    ['digits from shapes', 'digits from none', 'shapes from shapes']
    """

    name = "accuracy"
    uses = ("pretraining_dataset",)

    def runs(self) -> dict[str, TrainingRun]:
        """Return the trainings of `PretrainingDataset`, and those of the other data sets."""
        start = self.pretraining_dataset if self.weights is None else IMAGENET
        others = [dataset for dataset in self.datasets if dataset not in self.targets]
        return super().runs() | {
            f"{dataset} from {start}": self.finetuning_run(dataset) for dataset in others
        }
