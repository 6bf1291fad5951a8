"""Compute the page on other images: forgetting, robustness and flow of several trainings."""

import numpy as np
import pandas as pd
import xarray as xr

from invlib import forgetting, invariance_flow, load_images
from invlib.metrics.invariance import compression
from papers.across.claims.other_images import spread_relation
from papers.across.other_images import OtherImages
from papers.across.work.base import each_training, level_in_words, stacked
from papers.corruptions.corrupted_sets import corrupted_sets
from papers.merlin2023.robustness_scan import aggregate, mean_corrupted_accuracy
from papers.merlin2023.work.base import compare_finetuned, pretrained_model
from papers.merlin2023.work.dynamics import accuracies
from papers.work import written

_KEPT = [f"stir_{name}" for name in ("ft_pt", "pt_pt", "control_pt", "control_ft")]
_KEPT += ["inversion_loss_pt", "cka_ft_pt", "cka_pt_pt", "test_accuracy", "test_loss"]


@written("comparison")
def dataset(section: OtherImages) -> xr.Dataset:
    """Compare every training with its start; first dims dataset, setting and train_seed."""
    pretrained, sets, parts = pretrained_model(section), {}, {}
    for key, trained in each_training(section):
        name = trained.run.dataset
        if name not in sets:
            n = section.other_corrupted_n
            sets[name] = corrupted_sets(load_images(name, "test"), n=n, severities=range(6))
        ds = compare_finetuned(section, pretrained, trained, inverted=("pt",), examples=0)
        ds = ds[_KEPT]
        accuracy = accuracies(trained.model().to(pretrained.device), sets[name])
        parts[key] = ds.assign(corrupted_accuracy=accuracy)
    return stacked(parts, section.dims, shared=("setting", "train_seed"))


def points(ds: xr.Dataset) -> xr.Dataset:
    """Return spread of forgetting, clean and corrupted accuracy of every training."""
    spread = aggregate(
        forgetting(ds.sel(estimator="debiased")).mean("seed", skipna=False), "std", first=2
    )
    clean = ds["corrupted_accuracy"].sel(severity=0, drop=True)
    both = dict(spread=spread, clean=clean, corrupted=mean_corrupted_accuracy(ds))
    return xr.Dataset({name: values.reset_coords(drop=True) for name, values in both.items()})


def dots(shown: dict[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Return spread of forgetting and corrupted accuracy of every training, by run and data set."""
    labels = {"spread": "spread of forgetting", "corrupted": "accuracy on corrupted images"}
    return {
        f"{title}\n{name}": points(ds).sel(dataset=name)[list(labels)].rename(labels)
        for title, ds in shown.items()
        for name in ds["dataset"].values.tolist()
    }


def flows(shown: dict[str, xr.Dataset]) -> dict[str, xr.DataArray]:
    """Return the mean flow of each data set beyond that of the pretrained model to itself."""
    return {
        f"{title}\n{name}": _flow(ds).sel(dataset=name).mean(("setting", "train_seed", "seed"))
        for title, ds in shown.items()
        for name in ds["dataset"].values.tolist()
    }


def _flow(ds: xr.Dataset) -> xr.DataArray:
    ds = ds.sel(estimator="debiased")
    return invariance_flow(ds) - invariance_flow(ds, target="pt")


def table(shown: dict[str, xr.Dataset]) -> pd.DataFrame:
    """Return accuracies and forgetting of every data set and setting, the mean over trainings."""
    rows = {}
    for title, ds in shown.items():
        lost = forgetting(ds.sel(estimator="debiased")).mean(("layer", "seed"))
        means = points(ds).assign(forgetting=lost.reset_coords(drop=True)).mean("train_seed")
        for name in ds["dataset"].values.tolist():
            for setting in ds["setting"].values.tolist():
                one = means.sel(dataset=name, setting=setting)
                rows[f"{title}, {name}", setting] = {k: float(v) for k, v in one.items()}
    return pd.DataFrame.from_dict(rows, orient="index").round(3)


def findings(ds: xr.Dataset) -> list[str]:
    """Return a sentence for each data set: accuracy, compression, and the relation."""
    sentences = []
    for name in ds["dataset"].values.tolist():
        one = ds.sel(dataset=name)
        first = one.isel(setting=0)
        said = f"*{name}*, {first['setting'].item()}: test accuracy "
        said += level_in_words(first["test_accuracy"]) + ", compression beyond the pretrained "
        said += level_in_words(compression(_flow(first)))
        count = one.sizes["setting"] * one.sizes["train_seed"]
        if count > 3:
            plain, partial = (
                float(spread_relation(one, given).sel(estimator="debiased").mean())
                for given in (False, True)
            )
            if not np.isnan(partial):
                said += f"; over {count} trainings, spread and corrupted accuracy correlate by "
                said += f"{plain:.2f}, and by {partial:.2f} with clean accuracy held fixed"
        sentences.append(said + ".")
    return sentences
