"""Compute section 4 of paper B: fine-tune to every task, compare with both earlier networks."""

import numpy as np
import xarray as xr
from torch import Tensor

from invlib import train
from papers.goerttler2022.drift import layerwise_cka
from papers.goerttler2022.unlearning import CROSS, SAME, SCRATCH, SHIFTED, Unlearning
from papers.goerttler2022.work.base import LOGGED, drift, grams, of_every_seed, probe_images


@drift
def dataset(section: Unlearning) -> xr.Dataset:
    """Train, and compare each network with the pretrained and the initial one.

    Images are test images of the task's data set, so cross-domain ones for that task.
    """
    datasets = {section.labels_dataset, section.cross_domain}
    images = {dataset: probe_images(section, dataset) for dataset in datasets}
    return of_every_seed(section, lambda seed: _repeat(section, seed, images))


def destinations(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the curves of Figure 5: CKA with the initial and the pretrained network, by task."""
    cells = {
        "true labels (5a)": (SAME, 0),
        "random labels (5b)": (SAME, int(ds["randomness"][-1])),
        "shifted labels (5c)": (SHIFTED, 0),
        "cross-domain (5d)": (CROSS, 0),
    }
    cka = ds["cka_reference"]
    return {words: cka.sel(task=task, randomness=d) for words, (task, d) in cells.items()}


def _repeat(section: Unlearning, seed: int, images: dict[str, Tensor]) -> xr.Dataset:
    """Return all results of one seed; NaN for combinations that do not exist."""
    first = train(section.pretraining_run(seed), root=section.training_root)
    starts = {"initial": first.model(0), "pretrained": first.model()}
    grams_of_starts = {
        (dataset, name): grams(model, x)
        for dataset, x in images.items()
        for name, model in starts.items()
    }
    ckas, logs = {}, {}
    for task, d in section.tasks():
        trained = train(section.task_run(seed, task, d), root=section.training_root)
        model, dataset = trained.model(), trained.run.dataset
        after = grams(model, images[dataset])
        for name in ("initial",) if task == SCRATCH else starts:
            ckas[task, d, name] = layerwise_cka(model, after, grams_of_starts[dataset, name])
        if task != SCRATCH:  # it may have more epochs, and section 3 has its log
            logs[task, d] = trained.log[list(LOGGED)]

    example, log = next(iter(ckas.values())), next(iter(logs.values()))
    grid = {
        "task": list(dict.fromkeys(task for task, _ in section.tasks())),
        "randomness": sorted({d for _, d in section.tasks()}),
    }
    cells = grid | {"reference": list(starts)}
    shape = [len(labels) for labels in cells.values()]
    cka = xr.DataArray(np.full(shape, np.nan), cells, list(cells)) * example
    for (task, d, name), values in ckas.items():
        cka.loc[dict(task=task, randomness=d, reference=name)] = values
    curves = xr.DataArray(np.full(shape[:2], np.nan), grid, list(grid)) * log
    for (task, d), values in logs.items():
        for name in LOGGED:
            curves[name].loc[dict(task=task, randomness=d)] = values[name]
    return curves.assign(cka_reference=cka)
