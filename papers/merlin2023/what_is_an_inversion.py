"""The introduction: images and what a network takes for them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Positive
from papers.section import best_device

if TYPE_CHECKING:
    import xarray as xr


__all__ = ["WhatIsAnInversion"]


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
