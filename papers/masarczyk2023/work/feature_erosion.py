"""Work of Figures 1 and 2: train every network on both tasks, collect accuracies."""

from __future__ import annotations

import time

import xarray as xr

from papers.masarczyk2023.feature_erosion import FeatureErosion
from papers.masarczyk2023.task_logs import task_logs
from papers.work import finish


def dataset(section: FeatureErosion) -> xr.Dataset:
    """Train, and collect accuracies by epoch; dims dataset, model, train_seed, task, epoch."""
    started = time.perf_counter()
    dims = ("dataset", "model", "train_seed")
    ds = task_logs(section.sequences(), dims, root=section.training_root)
    return finish(section, ds, kind="tasks", device=ds.attrs["device"], started=started)
