"""Section 4 of paper B (Goerttler & Obermayer 2022): what fine-tuning makes of pretraining."""

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.goerttler2022.base import SETUP, GoerttlerSection
from papers.parameters import Name, Positive

__all__ = ["CROSS", "SAME", "SCRATCH", "SHIFTED", "Unlearning"]

SAME = "same domain"  # other images of the data set pretrained on, its own labels or random ones
SHIFTED = "shifted labels"
CROSS = "cross-domain"
SCRATCH = "from scratch"  # no fine-tuning: the trainings of section 3, beside it


class Unlearning(GoerttlerSection):
    """Section 4: change from the pretrained weights, task by task (Figures 4 and 5).

    The head of the pretrained network stays, so that all layers start where pretraining ended. On
    the images that pretraining has not seen, the labels are the data set's own, partially random
    or shifted; the cross-domain images have their own labels, or partially random ones.

    Examples
    --------
    >>> section = Unlearning.from_parameters({"labels_seeds": [0], "labels_randomness": [0, 9]})
    >>> for name in section.runs():
    ...     print(name)
    seed 0: pretraining
    seed 0: same domain, d = 0
    seed 0: same domain, d = 9
    seed 0: shifted labels, d = 0
    seed 0: cross-domain, d = 0
    seed 0: cross-domain, d = 9
    seed 0: from scratch, d = 0
    seed 0: from scratch, d = 9
    """

    name = "unlearning"
    compared = SETUP | {
        "labels_n": "training images from scratch",
        "labels_epochs": "epochs from scratch",
        "labels_pretraining_n": "images of pretraining",
        "labels_pretraining_epochs": "epochs of pretraining",
        "labels_finetuning_n": "images of fine-tuning",
        "labels_finetuning_epochs": "epochs of fine-tuning",
        "cross_domain": "cross-domain data set",
    }

    labels_pretraining_n: Positive = Field(600, description="images of `labels_dataset`")
    labels_pretraining_epochs: Positive = 4
    labels_finetuning_n: Positive = Field(100, description="images of every fine-tuning")
    labels_finetuning_epochs: Positive = 45
    cross_domain: Name = Field("street_digits", description="a data set with as many classes")
    label_shift: Positive = Field(1, description="s of eq. 3")

    def pretraining_run(self, seed: int) -> TrainingRun:
        """Return the pretraining; where it is the scratch run of the true task, that very run."""
        n, epochs = self.labels_pretraining_n, self.labels_pretraining_epochs
        if (n, epochs) == (self.labels_n, self.labels_epochs):
            return self.scratch_run(seed, 0)
        return self.run(seed, n_train=n, epochs=epochs)

    def task_run(self, seed: int, task: str, randomness: int) -> TrainingRun:
        """Return the training of one task: a fine-tuning, or `SCRATCH`."""
        if task == SCRATCH:
            return self.scratch_run(seed, randomness)
        # Images that pretraining has not seen; the paper takes them from the test split.
        other = (
            dict(dataset=self.cross_domain)
            if task == CROSS
            else dict(skip=self.labels_pretraining_n)
        )
        return self.run(
            seed,
            weights=self.pretraining_run(seed),
            head="kept",
            n_train=self.labels_finetuning_n,
            epochs=self.labels_finetuning_epochs,
            randomness=randomness,
            shift=self.label_shift if task == SHIFTED else 0,
            **other,
        )

    def tasks(self) -> list[tuple[str, int]]:
        """Return every task with its randomness; labels are shifted only where none is random."""
        every = {SAME: self.labels_randomness, SHIFTED: (0,)}
        every |= {CROSS: self.labels_randomness, SCRATCH: self.labels_randomness}
        return [(task, d) for task, degrees in every.items() for d in degrees]

    def runs(self) -> dict[str, TrainingRun]:
        """Return, for each seed, the pretraining and a training for each task."""
        runs = {}
        for seed in self.labels_seeds:
            runs[f"seed {seed}: pretraining"] = self.pretraining_run(seed)
            for task, d in self.tasks():
                runs[f"seed {seed}: {task}, d = {d}"] = self.task_run(seed, task, d)
        return runs
