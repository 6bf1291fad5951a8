"""Section 4.4 of paper A: learning, forgetting and robustness, epoch by epoch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Positive

if TYPE_CHECKING:
    import xarray as xr

    from invlib.data.corruptions.corrupted_sets import CorruptedSet
    from invlib.models.staged import StagedModel
    from invlib.training.checkpoints import Trained

__all__ = ["Dynamics"]


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
        from invlib.comparison.compare import stack

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
        from invlib.comparison.compare import stack
        from invlib.data.corruptions.corrupted_sets import corrupted_sets
        from invlib.metrics.invariance import diagonals

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

    from invlib.training.evaluation import evaluate

    found = {}
    for severity, corrupted in sets.items():
        pixels, labels = corrupted.images.images, corrupted.images.labels
        arrays = (torch.tensor(array, device=model.device) for array in (pixels, labels))
        found[severity] = evaluate(model, *arrays)["accuracy"]
    return xr.DataArray(list(found.values()), {"severity": list(found)}, ["severity"])
