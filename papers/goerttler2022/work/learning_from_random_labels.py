"""Compute section 3 of paper B: train on labels of every randomness, compare with the start."""

import xarray as xr
from torch import Tensor

from invlib import train
from invlib.training.checkpoints import Trained
from papers.goerttler2022.drift import layerwise_cka
from papers.goerttler2022.learning_from_random_labels import LearningFromRandomLabels
from papers.goerttler2022.work.base import LOGGED, drift, grams, of_every_seed, probe_images


@drift
def dataset(section: LearningFromRandomLabels) -> xr.Dataset:
    """Train, and compare each network with its own random start."""
    images = probe_images(section, section.labels_dataset)
    return of_every_seed(section, lambda seed: _repeat(section, seed, images))


def _repeat(section: LearningFromRandomLabels, seed: int, images: Tensor) -> xr.Dataset:
    """Return all results of one seed."""
    degrees, n = section.labels_randomness, section.labels_n

    def trained(randomness: int, n: int) -> Trained:
        return train(section.scratch_run(seed, randomness, n), root=section.training_root)

    # The same seed draws the same initial weights for every task.
    start = grams(trained(degrees[0], n).model(0), images)

    def similarity(randomness: int, n: int, epoch: int = -1) -> xr.DataArray:
        model = trained(randomness, n).model(epoch)
        return layerwise_cka(model, grams(model, images), start)

    by_randomness = xr.Variable("randomness", list(degrees))
    ds = xr.concat([trained(d, n).log[list(LOGGED)] for d in degrees], by_randomness)
    ds["cka_reference"] = xr.concat([similarity(d, n) for d in degrees], by_randomness)
    ds["cka_reference_memorised"] = xr.concat(
        [similarity(degrees[-1], few) for few in section.memorised_n],
        xr.Variable("n_train", list(section.memorised_n)),
    )
    if 0 in degrees:
        epochs = trained(0, n).epochs
        ds["cka_reference_trajectory"] = xr.concat(
            [similarity(0, n, epoch) for epoch in epochs], xr.Variable("epoch", epochs)
        )
    return ds
