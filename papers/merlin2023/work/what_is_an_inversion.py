"""Compute the introduction: invert images at every layer, and show them to an untrained model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import xarray as xr

from invlib import compare, load_images, load_model
from papers.merlin2023.what_is_an_inversion import WhatIsAnInversion
from papers.merlin2023.work.base import pretrained_model
from papers.work import best_device, markdown_of, written

if TYPE_CHECKING:
    from IPython.display import Markdown


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


SEEN = 0.2  # correlation of pixels below which an image is hardly seen in another


def resemblance(ds: xr.Dataset) -> list[float]:
    """Return by layer the correlation of the pixels of X and X′, the mean over images."""
    x, inverted = ds["example_images"].astype(float), ds["example_inverted_pt"].astype(float)
    return xr.corr(x, inverted, ["y", "x", "channel"]).mean("example").values.tolist()


def resembling(shown: Mapping[str, xr.Dataset]) -> Markdown:
    """Return in words, for each run, how much X′ resembles X at the first and the last layer."""
    lines = []
    for title, ds in shown.items():
        first, *_, last = resemblance(ds)
        left = "X is still seen in X′" if last > SEEN else "hardly anything of X is seen in X′"
        lines.append(
            f"- **{title}**: the pixels of X and X′ have a correlation of {first:.2f} at layer 0, "
            f"and of {last:.2f} at the last layer, where {left}."
        )
    return markdown_of("\n".join(lines))
