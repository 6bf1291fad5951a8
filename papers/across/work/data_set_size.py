"""Compute the page on the size of the data set: learning, forgetting and flow by images."""

import json
from collections.abc import Iterator

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
    """Return forgetting and learning by layer at each budget: (training_images, seed, layer)."""
    curves = {"forgetting": forgetting(ds), "learning": learning(ds)}
    return {
        f"{name}, equal {budget}": _drawn(curve.sel(budget=budget))
        for name, curve in curves.items()
        for budget in BUDGETS
    }


def levels(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return means over all blocks by number of images: (budget, training_images, seed)."""
    blocks = {"forgetting": forgetting(ds), "learning": learning(ds)}
    blocks["CKA divergence"] = cka_divergence(ds)
    means = {k: v.sel(layer=slice(1, None)).mean("layer") for k, v in blocks.items()}
    flow = invariance_flow(ds) - invariance_flow(ds, target="pt")
    means["compression beyond the pretrained"] = compression(flow)
    means["test accuracy"] = ds["test_accuracy"]
    return {name: _drawn(values) for name, values in means.items()}


def _drawn(values: xr.DataArray) -> xr.DataArray:
    """Return what figures take; they name an axis after its dim."""
    return over_trainings(values).rename(n_train="training_images")


def points(ds: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return accuracy and forgetting (mean of all blocks) of every training, to set side by side.

    Dims setting and train_seed. A setting is a number of images with a budget; the usual training,
    which belongs to both budgets, is there once.
    """
    values = {"test accuracy": ds["test_accuracy"], "forgetting": _of_blocks(ds)["forgetting"]}
    usual, parts = _usual(ds), {}
    for n in ds["n_train"].values.tolist():
        for budget in BUDGETS if n != usual else BUDGETS[:1]:
            words = "the usual training" if n == usual else f"{n:,} images, equal {budget}"
            parts[words] = (
                xr.Dataset(values).sel(n_train=n, budget=budget).drop_vars(("n_train", "budget"))
            )
    return {"": xr.concat(list(parts.values()), xr.Variable("setting", list(parts)))}


def _of_blocks(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return forgetting and learning, means of all blocks and of the draws of images."""
    return {
        name: curve.sel(layer=slice(1, None)).mean(["layer", "seed"])
        for name, curve in {"forgetting": forgetting(ds), "learning": learning(ds)}.items()
    }


def _usual(ds: xr.Dataset) -> int:
    """Return the number of images of the training that belongs to both budgets."""
    said = json.loads(ds.attrs["parameters"]).get("finetuning_n")
    return said or int(ds["n_train"].max())


def findings(ds: xr.Dataset) -> list[str]:
    """Return sentences: both budgets from fewest to most images, steps alone, images alone."""
    ds = ds.sel(estimator="debiased")
    sizes, means = ds["n_train"].values.tolist(), _of_blocks(ds)
    if len(sizes) < 2:
        return ["There is one size of the data set, so there is nothing to compare."]
    sentences = []
    for budget in ds["budget"].values.tolist():
        words = []
        for name, mean in means.items():
            ends = [
                level_in_words(mean.sel(n_train=n, budget=budget)) for n in sizes[:: len(sizes) - 1]
            ]
            words.append(f"{name} {ends[0]} on {sizes[0]:,} images, {ends[1]} on {sizes[-1]:,}")
        sentences.append(f"At equal {budget}: {'; '.join(words)} (mean of all blocks).")
    sentences += [f"Steps alone. {said}" for said in steps_alone(ds)]
    return sentences + [f"Images alone. {said}" for said in images_alone(ds)]


def steps_alone(ds: xr.Dataset) -> Iterator[str]:
    """Yield what more steps on the same images change: one budget has more of them."""
    usual = _usual(ds)
    for n in ds["n_train"].values.tolist():
        if n != usual:
            more, fewer = BUDGETS if n < usual else BUDGETS[::-1]
            times = max(n, usual) / min(n, usual)
            gains = {
                name: mean.sel(n_train=n, budget=more) - mean.sel(n_train=n, budget=fewer)
                for name, mean in _of_blocks(ds).items()
            }
            yield f"The same {n:,} images, {times:.2g} times the steps: {_gains(gains)}."


def images_alone(ds: xr.Dataset) -> Iterator[str]:
    """Yield what each larger set of images changes at equal steps."""
    sizes = ds["n_train"].values.tolist()
    means = {name: mean.sel(budget="steps") for name, mean in _of_blocks(ds).items()}
    for few, many in zip(sizes[:-1], sizes[1:], strict=True):
        gains = {
            name: mean.sel(n_train=many) - mean.sel(n_train=few) for name, mean in means.items()
        }
        yield f"The same steps, {many:,} images instead of {few:,}: {_gains(gains)}."


def _gains(gains: dict[str, xr.DataArray]) -> str:
    return ", ".join(f"{name} changes by {level_in_words(gain)}" for name, gain in gains.items())
