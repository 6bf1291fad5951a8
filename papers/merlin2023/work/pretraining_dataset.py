"""Compute section 4.2 of paper A: train from every start, compare each model with its start."""

import json

import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from invlib import forgetting, learning, train
from invlib.comparison.stacking import stack
from invlib.metrics.invariance import diagonals
from invlib.training.checkpoints import Trained
from papers.claims.statistics import interval_over_trainings
from papers.merlin2023.pretraining_dataset import IMAGENET, MATCHED, NONE, PretrainingDataset
from papers.merlin2023.work.base import compare_finetuned, compare_untrained
from papers.work import written


@written("comparison")
def dataset(section: PretrainingDataset) -> xr.Dataset:
    """Train, invert and compare each model with its own start. Only diagonals are kept.

    The first dims are dataset, pretraining and, if several, train_seed. `pretraining_accuracy` is
    the accuracy of the start on its own data set, NaN if the start was not trained here. An
    untrained network sees the X′ of every start, also of a random one, which has another seed.
    """
    by_target: dict[str, dict[str, dict[int, xr.Dataset]]] = {}
    labels = section.by_start().items()
    for (target, start, seed), run in tqdm(labels, "comparisons", leave=False, disable=None):
        trained = train(run, root=section.training_root)
        start_model = trained.model(0)
        ds = diagonals(compare_finetuned(section, start_model, trained, examples=0))
        ds = ds.assign(compare_untrained(section, start_model, target).data_vars)
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


EARLY, LATE = (1, 6), (7, 12)  # the layers that the paper sets apart


def like_with_like(ds: xr.Dataset, *, estimator: str = "debiased") -> pd.DataFrame:
    """Return the start from ImageNet weights between two from random ones, for each data set.

    One is trained with the images, steps and optimiser of the fine-tuning, one with its own. A cell
    is the mean over trainings and half of its 95 % interval over them. `ds` are results of this
    section.
    """
    made = json.loads(ds.attrs["parameters"])
    names = {
        MATCHED: f"random, {made['finetuning_n']:,} images, as fine-tuned",
        IMAGENET: f"ImageNet, {made['finetuning_n']:,} images",
        NONE: f"random, {made['scratch_n']:,} images",
    }
    rows = {
        (dataset, name): _row(ds.sel(dataset=dataset, pretraining=start), estimator)
        for dataset in ds["dataset"].values.tolist()
        for start, name in names.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def by_accuracy(
    scratch: xr.Dataset, sizes: xr.Dataset, *, estimator: str = "debiased"
) -> pd.DataFrame:
    """Return a training from scratch among fine-tunings on fewer or more images, by test accuracy.

    A cell is the mean over trainings and half of its 95 % interval over trainings: all are compared
    on the same images, of which the interval says nothing.

    Parameters
    ----------
    scratch
        Results of this section for one data set.
    sizes
        Those of ``data_set_size`` on the same data set: fine-tunings of the pretrained model.
    """
    made = json.loads(scratch.attrs["parameters"])
    sizes = sizes.sel(seed=[seed for seed in sizes["seed"].values if seed in scratch["seed"]])
    parts = {
        f"from scratch, {made['scratch_n']:,} images": scratch.sel(pretraining=NONE),
        f"from scratch, {made['finetuning_n']:,} images, as fine-tuned": scratch.sel(
            pretraining=MATCHED
        ),
    }
    for n in sizes["n_train"].values.tolist():
        for budget in sizes["budget"].values.tolist():
            same = n == made["finetuning_n"]  # the usual fine-tuning belongs to both budgets
            name = f"pretrained, {n:,} images" + ("" if same else f", equal {budget}")
            parts[name] = sizes.sel(n_train=n, budget=budget)
    accuracy = {name: float(ds["test_accuracy"].mean()) for name, ds in parts.items()}
    rows = {name: _row(parts[name], estimator) for name in sorted(parts, key=accuracy.get)}
    return pd.DataFrame.from_dict(rows, orient="index")


def _row(ds: xr.Dataset, estimator: str) -> dict[str, str]:
    row = {"test accuracy": _with_interval(ds["test_accuracy"])}
    for measure in (learning, forgetting):
        values = measure(ds).sel(estimator=estimator).mean("seed")
        for first, last in (EARLY, LATE):
            level = values.sel(layer=slice(first, last)).mean("layer")
            row[f"{measure.__name__}, layers {first}–{last}"] = _with_interval(level)
    return row


def _with_interval(values: xr.DataArray) -> str:
    found = interval_over_trainings(values)
    return f"{float(found['mean']):.2f} ± {float(found['high'] - found['mean']):.2f}"
