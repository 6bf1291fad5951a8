"""Section 3 of paper B (Goerttler & Obermayer 2022): what labels without structure do to a network.

Every network is compared with its own start; repeats of the whole training are dim train_seed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from invlib.training.run import TrainingRun
from papers.goerttler2022.base import LOGGED, GoerttlerSection, _rising
from papers.parameters import Positive, Several

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor


__all__ = ["LearningFromRandomLabels"]


class LearningFromRandomLabels(GoerttlerSection):
    """Section 3: change from the random start, with ever less structure in the labels (Fig. 1–3).

    Parameters
    ----------
    memorised_n : tuple of int
        Numbers of training images with completely random labels, rising (Figure 3b); completely
        random is the largest of `labels_randomness`.

    Examples
    --------
    >>> section = LearningFromRandomLabels.from_parameters({"labels_seeds": [0]})
    >>> for name in section.runs():
    ...     print(name)
    seed 0: d = 0 on 100 images
    seed 0: d = 3 on 100 images
    seed 0: d = 9 on 100 images
    seed 0: d = 9 on 25 images
    """

    name = "learning_from_random_labels"

    memorised_n: Annotated[tuple[Positive, ...], *Several, AfterValidator(_rising)] = (25, 100)

    def runs(self) -> dict[str, TrainingRun]:
        """Return a training for each seed and randomness, and for each number of images."""
        last = self.labels_randomness[-1]
        cells = [(d, self.labels_n) for d in self.labels_randomness]
        cells += [(last, n) for n in self.memorised_n if n != self.labels_n]
        return {
            f"seed {seed}: d = {d} on {n} images": self.scratch_run(seed, d, n)
            for seed in self.labels_seeds
            for d, n in cells
        }

    def dataset(self) -> xr.Dataset:
        """Train, and compare each network with its own random start."""
        import xarray as xr

        started = time.perf_counter()
        images = self.probe_images(self.labels_dataset)
        repeats = [self._repeat(seed, images) for seed in self.labels_seeds]
        ds = xr.concat(repeats, xr.Variable("train_seed", list(self.labels_seeds)), join="exact")
        return self.finish_labels(ds, started)

    def _repeat(self, seed: int, images: Tensor) -> xr.Dataset:
        """All results of one seed."""
        import xarray as xr

        from invlib import train
        from papers.goerttler2022.drift import layerwise_cka

        def trained(randomness: int, n: int):
            return train(self.scratch_run(seed, randomness, n), root=self.training_root)

        # The same seed draws the same initial weights for every task.
        initial = trained(self.labels_randomness[0], self.labels_n).model(0)
        start = self.grams(initial, images)

        def similarity(randomness: int, n: int, epoch: int = -1) -> xr.DataArray:
            model = trained(randomness, n).model(epoch)
            return layerwise_cka(model, self.grams(model, images), start)

        by_randomness = xr.Variable("randomness", list(self.labels_randomness))
        logs = [trained(d, self.labels_n).log for d in self.labels_randomness]
        ds = xr.concat([log[list(LOGGED)] for log in logs], by_randomness)
        ds["cka_reference"] = xr.concat(
            [similarity(d, self.labels_n) for d in self.labels_randomness], by_randomness
        )
        ds["cka_reference_memorised"] = xr.concat(
            [similarity(self.labels_randomness[-1], n) for n in self.memorised_n],
            xr.Variable("n_train", list(self.memorised_n)),
        )
        if 0 in self.labels_randomness:
            epochs = trained(0, self.labels_n).epochs
            ds["cka_reference_trajectory"] = xr.concat(
                [similarity(0, self.labels_n, epoch) for epoch in epochs],
                xr.Variable("epoch", epochs),
            )
        return ds
