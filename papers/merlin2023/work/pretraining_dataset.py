"""Compute section 4.2 of paper A: train from every start, compare each model with its start."""

import xarray as xr
from tqdm.auto import tqdm

from invlib import train
from invlib.comparison.stacking import stack
from invlib.metrics.invariance import diagonals
from invlib.training.checkpoints import Trained
from papers.merlin2023.pretraining_dataset import PretrainingDataset
from papers.merlin2023.work.base import compare_finetuned
from papers.work import written


@written("comparison")
def dataset(section: PretrainingDataset) -> xr.Dataset:
    """Train, invert and compare each model with its own start. Only diagonals are kept.

    The first dims are dataset and pretraining. `pretraining_accuracy` is the accuracy of the start
    on its own data set, NaN if the start was not trained here.
    """
    runs = section.runs()
    parts: dict[str, dict[str, xr.Dataset]] = {target: {} for target in section.targets}
    for name, run in tqdm(runs.items(), desc="comparisons", leave=False, disable=None):
        target, start = name.split(" from ")
        trained = train(run, root=section.training_root)
        ds = diagonals(compare_finetuned(section, trained.model(0), trained, examples=0))
        accuracy = accuracy_before(section, trained)
        parts[target][start] = ds.assign(pretraining_accuracy=accuracy)
    starts = [p for p in section.pretrainings if any(p in by_start for by_start in parts.values())]
    return xr.concat(
        [stack(by_start, "pretraining") for by_start in parts.values()],
        xr.Variable("dataset", list(parts)),
        join="outer",
    ).sel(pretraining=starts)


def accuracy_before(section: PretrainingDataset, trained: Trained) -> float:
    """Return the test accuracy of a run's start on its own data set; NaN if unknown."""
    if trained.run.parent is None:
        return float("nan")
    return float(train(trained.run.parent, root=section.training_root).log.test_accuracy[-1])
