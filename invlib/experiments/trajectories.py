"""Section 4.4 of paper A: learning, forgetting and robustness, epoch by epoch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from invlib.runs import AUGMENTATIONS, OPTIMIZERS, TrainingRun

from .merlin import MerlinSection
from .section import Name, Positive, Several

if TYPE_CHECKING:
    import xarray as xr

    from invlib.checkpoints import Trained
    from invlib.corruptions import CorruptedSet
    from invlib.models import StagedModel

__all__ = ["Dynamics", "Robustness"]


class Dynamics(MerlinSection):
    """Section 4.4: one fine-tuning, compared with its start after every epoch (Figures 5, 11–13).

    Parameters
    ----------
    corrupted_n : int
        Test images for each severity, spread over the 15 corruptions.
    every : int
        Every how many epochs the model is looked at; the last one always.

    Examples
    --------
    >>> list(Dynamics.from_parameters({}).runs())
    ['digits']
    """

    name = "dynamics"

    corrupted_n: Positive = 200
    every: Positive = 3

    def runs(self) -> dict[str, TrainingRun]:
        """Return the fine-tuning to each data set, of which every epoch is kept."""
        return {dataset: self.finetuning_run(dataset) for dataset in self.datasets}

    def dataset(self) -> xr.Dataset:
        """Compare every epoch with the start; dims dataset and epoch stand in front."""
        from invlib import train
        from invlib.comparison import stack

        started = time.perf_counter()
        pretrained = self.pretrained_model()
        parts = {}
        for dataset, run in self.runs().items():
            trained = train(run, root=self.training_root)
            parts[dataset] = self.trajectory(pretrained, trained)
        ds = stack(parts, "dataset")
        return self.finish(ds, kind="comparison", device=pretrained.device, started=started)

    def trajectory(
        self, pretrained: StagedModel, trained: Trained, inverted: tuple[str, ...] = ("pt", "ft")
    ) -> xr.Dataset:
        """Return diagonals and accuracies of every epoch of one training.

        The pretrained model is inverted once for all of them. Where only it is `inverted`, there
        is forgetting and no learning.
        """
        from tqdm.auto import tqdm

        from invlib import load_images
        from invlib.comparison import stack
        from invlib.corruptions import corrupted_sets
        from invlib.invariance import diagonals

        tests = load_images(trained.run.dataset, "test")
        sets = corrupted_sets(tests, n=self.corrupted_n, severities=range(6))
        parts = {}
        epochs = [e for e in trained.epochs if e % self.every == 0 or e == trained.epochs[-1]]
        for epoch in tqdm(epochs, desc="epochs", leave=False, disable=None):
            ds = self.compare(pretrained, trained, epoch, inverted=inverted, examples=0)
            accuracy = _accuracies(trained.model(epoch).to(pretrained.device), sets)
            parts[epoch] = diagonals(ds).drop_dims("iteration").assign(corrupted_accuracy=accuracy)
        return stack(parts, "epoch", shared=True)


def _accuracies(model: StagedModel, sets: dict[int, CorruptedSet]) -> xr.DataArray:
    """Accuracy by severity, 0 being the clean images."""
    import torch
    import xarray as xr

    from invlib.evaluation import evaluate

    found = {}
    for severity, corrupted in sets.items():
        pixels, labels = corrupted.images.images, corrupted.images.labels
        arrays = (torch.tensor(array, device=model.device) for array in (pixels, labels))
        found[severity] = evaluate(model, *arrays)["accuracy"]
    return xr.DataArray(list(found.values()), {"severity": list(found)}, ["severity"])


def _trainings(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        optimizer, lr, augmentation = [*value.split(":"), "", ""][:3]
        try:
            fine = float(lr) > 0
        except ValueError:
            fine = False
        if optimizer not in OPTIMIZERS or not fine or augmentation not in ("", *AUGMENTATIONS):
            raise ValueError(
                f"{value!r} is not optimiser:learning rate[:augmentation], such as 'sgd:0.001' or "
                f"'adam:0.0001:none'; optimisers are {', '.join(OPTIMIZERS)}, augmentations "
                f"{', '.join(AUGMENTATIONS)}"
            )
    return values


class Robustness(Dynamics):
    """Section 4.4 and appendix E.1: does the spread of forgetting tell robustness?

    The correlation scan reads the results of `Dynamics`; Figures 6 and 15 need more trainings.

    Parameters
    ----------
    trainings : tuple of str
        ``"optimiser:learning rate[:augmentation]"`` of the trainings that are compared.
    trainings_epochs, trainings_n
        How long, and on how many images (null: as `finetuning_n`).

    Examples
    --------
    >>> list(Robustness.from_parameters({"trainings": ["sgd:0.01", "adam:0.001:none"]}).runs())
    ['sgd:0.01', 'adam:0.001:none']
    """

    name = "robustness"
    uses = ("dynamics",)

    trainings: Annotated[tuple[Name, ...], *Several, AfterValidator(_trainings)] = (
        "sgd:0.05",
        "sgd:0.01",
        "adam:0.0005",
    )
    trainings_epochs: Positive = 6
    trainings_n: Positive | None = 400

    @property
    def own_trainings(self) -> bool:
        """Whether the notebook does the trainings: on so few images each is done in seconds."""
        return self.trainings_n is not None and self.trainings_n * self.trainings_epochs <= 5_000

    def runs(self) -> dict[str, TrainingRun]:
        """Return the fine-tunings to the first data set, by what they are called in `trainings`."""
        runs = {}
        for name in self.trainings:
            optimizer, lr, *augmentation = name.split(":")
            runs[name] = self.finetuning_run(
                self.datasets[0],
                n_train=self.trainings_n or self.finetuning_n,
                epochs=self.trainings_epochs,
                optimizer=optimizer,
                lr=float(lr),
                augmentation=augmentation[0] if augmentation else self.augmentation,
            )
        return runs

    def dataset(self) -> xr.Dataset:
        """Follow forgetting and corrupted accuracy through every training; dim optimizer."""
        from invlib import train
        from invlib.comparison import stack

        started = time.perf_counter()
        pretrained = self.pretrained_model()
        parts = {}
        for name, run in self.runs().items():
            trained = train(run, root=self.training_root)
            parts[name] = self.trajectory(pretrained, trained, inverted=("pt",))
        ds = stack(parts, "optimizer", shared=True).assign_coords(dataset=self.datasets[0])
        return self.finish(ds, kind="comparison", device=pretrained.device, started=started)
