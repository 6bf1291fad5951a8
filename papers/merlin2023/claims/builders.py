"""Claims about curves over the layers: from (quantity, condition) to a `Claim`.

A number is a function of whole curves: one for each (quantity, label) that the claim lists, the
label selecting along one dim, such as the task or the pretraining.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import invlib
from papers.claims.claim import Claim, reported

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["BOTH", "EARLY", "LATE", "LAYERS", "PAPER", "curve", "curve_claim", "span_words"]

PAPER = reported("A")
LAYERS = tuple(PAPER["layers"])

# "Late" without a number: the last three.
LATE = LAYERS[-3:]
# "Early" without a number, of CKA: up to where the paper sees the first trend begin, and all
# before the valley that it sees at layer 5.
EARLY = range(PAPER["forgetting_rises_from_reconstruction"] + 1)

BOTH = ("learning", "forgetting")
VARIABLES = {
    "learning": ("stir_ft_ft", "stir_pt_ft"),
    "forgetting": ("stir_pt_pt", "stir_ft_pt"),
    "CKA divergence": ("cka_pt_pt", "cka_ft_pt"),
    "self term, pretrained": ("stir_pt_pt",),
    "self term, fine-tuned": ("stir_ft_ft",),
}


def curve(ds: xr.Dataset, self_term: str, quantity: str) -> xr.DataArray:
    """Return one quantity of `VARIABLES` by layer."""
    from invlib.metrics.invariance import diagonal

    if quantity in BOTH:
        return getattr(invlib, quantity)(ds, self_term=self_term)
    if quantity == "CKA divergence":
        return invlib.cka_divergence(ds)
    return diagonal(ds, *VARIABLES[quantity])


def curve_claim(
    id: str,
    figure: str,
    words: str,
    number: str,
    shape: Callable[..., xr.DataArray],
    curves: list[tuple[str, str]],
    threshold: float,
    *,
    dim: str = "task",
    pick: Callable[[xr.Dataset, str], xr.Dataset] | None = None,
    **more: object,
) -> Claim:
    """Return the claim whose number is `shape` of these curves, each a quantity and a label.

    Parameters
    ----------
    curves
        Pairs of a quantity (of `VARIABLES`) and a label of `dim`.
    pick
        ``pick(ds, label)`` selects the label, where that is more than ``ds.sel({dim: label})``; the
        claim then does not name its labels as needed, and its `obstacle` says which is missing.
    more
        Other fields of `Claim`.
    """

    def select(ds: xr.Dataset, label: str) -> xr.Dataset:
        if pick is not None:
            return pick(ds, label)
        return ds.sel({dim: label}) if dim in ds.dims else ds

    def measure(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        drawn = [curve(select(ds, label), self_term, quantity) for quantity, label in curves]
        value = shape(*drawn)
        for one in drawn:  # a mean that skips what is missing would still be a number
            value = value.where(one.notnull().all("layer"))
        return value

    needs = {
        "variables": tuple(name for quantity, _ in curves for name in VARIABLES[quantity]),
        "layer": LAYERS,
    }
    if pick is None:
        needs[dim] = tuple(dict.fromkeys(label for _, label in curves))
    paper, section = id.split("-")[:2]
    return Claim(
        id=id,
        paper=paper,
        section=section,
        figure=figure,
        words=words,
        number=number,
        measure=measure,
        threshold=threshold,
        needs=needs,
        **more,
    )


def span_words(layers: Iterable[int]) -> str:
    """Return ``"4–6"`` for (4, 5, 6)."""
    first, *_, last = layers
    return f"{first}–{last}"
