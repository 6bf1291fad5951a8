"""The sections of paper A (Merlin et al. 2023): which runs and comparisons each of them needs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from invlib.runs import OPTIMIZERS, TASKS, TrainingRun

from .pretrained import Pretrained
from .section import Names, Natural, Positive, PositiveFloat, Several, best_device, one_of

if TYPE_CHECKING:
    import xarray as xr

    from invlib.checkpoints import Trained
    from invlib.models import StagedModel

__all__ = ["FinetuningTask", "MerlinSection", "WhatIsAnInversion"]

RECIPES = ("adam", "fast", "ngd")

# The parameters that a reader compares between a run and the paper.
_SETUP = {
    "model": "model",
    "img_size": "image size (px)",
    "n": "images per seed",
    "recipe": "inversion recipe",
    "iterations": "inversion steps",
    "finetuning_n": "training images",
    "finetuning_epochs": "epochs of fine-tuning",
    "finetuning_optimizer": "optimiser",
    "finetuning_lr": "learning rate",
    "batch_size": "batch size",
}


class MerlinSection(Pretrained):
    """What every section of paper A is run with. The defaults are those of the laptop scale.

    Parameters
    ----------
    n : int
        Images that are inverted, for each seed.
    iterations, recipe, step
        How they are inverted: ``"ngd"`` is the paper's, ``"fast"`` gets furthest in 50 iterations;
        the step is the recipe's own where it is null.
    datasets, tasks
        What it is fine-tuned to, all pairs of the two.
    finetuning_n, finetuning_test_n : int or None
        Images drawn from the training and test split; null is all.
    subspace_k : int
        Directions that the subspace similarity compares.
    """

    compared = _SETUP

    n: Positive = 16
    iterations: Positive = 20
    recipe: one_of(*RECIPES) = "fast"
    step: PositiveFloat | None = None
    subspace_k: Positive = 10

    datasets: Names = ("digits",)
    tasks: Annotated[tuple[one_of(*TASKS), ...], *Several] = ("classification", "reconstruction")
    finetuning_n: Positive | None = None
    finetuning_test_n: Positive | None = None
    finetuning_epochs: Natural = 12
    finetuning_optimizer: one_of(*OPTIMIZERS) = "adamw"
    finetuning_lr: PositiveFloat = 0.0005

    def finetuning_run(
        self, dataset: str, task: str = "classification", **other: object
    ) -> TrainingRun:
        """Return the run that fine-tunes the pretrained model to one task on one data set.

        `other` are fields of `TrainingRun` that differ from what this section says.
        """
        usual = dict(
            model=self.model,
            img_size=self.img_size,
            weights=self.pretraining_run() or self.weights,
            dataset=dataset,
            task=task,
            n_train=self.finetuning_n,
            n_test=self.finetuning_test_n,
            epochs=self.finetuning_epochs,
            optimizer=self.finetuning_optimizer,
            lr=self.finetuning_lr,
            batch_size=self.batch_size,
            augmentation=self.augmentation,
            seed=self.train_seed,
        )
        return TrainingRun(**usual | other)

    def compare(
        self, pretrained: StagedModel, trained: Trained, epoch: int = -1, **other: object
    ) -> xr.Dataset:
        """Compare the pretrained model with a fine-tuned one, on its own data set's test images.

        `other` are arguments of `invlib.compare` that differ from what this section says.
        """
        from invlib import compare, load_images

        device = best_device()
        usual = dict(
            n=self.n,
            seeds=self.seeds,
            iterations=self.iterations,
            optimizer=self.recipe,
            step=self.step,
            subspace_k=self.subspace_k,
            examples=4,  # noise does not compress: a picture a layer is most of the file
            cache=self.cache and self.output.parent / "inversions",
        )
        ds = compare(
            pretrained.to(device),
            trained.model(epoch).to(device),
            load_images(trained.run.dataset, "test"),
            **usual | other,
        )
        log = trained.log.isel(epoch=epoch, drop=True)
        names = [name for name in ("test_loss", "test_accuracy") if name in log]
        return ds.assign({name: log[name] for name in names})


class FinetuningTask(MerlinSection):
    """Section 4.1: what is learnt and forgotten, layer by layer, for two kinds of task.

    Examples
    --------
    >>> section = FinetuningTask.from_parameters({"datasets": ["digits"], "n": 8})
    >>> for name in section.runs():
    ...     print(name)
    pretraining on shapes
    digits: classification
    digits: reconstruction
    """

    name = "finetuning_task"

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, where there is one, and a fine-tuning for each pair."""
        pretraining = self.pretraining_run()
        runs = {f"pretraining on {pretraining.dataset}": pretraining} if pretraining else {}
        for dataset in self.datasets:
            for task in self.tasks:
                runs[f"{dataset}: {task}"] = self.finetuning_run(dataset, task)
        return runs

    def dataset(self) -> xr.Dataset:
        """Train, invert and compare; dims dataset and task stand in front."""
        from invlib import train
        from invlib.comparison import stack

        started = time.perf_counter()
        pretrained = self.pretrained_model()
        by_dataset = {}
        for dataset in self.datasets:
            by_task = {}
            for task in self.tasks:
                trained = train(self.finetuning_run(dataset, task), root=self.training_root)
                by_task[task] = self.compare(pretrained, trained)
            by_dataset[dataset] = stack(by_task, "task", shared=True)
        ds = stack(by_dataset, "dataset")
        return self.finish(ds, kind="comparison", device=pretrained.device, started=started)


class WhatIsAnInversion(MerlinSection):
    """The introduction's pictures: images inverted at every layer, seen by an untrained model too.

    Examples
    --------
    >>> list(WhatIsAnInversion.from_parameters({}).runs())
    ['pretraining on shapes']
    """

    name = "what_is_an_inversion"

    gallery: Positive = 8  # images: enough for a page, few enough for seconds

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, where there is one."""
        run = self.pretraining_run()
        return {f"pretraining on {run.dataset}": run} if run else {}

    def dataset(self) -> xr.Dataset:
        """Compare the pretrained model with an untrained one of the same architecture."""
        from invlib import compare, load_images, load_model

        started = time.perf_counter()
        pretrained = self.pretrained_model().to(best_device())
        untrained = load_model(self.model, img_size=pretrained.img_size, seed=self.train_seed + 1)
        ds = compare(
            pretrained,
            untrained.to(pretrained.device),
            load_images(self.datasets[0], "test"),
            n=max(4, self.gallery),
            seeds=self.seeds[:1],
            iterations=self.iterations,
            optimizer=self.recipe,
            step=self.step,
            subspace_k=min(self.subspace_k, max(4, self.gallery) - 1),
            examples=3,  # what the page shows
            cache=self.cache and self.output.parent / "inversions",
        )
        return self.finish(ds, kind="comparison", device=pretrained.device, started=started)
