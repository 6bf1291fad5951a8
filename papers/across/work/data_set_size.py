"""Compute the page on the size of the data set: learning, forgetting and flow by images."""

import pandas as pd
import xarray as xr

from invlib import cka_divergence, forgetting, invariance_flow, learning
from invlib.metrics.invariance import compression, diagonals
from papers.across.base import OpenQuestion
from papers.across.data_set_size import BUDGETS, DataSetSize
from papers.across.work.base import each_training, level_in_words, over_trainings, stacked
from papers.merlin2023.work.base import compare_finetuned, pretrained_model
from papers.work import written

_WHOLE = ("stir_ft_pt", "stir_pt_pt")  # what the flow needs


@written("comparison")
def dataset(section: DataSetSize) -> xr.Dataset:
    """Compare every training with its start; first dims train_seed, n_train and budget."""
    return flows_and_diagonals(section, ("train_seed", "n_train", "budget"))


def flows_and_diagonals(section: OpenQuestion, shared: tuple[str, ...]) -> xr.Dataset:
    """Return whole matrices for the flow, diagonals of the rest; `shared` as in `stacked`."""
    pretrained, parts = pretrained_model(section), {}
    for key, trained in each_training(section):
        ds = compare_finetuned(section, pretrained, trained, examples=0)
        rest = diagonals(ds.drop_vars([n for n in ds if n.endswith("jackknife")]))
        parts[key] = rest.drop_dims("iteration").assign({name: ds[name] for name in _WHOLE})
        parts[key] = parts[key].drop_vars([f"{name}_diagonal" for name in _WHOLE])
    ds = stacked(parts, section.dims, shared)
    return ds if "dataset" in ds.dims else ds.assign_coords(dataset=section.datasets[0])


def plan(section: DataSetSize) -> pd.DataFrame:
    """Return images, epochs and steps of every training of one seed."""
    seed, rows = section.train_seeds[0], {}
    for (of, n, budget), run in section.trainings().items():
        if of == seed:
            steps = run.epochs * -(-n // run.batch_size)
            rows[f"{n:,} images, equal {budget}"] = {"epochs": run.epochs, "steps": steps}
    return pd.DataFrame.from_dict(rows, orient="index")


def by_layer(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return forgetting and learning by layer at each budget, (n_train, seed, layer)."""
    curves = {"forgetting": forgetting(ds), "learning": learning(ds)}
    return {
        f"{name}, equal {budget}": over_trainings(curve.sel(budget=budget))
        for name, curve in curves.items()
        for budget in BUDGETS
    }


def levels(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return means over all blocks by number of images, (budget, n_train, seed)."""
    blocks = {"forgetting": forgetting(ds), "learning": learning(ds)}
    blocks["CKA divergence"] = cka_divergence(ds)
    means = {k: v.sel(layer=slice(1, None)).mean("layer") for k, v in blocks.items()}
    flow = invariance_flow(ds) - invariance_flow(ds, target="pt")
    means["compression beyond the pretrained"] = compression(flow)
    means["test accuracy"] = ds["test_accuracy"]
    return {name: over_trainings(values) for name, values in means.items()}


def findings(ds: xr.Dataset) -> list[str]:
    """Return a sentence for each budget: forgetting and learning from fewest to most images."""
    ds, sentences = ds.sel(estimator="debiased"), []
    sizes = ds["n_train"].values
    for budget in ds["budget"].values.tolist():
        words = []
        for name, curve in {"forgetting": forgetting(ds), "learning": learning(ds)}.items():
            mean = curve.sel(layer=slice(1, None), budget=budget).mean("layer")
            ends = [level_in_words(mean.sel(n_train=n)) for n in (sizes[0], sizes[-1])]
            words.append(f"{name} {ends[0]} on {sizes[0]:,} images, {ends[1]} on {sizes[-1]:,}")
        if len(sizes) > 1:
            sentences.append(f"At equal {budget}: {'; '.join(words)} (mean of all blocks).")
    alone = "There is one size of the data set, so there is nothing to compare."
    return sentences or [alone]
