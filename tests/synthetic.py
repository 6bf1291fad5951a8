"""Comparisons that were never run: Datasets made of the curves that a paper describes.

So that a claim can be tried on results that are the paper's, and on results that contradict it.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from invlib.results.provenance import provenance
from invlib.results.validation import conform
from papers.claims.claim import Claim, check_claims

LAYERS = np.arange(13)
SEEDS = range(3)  # of trainings
DRAWS = range(2)
ESTIMATORS = ("biased", "debiased")
UNTESTABLE = "not testable here"


def curve(layers: list[int], values: list[float]) -> np.ndarray:
    """One number a layer, straight lines between those given."""
    return np.interp(LAYERS, layers, values)


def by_layer(curves: dict[str, np.ndarray], dim: str) -> xr.DataArray:
    """Curves side by side: dims (`dim`, layer)."""
    grid = {dim: list(curves), "layer": LAYERS}
    return xr.DataArray(np.array(list(curves.values()), float), grid, list(grid))


def everywhere(value: xr.DataArray | float) -> xr.DataArray:
    """The same under both estimators, in all trainings and draws, if `value` says nothing else."""
    grid = {"estimator": list(ESTIMATORS), "train_seed": list(SEEDS), "seed": list(DRAWS)}
    return value * xr.DataArray(1.0, grid, list(grid))


def trainings(ds: xr.Dataset) -> xr.Dataset:
    """Make the seeds of `ds` trainings, each measured on two draws that agree."""
    ds = ds.rename(seed="train_seed")
    drawn = {name: array.expand_dims(seed=list(DRAWS)) for name, array in ds.items()
             if "train_seed" in array.dims}  # fmt: skip
    return conform(ds.assign(drawn)).copy(deep=True)


def comparison(variables: dict[str, xr.DataArray | float], **scalars: object) -> xr.Dataset:
    """A Dataset of kind comparison that may be saved: companions and attributes as well."""
    ones = xr.DataArray(np.ones(13), {"layer": LAYERS}, ["layer"])
    ds = xr.Dataset(variables)
    for model in ("pt", "ft"):
        ds[f"stir_control_{model}"] = everywhere(0.1 * ones)
        loss = everywhere(0.3 * ones.rename(layer="ref_layer"))
        ds[f"inversion_loss_{model}"] = loss.isel(estimator=0, drop=True)
    names = ["embed", *(f"block {k}" for k in LAYERS[1:])]
    ds = ds.assign_coords(
        layer_name=("layer", names), depth=("layer", LAYERS / 12), ref_layer=LAYERS, **scalars
    )
    return stamped(ds, "comparison")


def stamped(ds: xr.Dataset, kind: str) -> xr.Dataset:
    """With the attributes of a result of the smoke scale."""
    ds.attrs = {"kind": kind} | provenance(
        parameters={"scale": "smoke"}, seeds=SEEDS, wall_time=1.0, command="papermill a b"
    )
    return ds


def diagonals(
    *,
    learning: xr.DataArray,
    forgetting: xr.DataArray,
    divergence: xr.DataArray,
    own: float = 0.998,
    **more: xr.DataArray,
) -> dict[str, xr.DataArray]:
    """The diagonals whose learning, forgetting and CKA divergence are these, dims (…, layer).

    `own` is the self term of every layer; both are the same in the biased and debiased estimator.
    """
    zero = 0 * learning
    made = {
        "stir_ft_ft": own + zero,
        "stir_pt_ft": own - learning,
        "stir_pt_pt": own + zero,
        "stir_ft_pt": own - forgetting,
        "cka_pt_pt": 1 + zero,
        "cka_ft_pt": 1 - divergence,
    }
    return {f"{name}_diagonal": everywhere(one) for name, one in made.items()} | more


def verdicts(claims: tuple[Claim, ...], ds: xr.Dataset) -> dict[str, str]:
    """Judge: the verdict of each claim, which must not depend on estimator and self term."""
    out = check_claims(claims, ds)
    found = {}
    for id in out["claim"].values.tolist():
        one = out.sel(claim=id)
        words = set(one["verdict"].values.ravel().tolist())
        assert len(words) == 1, (id, one["value"].values)
        found[id] = words.pop()
        assert bool(one["value"].isnull().any()) == (found[id] == UNTESTABLE), id
        assert (str(one["reason"].values) != "") == (found[id] == UNTESTABLE), id
    return found


def reasons(claims: tuple[Claim, ...], ds: xr.Dataset) -> dict[str, str]:
    """Why each claim is not testable on `ds`; empty where it is."""
    out = check_claims(claims, ds)
    return dict(zip(out["claim"].values.tolist(), out["reason"].values.tolist(), strict=True))
