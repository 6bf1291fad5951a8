"""Compute Figures 1 and 2 of paper C: train every network on two tasks, collect accuracies."""

import xarray as xr

from papers.masarczyk2023.feature_erosion import FeatureErosion
from papers.masarczyk2023.task_logs import task_logs
from papers.work import written


@written("tasks")
def dataset(section: FeatureErosion) -> xr.Dataset:
    """Train, and collect accuracies: dims dataset, model, train_seed, task, epoch."""
    dims = ("dataset", "model", "train_seed")
    return task_logs(section.sequences(), dims, root=section.training_root)
