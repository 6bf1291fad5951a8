"""Compute the introduction: invert images at every layer, and show them to an untrained model."""

import xarray as xr

from invlib import compare, load_images, load_model
from papers.merlin2023.what_is_an_inversion import WhatIsAnInversion
from papers.merlin2023.work.base import pretrained_model
from papers.work import best_device, written


@written("comparison", seeds=lambda section: section.seeds[:1])
def dataset(section: WhatIsAnInversion) -> xr.Dataset:
    """Compare the pretrained model with an untrained one of the same architecture."""
    pretrained = pretrained_model(section).to(best_device())
    untrained = load_model(section.model, img_size=pretrained.img_size, seed=section.train_seed + 1)
    n = max(4, section.gallery)
    return compare(
        pretrained,
        untrained.to(pretrained.device),
        load_images(section.datasets[0], "test"),
        n=n,
        seeds=section.seeds[:1],
        iterations=section.iterations,
        optimizer=section.recipe,
        step=section.step,
        subspace_k=section.directions(n),
        examples=3,  # what the page shows
        cache=section.inversions,
    )
