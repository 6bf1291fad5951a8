"""Curves over the layers of a comparison, by the names that claims use for them.

``[learning, reconstruction]`` is the learning of a task, ``[forgetting, cifar]`` is the forgetting
of a start, and ``[forgetting]`` is a curve at every epoch of a training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import xarray as xr

from invlib.metrics.invariance import cka_divergence, diagonal, forgetting, learning
from invlib.names import TASKS, choices

__all__ = [
    "BY_SELF_TERM",
    "VARIABLES",
    "curve_measure",
    "curve_needs",
    "kept_curves",
    "of_start",
    "starts_missing",
    "this_dataset",
]

VARIABLES = {
    "learning": ("stir_ft_ft", "stir_pt_ft"),
    "forgetting": ("stir_pt_pt", "stir_ft_pt"),
    "CKA divergence": ("cka_pt_pt", "cka_ft_pt"),
    "STIR(fine-tuned | pretrained)": ("stir_ft_pt",),
    "STIR(pretrained | fine-tuned)": ("stir_pt_ft",),
    "self term, pretrained": ("stir_pt_pt",),
    "self term, fine-tuned": ("stir_ft_ft",),
}
BY_SELF_TERM = ("learning", "forgetting")
CIFAR = "cifar"  # a start: CIFAR-10 for fine-tuning to CIFAR-100, and CIFAR-100 for CIFAR-10
OTHER = {"cifar10": "cifar100", "cifar100": "cifar10"}
STARTS = ("imagenet", CIFAR, "none", "none, matched")  # none: a random start

Curve = Sequence[str]  # a quantity and, where the results have several, a task or a start

_KEPT: ContextVar[dict[tuple, tuple[xr.Dataset, xr.DataArray]] | None] = ContextVar(
    "kept curves", default=None
)


@contextmanager
def kept_curves() -> Iterator[None]:
    """Within it, a curve that many claims are about is computed once. No results change in it."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def curve_measure(shape: Callable[..., xr.DataArray]) -> Callable[..., xr.DataArray]:
    """Return ``measure(ds, self_term=…, curves=…, beside=…, …)``, the `shape` of these curves."""

    def measure(
        ds: xr.Dataset,
        *,
        self_term: str,
        curves: Iterable[Curve],
        beside: Iterable[Curve] = (),
        **layers: Sequence[int],
    ) -> xr.DataArray:
        more = {"beside": [_kept_curve(ds, self_term, *name) for name in beside]} if beside else {}
        return shape(*(_kept_curve(ds, self_term, *name) for name in curves), **more, **layers)

    return measure


def curve_needs(
    layers: Sequence[int], curves: Sequence[Curve]
) -> tuple[dict[str, list], list[str]]:
    """Return what results must have for these curves over `layers`, and the starts of the curves.

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
    for curve in curves:
        if not (isinstance(curve, list) and 1 <= len(curve) <= 2):
            raise ValueError(
                f"curves={curve!r}: a curve is [quantity] or [quantity, task or start]"
            )
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


def _kept_curve(ds: xr.Dataset, self_term: str, *name: str) -> xr.DataArray:
    if (kept := _KEPT.get()) is None:
        return _curve(ds, self_term, *name)
    key = (id(ds), self_term, *name)
    if key not in kept:  # with the results, so that no others take their place in memory
        kept[key] = ds, _curve(ds, self_term, *name)
    return kept[key][1]


def _curve(ds: xr.Dataset, self_term: str, quantity: str, label: str | None = None) -> xr.DataArray:
    """Return one curve. If a layer is NaN, all are, because a mean would skip it."""
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
    """Return the data set of the fine-tuning."""
    return str(ds["dataset"].values) if "dataset" in ds.coords else ""


def of_start(ds: xr.Dataset, start: str) -> xr.Dataset:
    """Return the part of `ds` with this start."""
    return ds.sel(pretraining=_label(ds, start), drop=True)


def _label(ds: xr.Dataset, start: str) -> str:
    """Return the label of a start in `ds`, which depends on the data set."""
    return OTHER[this_dataset(ds)] if start == CIFAR else start


def starts_missing(ds: xr.Dataset, *starts: str, variable: str = "") -> str:
    """Return which start is missing, for this data set or altogether; empty if none is.

    A start is missing if `variable` has no values for it. By default, all variables of STIR and CKA
    are looked at.
    """
    labels = ds["pretraining"].values.tolist() if "pretraining" in ds.dims else []
    names = [variable] if variable else [n for n in ds if str(n).startswith(("stir", "cka"))]
    depends = ds[[name for name in names if "pretraining" in ds[name].dims]]
    for label in (_label(ds, start) for start in starts):
        # If another data set has this start, a pair that was not run is NaN.
        of_label = depends.sel(pretraining=label) if label in labels else xr.Dataset()
        if not any(bool(values.notnull().any()) for values in of_label.values()):
            return f"these results have no pretraining {label}"
    return ""
