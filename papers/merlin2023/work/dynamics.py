"""Compute section 4.4 of paper A: compare every epoch of a fine-tuning with its start."""

from collections.abc import Callable

import numpy as np
import torch
import xarray as xr
from tqdm.auto import tqdm

from invlib import load_images, train
from invlib.comparison.stacking import stack
from invlib.metrics.invariance import diagonals
from invlib.models.staged import StagedModel
from invlib.training.evaluation import evaluate
from papers.corruptions.corrupted_sets import CorruptedSet, corrupted_sets
from papers.merlin2023.dynamics import Dynamics
from papers.merlin2023.work.base import compare_finetuned, pretrained_model
from papers.work import kept, written


@written("comparison")
def dataset(section: Dynamics) -> xr.Dataset:
    """Compare every epoch with the start; first dims dataset, train_seed if several, epoch."""
    return stack(by_name(section, piece), "dataset")


@kept
def piece(section: Dynamics, name: str) -> xr.Dataset:
    """Return the trajectory of one of the section's `pieces`."""
    return trajectory(section, name)


def by_name(
    section: Dynamics, piece: Callable[[Dynamics, str], xr.Dataset]
) -> dict[str, xr.Dataset]:
    """Return the trajectory of each of `repeats`, with a dim train_seed if there are several."""
    parts = {}
    for name, by_seed in section.repeats().items():
        of_seed = {seed: piece(section, section.called(name, seed)) for seed in by_seed}
        several = len(of_seed) > 1
        parts[name] = (
            stack(of_seed, "train_seed", shared=True) if several else of_seed[min(of_seed)]
        )
    return parts


def trajectory(
    section: Dynamics, name: str, inverted: tuple[str, ...] = ("pt", "ft")
) -> xr.Dataset:
    """Return the diagonals and accuracies of every epoch of one training.

    The pretrained model is inverted once for all epochs. If only ``"pt"`` is `inverted`, the result
    has forgetting but no learning.
    """
    pretrained = pretrained_model(section)
    trained = train(section.runs()[name], root=section.training_root)
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
