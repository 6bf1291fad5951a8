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

    The first dims are dataset, pretraining and, if several, train_seed. `pretraining_accuracy` is
    the accuracy of the start on its own data set, NaN if the start was not trained here.
    """
    by_target: dict[str, dict[str, dict[int, xr.Dataset]]] = {}
    labels = section.by_start().items()
    for (target, start, seed), run in tqdm(labels, "comparisons", leave=False, disable=None):
        trained = train(run, root=section.training_root)
        ds = diagonals(compare_finetuned(section, trained.model(0), trained, examples=0))
        ds = ds.assign(pretraining_accuracy=accuracy_before(section, trained))
        by_target.setdefault(target, {}).setdefault(start, {})[seed] = ds
    several = len(section.train_seeds) > 1
    parts = {
        target: stack(
            {
                start: stack(by_seed, "train_seed") if several else next(iter(by_seed.values()))
                for start, by_seed in by_start.items()
            },
            "pretraining",
        )
        for target, by_start in by_target.items()
    }
    ds = xr.concat(list(parts.values()), xr.Variable("dataset", list(parts)), join="outer")
    return ds.sel(pretraining=[start for start in section.pretrainings if start in ds.pretraining])


def accuracy_before(section: PretrainingDataset, trained: Trained) -> float:
    """Return the test accuracy of a run's start on its own data set; NaN if unknown."""
    if trained.run.parent is None:
        return float("nan")
    return float(train(trained.run.parent, root=section.training_root).log.test_accuracy[-1])
