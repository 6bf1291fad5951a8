"""Curves over the layers of a comparison, as claims name them: a quantity, and of which training.

``[learning, reconstruction]`` is learning of a task, ``[forgetting, cifar]`` is forgetting from a
start, ``[forgetting]`` is a curve at every epoch of a course of training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import xarray as xr

from invlib.metrics.invariance import cka_divergence, diagonal, forgetting, learning
from invlib.names import TASKS, choices

__all__ = [
    "VARIABLES",
    "curve_measure",
    "curve_needs",
    "of_start",
    "starts_missing",
    "this_dataset",
]

VARIABLES = {
    "learning": ("stir_ft_ft", "stir_pt_ft"),
    "forgetting": ("stir_pt_pt", "stir_ft_pt"),
    "CKA divergence": ("cka_pt_pt", "cka_ft_pt"),
    "self term, pretrained": ("stir_pt_pt",),
    "self term, fine-tuned": ("stir_ft_ft",),
}
CIFAR = "cifar"  # a start: whichever of CIFAR-10 and CIFAR-100 is not fine-tuned to
OTHER = {"cifar10": "cifar100", "cifar100": "cifar10"}
STARTS = ("imagenet", CIFAR, "none")  # none: training from a random start

Curve = Sequence[str]  # a quantity and, where the results have several, a task or a start


def curve_measure(shape: Callable[..., xr.DataArray]) -> Callable[..., xr.DataArray]:
    """Return ``measure(ds, self_term=…, curves=…, beside=…, …)``: `shape` of these curves."""

    def measure(
        ds: xr.Dataset,
        *,
        self_term: str,
        curves: Iterable[Curve],
        beside: Iterable[Curve] = (),
        **layers: Sequence[int],
    ) -> xr.DataArray:
        more = {"beside": [_curve(ds, self_term, *one) for one in beside]} if beside else {}
        return shape(*(_curve(ds, self_term, *one) for one in curves), **more, **layers)

    return measure


def curve_needs(
    layers: Sequence[int], curves: Sequence[Curve]
) -> tuple[dict[str, list], list[str]]:
    """Return what results must have for these curves over `layers`, and of which starts they are.

    Raises
    ------
    ValueError
        For a quantity, task or start that does not exist.

    Examples
    --------
    >>> needs, starts = curve_needs([0, 1], [["forgetting", "cifar"]])
    >>> needs["variables"], needs["dataset"], starts
    (['stir_pt_pt', 'stir_ft_pt'], ['cifar10', 'cifar100'], ['cifar'])
    """
    names = [name for quantity, *_ in curves for name in VARIABLES[_known(quantity, VARIABLES)]]
    labels = list(dict.fromkeys(_known(label, TASKS + STARTS) for _, *of in curves for label in of))
    needs = {"variables": list(dict.fromkeys(names)), "layer": list(layers)}
    if tasks := [label for label in labels if label in TASKS]:
        needs["task"] = tasks
    if CIFAR in labels:
        needs["dataset"] = list(OTHER)
    return needs, [label for label in labels if label in STARTS]


def _known(name: str, allowed: Iterable[str]) -> str:
    return choices("curves", name, allowed)


def _curve(ds: xr.Dataset, self_term: str, quantity: str, label: str | None = None) -> xr.DataArray:
    """One curve; NaN as a whole where a layer is: a mean would pass it over."""
    if label in STARTS:
        ds = of_start(ds, label)
    elif label is not None and "task" in ds.dims:
        ds = ds.sel(task=label)
    match quantity:
        case "learning":
            curve = learning(ds, self_term=self_term)
        case "forgetting":
            curve = forgetting(ds, self_term=self_term)
        case "CKA divergence":
            curve = cka_divergence(ds)
        case _:
            curve = diagonal(ds, *VARIABLES[quantity])
    return curve.where(curve.notnull().all("layer"))


# --- starts ---------------------------------------------------------------------------------------


def this_dataset(ds: xr.Dataset) -> str:
    """Return the data set that was fine-tuned to."""
    return str(ds["dataset"].values) if "dataset" in ds.coords else ""


def of_start(ds: xr.Dataset, start: str) -> xr.Dataset:
    """Return the part of `ds` that was pretrained so."""
    return ds.sel(pretraining=_label(ds, start), drop=True)


def _label(ds: xr.Dataset, start: str) -> str:
    """The name that a start has for the data set of `ds`."""
    return OTHER[this_dataset(ds)] if start == CIFAR else start


def starts_missing(ds: xr.Dataset, *starts: str, variable: str = "") -> str:
    """Return which start these results do not have, or not for this data set; empty where all.

    `variable` is the one that says so; by default, any that depends on the start.
    """
    there = ds["pretraining"].values.tolist() if "pretraining" in ds.dims else []
    names = [variable] if variable else [n for n in ds if str(n).startswith(("stir", "cka"))]
    depends = ds[[name for name in names if "pretraining" in ds[name].dims]]
    for label in (_label(ds, start) for start in starts):
        # A pair that was not run is NaN where another data set has that start.
        of_label = depends.sel(pretraining=label) if label in there else xr.Dataset()
        if not any(bool(values.notnull().any()) for values in of_label.values()):
            return f"these results have no pretraining {label}"
    return ""
