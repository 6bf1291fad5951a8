"""Section 4 of paper B (Goerttler & Obermayer 2022): fine-tuning a network to a new task."""

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.goerttler2022.base import SETUP, GoerttlerSection
from papers.parameters import Name, Positive

__all__ = ["CROSS", "SAME", "SCRATCH", "SHIFTED", "Unlearning"]

SAME = "same domain"  # new images of the pretraining data set, with true or random labels
SHIFTED = "shifted labels"
CROSS = "cross-domain"
SCRATCH = "from scratch"  # the trainings of section 3, for comparison


class Unlearning(GoerttlerSection):
    """Section 4: change from the pretrained weights, for each task (Figures 4 and 5).

    The head of the pretrained network is kept, so all layers start where pretraining ended. Images
    that pretraining has not seen have true, partially random or shifted labels. Cross-domain images
    have true or partially random labels.

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
    long = True
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
    labels_pretraining_epochs: Positive = Field(4, description="epochs of pretraining")
    labels_finetuning_n: Positive = Field(100, description="images of every fine-tuning")
    labels_finetuning_epochs: Positive = Field(25, description="epochs of every fine-tuning")
    cross_domain: Name = Field("street_digits", description="a data set with as many classes")
    label_shift: Positive = Field(1, description="s of eq. 3")

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return those of both data sets."""
        return [*super().samples(), ("labels_images", self.cross_domain, None)]

    def pretraining_run(self, seed: int) -> TrainingRun:
        """Return the pretraining; with equal budgets, the run from scratch on true labels."""
        n, epochs = self.labels_pretraining_n, self.labels_pretraining_epochs
        if (n, epochs) == (self.labels_n, self.labels_epochs):
            return self.scratch_run(seed, 0)
        return self.run(seed, n_train=n, epochs=epochs)

    def task_run(self, seed: int, task: str, randomness: int) -> TrainingRun:
        """Return the training of one task: a fine-tuning, or `SCRATCH`."""
        if task == SCRATCH:
            return self.scratch_run(seed, randomness)
        # Images that pretraining has not seen. The paper takes them from the test split.
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
        """Return every task with each of its degrees of randomness."""
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
