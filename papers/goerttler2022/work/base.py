"""What computing both sections of paper B needs: test images, Gram matrices, repeats by seed."""

from collections.abc import Callable

import xarray as xr
from torch import Tensor

from invlib import load_images
from invlib.models.staged import StagedModel
from papers.goerttler2022.base import GoerttlerSection
from papers.goerttler2022.drift import grams_to_logits
from papers.work import best_device, written

__all__ = ["LOGGED", "drift", "grams", "of_every_seed", "probe_images"]

LOGGED = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")

# decorates functions that return kind drift; their trainings have `labels_seeds`
drift = written("drift", seeds=lambda section: section.labels_seeds)


def probe_images(section: GoerttlerSection, dataset: str) -> Tensor:
    """Return the test images on which networks are compared, (n, 3, H, W)."""
    return load_images(dataset, "test").sample(section.labels_images, section.seeds[0]).tensor()


def grams(model: StagedModel, images: Tensor) -> Tensor:
    """Return the Gram matrices of all layers and the logits, on a GPU if there is one."""
    return grams_to_logits(model.to(best_device()), images)


def of_every_seed(section: GoerttlerSection, repeat: Callable[[int], xr.Dataset]) -> xr.Dataset:
    """Return `repeat` of every training seed in one Dataset; first dims dataset, train_seed."""
    by_seed = xr.Variable("train_seed", list(section.labels_seeds))
    ds = xr.concat(map(repeat, section.labels_seeds), by_seed, join="exact")
    return ds.expand_dims(dataset=[section.labels_dataset])
