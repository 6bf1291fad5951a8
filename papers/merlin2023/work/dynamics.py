"""Work of section 4.4: one fine-tuning, compared with its start epoch by epoch."""

import torch
import xarray as xr
from tqdm.auto import tqdm

from invlib import load_images, train
from invlib.comparison.stacking import stack
from invlib.data.corruptions.corrupted_sets import CorruptedSet, corrupted_sets
from invlib.metrics.invariance import diagonals
from invlib.models.staged import StagedModel
from invlib.training.checkpoints import Trained
from invlib.training.evaluation import evaluate
from papers.merlin2023.dynamics import Dynamics
from papers.merlin2023.work.base import compare_finetuned, pretrained_model
from papers.work import written


@written("comparison")
def dataset(section: Dynamics) -> xr.Dataset:
    """Compare every epoch with the start; dims dataset and epoch stand in front."""
    pretrained = pretrained_model(section)
    parts = {}
    for dataset, run in section.runs().items():
        trained = train(run, root=section.training_root)
        parts[dataset] = trajectory(section, pretrained, trained)
    return stack(parts, "dataset")


def trajectory(
    section: Dynamics,
    pretrained: StagedModel,
    trained: Trained,
    inverted: tuple[str, ...] = ("pt", "ft"),
) -> xr.Dataset:
    """Return diagonals and accuracies of every epoch of one training.

    The pretrained model is inverted once for all of them. Where only it is `inverted`, there is
    forgetting and no learning.
    """
    tests = load_images(trained.run.dataset, "test")
    sets = corrupted_sets(tests, n=section.corrupted_n, severities=range(6))
    parts = {}
    epochs = [e for e in trained.epochs if e % section.every == 0 or e == trained.epochs[-1]]
    for epoch in tqdm(epochs, desc="epochs", leave=False, disable=None):
        ds = compare_finetuned(section, pretrained, trained, epoch, inverted=inverted, examples=0)
        accuracy = _accuracies(trained.model(epoch).to(pretrained.device), sets)
        parts[epoch] = diagonals(ds).drop_dims("iteration").assign(corrupted_accuracy=accuracy)
    return stack(parts, "epoch", shared=True)


def _accuracies(model: StagedModel, sets: dict[int, CorruptedSet]) -> xr.DataArray:
    """Accuracy by severity, 0 being the clean images."""
    found = {}
    for severity, corrupted in sets.items():
        pixels, labels = corrupted.images.images, corrupted.images.labels
        arrays = (torch.tensor(array, device=model.device) for array in (pixels, labels))
        found[severity] = evaluate(model, *arrays)["accuracy"]
    return xr.DataArray(list(found.values()), {"severity": list(found)}, ["severity"])
