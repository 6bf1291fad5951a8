"""Section 4 of paper B (Goerttler & Obermayer 2022): what fine-tuning makes of pretraining."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invlib.training.run import TrainingRun
from papers.goerttler2022.base import LOGGED, SETUP, GoerttlerSection
from papers.parameters import Name, Positive

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

__all__ = ["CROSS", "SAME", "SCRATCH", "SHIFTED", "Unlearning"]

SAME = "same domain"  # other images of the data set pretrained on, its own labels or random ones
SHIFTED = "shifted labels"
CROSS = "cross-domain"
SCRATCH = "from scratch"  # no fine-tuning: the trainings of section 3, beside it


class Unlearning(GoerttlerSection):
    """Section 4: change from the pretrained weights, task by task (Figures 4 and 5).

    The head of the pretrained network stays, so that all layers start where pretraining ended. On
    the images that pretraining has not seen, the labels are the data set's own, partially random
    or shifted; the cross-domain images have their own labels, or partially random ones.

    Parameters
    ----------
    labels_pretraining_n, labels_pretraining_epochs
        Images and epochs of pretraining on `labels_dataset`.
    labels_finetuning_n, labels_finetuning_epochs
        Of every fine-tuning.
    cross_domain : str
        Data set of the cross-domain task, with as many classes.
    label_shift : int
        s of eq. 3.

    Examples
    --------
    >>> section = Unlearning.from_parameters({"labels_seeds": [0], "labels_randomness": [0, 9]})
    >>> for name in section.runs():
    ...     print(name)
    seed 0: pretraining
    seed 0: same domain, d = 0
    seed 0: same domain, d = 9
    seed 0: shifted labels, d = 0
    seed 0: cross-domain, d = 0
    seed 0: cross-domain, d = 9
    seed 0: from scratch, d = 0
    seed 0: from scratch, d = 9
    """

    name = "unlearning"
    compared = SETUP | {
        "labels_n": "training images from scratch",
        "labels_epochs": "epochs from scratch",
        "labels_pretraining_n": "images of pretraining",
        "labels_pretraining_epochs": "epochs of pretraining",
        "labels_finetuning_n": "images of fine-tuning",
        "labels_finetuning_epochs": "epochs of fine-tuning",
        "cross_domain": "cross-domain data set",
    }

    labels_pretraining_n: Positive = 600
    labels_pretraining_epochs: Positive = 4
    labels_finetuning_n: Positive = 100
    labels_finetuning_epochs: Positive = 45
    cross_domain: Name = "street_digits"
    label_shift: Positive = 1

    def pretraining_run(self, seed: int) -> TrainingRun:
        """Return the pretraining; where it is the scratch run of the true task, that very run."""
        n, epochs = self.labels_pretraining_n, self.labels_pretraining_epochs
        if (n, epochs) == (self.labels_n, self.labels_epochs):
            return self.scratch_run(seed, 0)
        return self.run(seed, n_train=n, epochs=epochs)

    def task_run(self, seed: int, task: str, randomness: int) -> TrainingRun:
        """Return the training of one task: a fine-tuning, or `SCRATCH`."""
        if task == SCRATCH:
            return self.scratch_run(seed, randomness)
        # Images that pretraining has not seen; the paper takes them from the test split.
        other = (
            dict(dataset=self.cross_domain)
            if task == CROSS
            else dict(skip=self.labels_pretraining_n)
        )
        return self.run(
            seed,
            weights=self.pretraining_run(seed),
            head="kept",
            n_train=self.labels_finetuning_n,
            epochs=self.labels_finetuning_epochs,
            randomness=randomness,
            shift=self.label_shift if task == SHIFTED else 0,
            **other,
        )

    def tasks(self) -> list[tuple[str, int]]:
        """Return every task with its randomness; labels are shifted only where none is random."""
        every = {SAME: self.labels_randomness, SHIFTED: (0,)}
        every |= {CROSS: self.labels_randomness, SCRATCH: self.labels_randomness}
        return [(task, d) for task, degrees in every.items() for d in degrees]

    def runs(self) -> dict[str, TrainingRun]:
        """Return, for each seed, the pretraining and a training for each task."""
        runs = {}
        for seed in self.labels_seeds:
            runs[f"seed {seed}: pretraining"] = self.pretraining_run(seed)
            for task, d in self.tasks():
                runs[f"seed {seed}: {task}, d = {d}"] = self.task_run(seed, task, d)
        return runs

    def dataset(self) -> xr.Dataset:
        """Train, and compare each network with the pretrained and the initial one.

        Each on test images of its own task, not relabelled: cross-domain ones for that task.
        """
        import xarray as xr

        started = time.perf_counter()
        datasets = {self.labels_dataset, self.cross_domain}
        images = {dataset: self.probe_images(dataset) for dataset in datasets}
        repeats = [self._repeat(seed, images) for seed in self.labels_seeds]
        ds = xr.concat(repeats, xr.Variable("train_seed", list(self.labels_seeds)), join="exact")
        return self.finish_labels(ds, started)

    @staticmethod
    def destinations(ds: xr.Dataset) -> dict[str, xr.DataArray]:
        """Return Figure 5: by task, CKA with the initial and the pretrained network."""
        cells = {
            "true labels (5a)": (SAME, 0),
            "random labels (5b)": (SAME, int(ds["randomness"][-1])),
            "shifted labels (5c)": (SHIFTED, 0),
            "cross-domain (5d)": (CROSS, 0),
        }
        cka = ds["cka_reference"]
        return {words: cka.sel(task=task, randomness=d) for words, (task, d) in cells.items()}

    def _repeat(self, seed: int, images: dict[str, Tensor]) -> xr.Dataset:
        """All results of one seed; NaN for what is no task, or was not started from."""
        import numpy as np
        import xarray as xr

        from invlib import train
        from papers.goerttler2022.drift import layerwise_cka

        first = train(self.pretraining_run(seed), root=self.training_root)
        starts = {"initial": first.model(0), "pretrained": first.model()}
        grams = {
            (dataset, name): self.grams(model, x)
            for dataset, x in images.items()
            for name, model in starts.items()
        }
        similar, logs = {}, {}
        for task, d in self.tasks():
            trained = train(self.task_run(seed, task, d), root=self.training_root)
            model, dataset = trained.model(), trained.run.dataset
            after = self.grams(model, images[dataset])
            for name in ("initial",) if task == SCRATCH else starts:
                similar[task, d, name] = layerwise_cka(model, after, grams[dataset, name])
            if task != SCRATCH:  # its epochs may be others; section 3 has them
                logs[task, d] = trained.log[list(LOGGED)]

        some, log = next(iter(similar.values())), next(iter(logs.values()))
        grid = {
            "task": list(dict.fromkeys(task for task, _ in self.tasks())),
            "randomness": sorted({d for _, d in self.tasks()}),
        }
        cells = grid | {"reference": list(starts)}
        shape = [len(labels) for labels in cells.values()]
        cka = xr.DataArray(np.full(shape, np.nan), cells, list(cells)) * some
        for (task, d, name), values in similar.items():
            cka.loc[dict(task=task, randomness=d, reference=name)] = values
        curves = xr.DataArray(np.full(shape[:2], np.nan), grid, list(grid)) * log
        for (task, d), values in logs.items():
            for name in LOGGED:
                curves[name].loc[dict(task=task, randomness=d)] = values[name]
        return curves.assign(cka_reference=cka)
