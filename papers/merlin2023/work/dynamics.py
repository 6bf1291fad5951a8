"""Compute section 4.4 of paper A: compare every epoch of a fine-tuning with its start."""

import numpy as np
import torch
import xarray as xr
from tqdm.auto import tqdm

from invlib import load_images, train
from invlib.comparison.stacking import stack
from invlib.metrics.invariance import diagonals
from invlib.models.staged import StagedModel
from invlib.training.checkpoints import Trained
from invlib.training.evaluation import evaluate
from papers.corruptions.corrupted_sets import CorruptedSet, corrupted_sets
from papers.merlin2023.dynamics import Dynamics
from papers.merlin2023.work.base import compare_finetuned, pretrained_model
from papers.work import written


@written("comparison")
def dataset(section: Dynamics) -> xr.Dataset:
    """Compare every epoch with the start; first dims dataset, train_seed if several, epoch."""
    return stack(by_name(section), "dataset")


def by_name(section: Dynamics, inverted: tuple[str, ...] = ("pt", "ft")) -> dict[str, xr.Dataset]:
    """Return the trajectory of each of `repeats`, with a dim train_seed if there are several."""
    pretrained, parts = pretrained_model(section), {}
    for name, by_seed in section.repeats().items():
        of_seed = {}
        for seed, run in by_seed.items():
            trained = train(run, root=section.training_root)
            of_seed[seed] = trajectory(section, pretrained, trained, inverted)
        several = len(of_seed) > 1
        parts[name] = stack(of_seed, "train_seed", shared=True) if several else of_seed[seed]
    return parts


def trajectory(
    section: Dynamics,
    pretrained: StagedModel,
    trained: Trained,
    inverted: tuple[str, ...] = ("pt", "ft"),
) -> xr.Dataset:
    """Return the diagonals and accuracies of every epoch of one training.

    The pretrained model is inverted once for all epochs. If only ``"pt"`` is `inverted`, the result
    has forgetting but no learning.
    """
    tests = load_images(trained.run.dataset, "test")
    sets = corrupted_sets(tests, n=section.corrupted_n, severities=range(6))
    parts = {}
    epochs = section.epochs(trained.run.epochs)
    for epoch in tqdm(epochs, desc="epochs", leave=False, disable=None):
        ds = compare_finetuned(section, pretrained, trained, epoch, inverted=inverted, examples=0)
        accuracy = accuracies(trained.model(epoch).to(pretrained.device), sets)
        parts[epoch] = diagonals(ds).drop_dims("iteration").assign(corrupted_accuracy=accuracy)
    return stack(parts, "epoch", shared=True)


def accuracies(
    model: StagedModel, sets: dict[int, CorruptedSet], chosen: np.ndarray | slice = slice(None)
) -> xr.DataArray:
    """Return accuracy on the `chosen` images by severity; 0 are the clean images."""
    by_severity = {}
    for severity, corrupted in sets.items():
        pixels, labels = corrupted.images.images[chosen], corrupted.images.labels[chosen]
        arrays = (torch.tensor(array, device=model.device) for array in (pixels, labels))
        by_severity[severity] = evaluate(model, *arrays)["accuracy"]
    return xr.DataArray([*by_severity.values()], {"severity": [*by_severity]}, ["severity"])
