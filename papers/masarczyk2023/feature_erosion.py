"""Paper C (Masarczyk et al. 2023), Figures 1 and 2: accuracy on a task during an easier second one.

A network learns up to three tasks:

1. *original*: the images as they are;
2. *squares*: the same images and labels, with a class-coloured square on all or some images;
3. *original again*: the first task once more.

Network and head are kept from task to task, and all tasks have the same hyperparameters. So the
first task is the third one "from scratch": the same images and budget, but another start.
"""

from pydantic import Field

from invlib.names import OPTIMIZERS
from invlib.training.run import TrainingRun
from papers.masarczyk2023.base import TASKS, SquaresSection
from papers.parameters import Name, Names, Positive, PositiveFloat, one_of
from papers.pretrained import Pretrained


class FeatureErosion(SquaresSection, Pretrained):
    """Figures 1 and 2: accuracy on the first task during both tasks, in several networks.

    `erosion_models` are trained from scratch. The pretrained model is that of paper A's pages, so
    it is trained only once. If `erosion_pretrained` is None, it is left out.

    Examples
    --------
    >>> section = FeatureErosion.from_parameters({})
    >>> for name in section.runs():
    ...     print(name)
    vgg11_bn_cifar_w8 on street_digits, seed 0: original
    vgg11_bn_cifar_w8 on street_digits, seed 0: squares
    vit_nano_patch8_32 on digits, seed 0: original
    vit_nano_patch8_32 on digits, seed 0: squares
    """

    name = "feature_erosion"
    long = True
    notes = {
        "seeds": "of paper A's pages; not used here",
        "model": "the pretrained model, that of paper A's pages",
    }

    erosion_models: Names = Field(
        ("vgg11_bn_cifar_w8",), description="networks trained from scratch"
    )
    erosion_pretrained: Name | None = Field(
        "digits", description="what the pretrained model learns"
    )
    erosion_pretrained_n: Positive | None = Field(800, description="its training images; None: all")
    erosion_pretrained_test_n: Positive | None = Field(
        300, description="its test images; None: all"
    )
    erosion_pretrained_epochs: Positive = Field(4, description="its epochs of each task")
    erosion_pretrained_optimizer: one_of(*OPTIMIZERS) = Field("adamw", description="its optimiser")
    erosion_pretrained_lr: PositiveFloat = Field(0.0005, description="its learning rate")
    pretrained_square_size: Positive = Field(8, description="pixels of its data set")

    def sequences(self) -> dict[tuple[str, str, int], dict[str, TrainingRun]]:
        """Return the runs of the two tasks by (data set, network, seed)."""
        sequences = {}
        for seed in self.train_seeds:
            for model in self.erosion_models:
                sequences[self.erosion_dataset, model, seed] = self.sequence(model, seed)
            if self.erosion_pretrained:
                sequences[self.erosion_pretrained, self.model, seed] = self._pretrained(seed)
        return {key: {task: runs[task] for task in TASKS[:2]} for key, runs in sequences.items()}

    def _pretrained(self, seed: int) -> dict[str, TrainingRun]:
        """Return the tasks of the pretrained model. The first trains a head for the second."""
        return self.sequence(
            self.model,
            seed,
            dataset=self.erosion_pretrained,
            n_train=self.erosion_pretrained_n,
            n_test=self.erosion_pretrained_test_n,
            img_size=self.img_size,
            weights=self.pretraining_run() or self.weights,
            epochs=self.erosion_pretrained_epochs,
            optimizer=self.erosion_pretrained_optimizer,
            lr=self.erosion_pretrained_lr,
            square_size=self.pretrained_square_size,
        )

    def runs(self) -> dict[str, TrainingRun]:
        """Return the trainings of the two tasks, for every network and seed."""
        return {
            f"{model} on {dataset}, seed {seed}: {task}": run
            for (dataset, model, seed), tasks in self.sequences().items()
            for task, run in tasks.items()
        }
