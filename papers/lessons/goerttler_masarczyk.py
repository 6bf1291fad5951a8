"""What to expect of the "Try it" items on the pages of papers B and C."""

import json

import numpy as np
import xarray as xr

from papers.lessons.words import Item, Numbers, Trial, listed, mean, moves, number

__all__ = ["ITEMS", "accuracy_lost"]


def _memorised(ds: xr.Dataset) -> Numbers:
    """Return by layer how far training on random labels takes the network from its start."""
    ds = ds.isel(dataset=0, n_train=0)
    change = 1 - mean(ds["cka_reference_memorised"], "layer")
    return {"n": int(ds["n_train"]), "change": change.values.tolist()}


def _more_epochs(plain: Numbers, tried: Numbers) -> str:
    before, after = np.array(plain["change"]), np.array(tried["change"])
    return (
        f"The change of the last layer {moves(before[-1], after[-1])}, and the mean over the "
        f"layers {moves(before.mean(), after.mean())} (1 − CKA to the start, {tried['n']} images). "
        f"It is larger at {int((after > before).sum())} of {after.size} layers: the number of "
        f"steps {'matters' if (after > before).all() else 'does not explain every layer'}."
    )


def _ceiling(ds: xr.Dataset) -> str:
    ds = ds.isel(dataset=0, epoch=-1)
    d = int(ds["randomness"][1])
    measured = float(ds["test_accuracy"].sel(randomness=d).mean())
    return (
        f"Anything well above 0.10, what guessing gives for ten classes. Nobody can do better than "
        f"1/(d + 1) = {number(1 / (d + 1))} at d = {d}; measured is {number(measured)}."
    )


def _apart(ds: xr.Dataset) -> Numbers:
    """Return how far apart both references are, by layer: the mean difference of CKA to them."""
    cka = mean(ds["cka_reference"].isel(dataset=0).sel(task="same domain"), "reference", "layer")
    initial, pretrained = (cka.sel(reference=name) for name in ("initial", "pretrained"))
    gap = abs(initial - pretrained)
    return {"gap": gap.values.tolist(), "pretrained": pretrained.values.tolist()}


def _little_pretraining(plain: Numbers, tried: Numbers) -> str:
    gaps = [np.mean(one["gap"]) for one in (plain, tried)]
    left = [1 - np.mean(one["pretrained"]) for one in (plain, tried)]
    return (
        "CKA to the initial and to the pretrained network lie apart by a mean that "
        f"{moves(*gaps)}. What changes from the pretrained network {moves(*left)}: there is "
        f"{'less' if left[1] < left[0] else 'no less'} to unlearn."
    )


def _shift(ds: xr.Dataset) -> str:
    cka = ds["cka_reference"].isel(dataset=0, randomness=0).sel(reference="pretrained")
    change = 1 - mean(cka, "task", "layer")
    shifted, same = (change.sel(task=task) for task in ("shifted labels", "same domain"))
    layer = int(abs((shifted - same).values).argmax())
    return (
        f"The layers have moved {number(shifted.mean())} from the pretrained network in the mean, "
        f"and {number(same.mean())} with the old labels. The two differ most at layer "
        f"{shifted['layer'].values[layer]}, by {number((shifted - same)[layer])}. A shift only "
        "renames the classes, so the head alone could do it."
    )


def accuracy_lost(ds: xr.Dataset) -> xr.DataArray:
    """Return what accuracy on the plain images loses during the task with squares, by network."""
    last = ds["test_accuracy"].mean("train_seed")
    before = last.sel(task="original").isel(epoch=-1)
    return before - last.sel(task="squares").isel(epoch=-1)


def _eroded(ds: xr.Dataset) -> Numbers:
    """Return accuracy before and after the squares, of the network trained from scratch."""
    ds = ds.isel(model=0).mean("train_seed")
    dataset = json.loads(ds.attrs.get("parameters", "{}")).get("erosion_dataset")
    ds = ds.sel(dataset=dataset) if dataset in ds["dataset"].values else ds.isel(dataset=0)
    last = ds["test_accuracy"].isel(epoch=-1)
    tasks = {"before": "original", "after": "squares"}
    return {name: float(last.sel(task=task)) for name, task in tasks.items()}


def _easy_digits(plain: Numbers, tried: Numbers) -> str:
    (street, lost_street), (scanned, lost) = (
        (moves(one["before"], one["after"]), one["before"] - one["after"]) for one in (plain, tried)
    )
    return (
        f"On street digits accuracy {street}, on scanned digits it {scanned}: "
        f"{'less' if lost < lost_street else 'more'} is lost. Perhaps that is because hardly "
        "any gradient is left where the first task is right on nearly every image. It cannot be "
        "all: the VGG-11 of the reference results had fitted its images, and erodes."
    )


def _worst_eroded(ds: xr.Dataset) -> str:
    lost = accuracy_lost(ds).stack(network=("dataset", "model")).dropna("network")
    said = [f"{number(one)} ({one['model'].item()} on {one['dataset'].item()})" for one in lost]
    dataset, model = lost["network"].values[int(lost.values.argmax())]
    return f"{model} on {dataset}. The accuracy that is lost: {listed(said)}."


def _relearnt(ds: xr.Dataset) -> str:
    last = ds["test_accuracy"].isel(dataset=0, epoch=-1).mean("train_seed")
    first, again = (float(last.sel(task=task)) for task in ("original", "original again"))
    return (
        f"It ends at {number(again)}, and learning from scratch at {number(first)}: "
        f"{'it does not catch up' if again < first - 0.005 else 'it catches up'} in the same "
        "number of epochs."
    )


def _bend(ds: xr.Dataset) -> str:
    ratio = ds["ratio_accuracy"].isel(dataset=0).mean("train_seed")
    shares, k = ratio["ratio"].values, int((ratio.values[:-1] - ratio.values[1:]).argmax())
    return (
        f"Between {shares[k]:.0%} and {shares[k + 1]:.0%} of images with squares: accuracy falls "
        f"from {number(ratio[k])} to {number(ratio[k + 1])} there, of {number(ratio[0])} to "
        f"{number(ratio[-1])} in all."
    )


ITEMS: dict[str, tuple[Item, ...]] = {
    "learning_from_random_labels": (Trial(_memorised, _more_epochs), _ceiling),
    "unlearning": (Trial(_apart, _little_pretraining), _shift),
    "feature_erosion": (Trial(_eroded, _easy_digits), _worst_eroded),
    "collapse_and_plasticity": (_relearnt, _bend),
}
