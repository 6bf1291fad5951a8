"""Compute Table 1 and appendix C.1 of paper A: accuracies, and correlations over layers."""

import numpy as np
import pandas as pd
import xarray as xr

from invlib import forgetting, learning, train
from invlib.names import SELF_TERMS
from papers.claims.shapes import pearson
from papers.claims.statistics import interval_over_trainings
from papers.claims.tables import REPEATS
from papers.merlin2023.accuracy import Accuracy
from papers.merlin2023.work.pretraining_dataset import accuracy_before
from papers.work import results_of, written


@written("accuracy", device="cpu")
def dataset(section: Accuracy) -> xr.Dataset:
    """Collect test accuracies, and correlate learning with forgetting over the layers."""
    compared = results_of(section, "pretraining_dataset")
    labels = list(section.by_start())
    names = ("dataset", "pretraining", "train_seed")
    grid = {
        name: list(dict.fromkeys(column))
        for name, column in zip(names, zip(*labels, strict=True), strict=True)
    }
    ds = xr.Dataset(
        {
            name: xr.DataArray(np.nan, grid, list(grid))
            for name in ("test_accuracy", "test_loss", "pretraining_accuracy")
        }
    )
    for label, run in section.by_start().items():
        trained = train(run, root=section.training_root)
        cell = dict(zip(names, label, strict=True))
        for name in ("test_accuracy", "test_loss"):
            ds[name].loc[cell] = float(trained.log[name][-1])
        ds["pretraining_accuracy"].loc[cell] = accuracy_before(section, trained)
    if len(section.train_seeds) == 1:
        ds = ds.isel(train_seed=0, drop=True)
    rows = []
    for self_term in SELF_TERMS:
        curves = (measure(compared, self_term=self_term) for measure in (learning, forgetting))
        rows.append(pearson(*curves))
    ds["layer_correlation"] = xr.concat(rows, xr.Variable("self_term", list(SELF_TERMS)))
    return ds


def table(ds: xr.Dataset, paper: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Return Table 1, a row for each start and data set, with the paper's value beside ours.

    Ours is the mean over trainings; ``"±"`` is half of its 95 % interval, NaN for a single one.
    """
    rows = {}
    ds = ds if "train_seed" in ds.dims else ds.expand_dims(train_seed=1)
    for start in ds["pretraining"].values:
        for dataset in ds["dataset"].values:
            cell = ds.sel(pretraining=start, dataset=dataset)
            trained = cell["test_accuracy"].dropna("train_seed")
            if not trained.size:
                continue
            interval = interval_over_trainings(trained)
            rows[f"{start} → {dataset}"] = {
                "accuracy": float(interval["mean"]),
                "±": float(interval["high"] - interval["mean"]),
                "trainings": trained.size,
                "the paper's": paper.get(str(start), {}).get(str(dataset)),
                "of the start": float(cell["pretraining_accuracy"].mean()),
            }
    numbers = pd.DataFrame.from_dict(rows, orient="index").astype(float)
    return numbers.astype({"trainings": int})


def correlations(ds: xr.Dataset) -> pd.DataFrame:
    """Return the correlation over layers by data set and start, the mean over trainings."""
    means = ds["layer_correlation"].mean([d for d in REPEATS if d in ds["layer_correlation"].dims])
    return means.to_series().dropna().unstack(["estimator", "self_term"])
