"""Measures of the page on adversarial robustness."""

from __future__ import annotations

import xarray as xr

from invlib.metrics.invariance import forgetting
from invlib.names import choices
from papers.across.adversarial_robustness import ADVERSARIAL
from papers.across.claims.other_images import over_trainings, relation
from papers.claims.correlation import pearson
from papers.merlin2023.robustness_scan import forgetting_spread

__all__ = ["adversarial_beyond", "along_training", "attack_relation", "left_at", "lost_to"]


def quantities(ds: xr.Dataset, *, self_term: str = "measured") -> dict[str, xr.DataArray]:
    """Return what is related to robustness, and accuracy under attack, without layers.

    ``place`` is the mean layer, weighted by forgetting where it is above 0.
    """
    lost = forgetting(ds, self_term=self_term)
    weights = lost.clip(min=0)
    found = dict(spread=forgetting_spread(ds, self_term=self_term, seeds="each"))
    found |= dict(forgetting=lost.mean("layer"))
    sums = (weights * weights["layer"]).sum("layer", skipna=False), weights.sum("layer")
    found |= dict(place=sums[0] / sums[1].where(sums[1] > 0))
    if "attacked_accuracy" in ds:
        found["attacked"] = ds["attacked_accuracy"].mean("attack", skipna=False)
    if "test_accuracy" in ds:
        found["clean"] = ds["test_accuracy"]
    return {name: values.reset_coords(drop=True) for name, values in found.items()}


def usual(ds: xr.Dataset) -> xr.Dataset:
    """Return the trainings without the adversarial ones, after the last epoch."""
    settings = [name for name in ds["setting"].values.tolist() if name != ADVERSARIAL]
    return ds.sel(setting=settings).isel(epoch=-1)


def attack_relation(
    ds: xr.Dataset, *, quantity: str, given_clean: bool, self_term: str = "measured"
) -> xr.DataArray:
    """Return the correlation over trainings of a quantity with accuracy under attack.

    With `given_clean` it is partial: clean accuracy is held fixed. Adversarial trainings are left
    out, because one point far away makes a correlation.
    """
    return over_trainings(
        lambda part: pooled_relation(part, quantity, given_clean, self_term), usual(ds)
    )


def pooled_relation(
    ds: xr.Dataset, quantity: str, given_clean: bool, self_term: str = "measured"
) -> xr.DataArray:
    """Return that correlation of all trainings in `ds` together."""
    found = quantities(ds, self_term=self_term)
    given = found["clean"] if given_clean else None
    return relation(found[choices("quantity", quantity, found)], found["attacked"], given)


def along_training(ds: xr.Dataset, *, self_term: str = "measured") -> xr.DataArray:
    """Return the correlation over epochs of spread and accuracy under attack, first setting."""
    found = quantities(ds.isel(setting=0).sel(epoch=slice(1, None)), self_term=self_term)
    pair = xr.broadcast(found["spread"], found["attacked"])
    return xr.apply_ufunc(pearson, *pair, input_core_dims=[["epoch"], ["epoch"]])


def _checked(ds: xr.Dataset, check: str) -> xr.Dataset:
    """Return mean accuracies under the usual attacks and those of a check, where there are both."""
    checked = ds["checked_accuracy"].dropna("setting", how="all").sel(check=check, drop=True)
    usually = ds["attacked_accuracy"].isel(epoch=-1, drop=True).sel(setting=checked["setting"])
    return xr.Dataset(dict(checked=checked, usual=usually)).mean("attack", skipna=False)


def lost_to(ds: xr.Dataset, *, check: str) -> xr.DataArray:
    """Return how much lower accuracy is under the attacks of a check, in the worst setting."""
    found = _checked(ds, check)
    return (found["usual"] - found["checked"]).max("setting", skipna=False)


def left_at(ds: xr.Dataset, *, check: str) -> xr.DataArray:
    """Return the accuracy under the attacks of a check, in the worst setting."""
    return _checked(ds, check)["checked"].max("setting", skipna=False)


def adversarial_beyond(
    ds: xr.Dataset, *, quantity: str, self_term: str = "measured"
) -> xr.DataArray:
    """Return a quantity after adversarial fine-tuning minus that of the first setting."""
    last = ds.isel(epoch=-1, drop=True)
    if quantity == "attacked":
        found = last["attacked_accuracy"].mean("attack", skipna=False)
    else:
        found = quantities(last, self_term=self_term)[quantity]
    return found.sel(setting=ADVERSARIAL, drop=True) - found.isel(setting=0, drop=True)
