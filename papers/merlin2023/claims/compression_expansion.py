"""What section 4.3 of paper A claims about the Invariance Flow Matrix.

The matrix is antisymmetric: a block below the diagonal and its mirror image are one number. What
deep layers tolerate, shallow ones tolerate less, in one model as between two; so every block is
judged twice, the second time by what it has beyond the matrix of the pretrained model with itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from papers.claims.claim import Claim
from papers.claims.shapes import RESOLUTION
from papers.merlin2023.claims.builders import LAYERS, PAPER, span_words

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["COMPRESSION_EXPANSION"]

CLS, REC = "classification", "reconstruction"
FIGURES = {CLS: "4a, 10a", REC: "4b, 10b"}

# The blocks that the paper describes: name, direction, task, fact, whether the paper sees it.
_BLOCKS = (
    ("compression-classification", "compression", CLS, "compression_classification", True),
    (
        "compression-reconstruction-text",
        "compression",
        REC,
        "compression_reconstruction_text",
        True,
    ),
    (
        "compression-reconstruction-caption",
        "compression",
        REC,
        "compression_reconstruction_caption",
        True,
    ),
    ("expansion-reconstruction", "expansion", REC, "expansion_reconstruction", True),
    ("no-expansion-classification", "expansion", CLS, "expansion_reconstruction", False),
)


def _flow(ds: xr.Dataset, task: str, beyond: bool) -> xr.DataArray:
    """The matrix of one task; NaN as a whole where an entry is: a mean would pass it over."""
    from invlib.metrics.invariance import invariance_flow

    one = ds.sel(task=task)
    flow = invariance_flow(one)
    if beyond:
        flow = flow - invariance_flow(one, target="pt")
    return flow.where(flow.notnull().all(("ref_layer", "layer")))


def _claim(id: str, task: str, *, beyond: bool = False, **more: object) -> Claim:
    return Claim(
        id=f"A-4.3-{id}",
        paper="A",
        section="4.3",
        figure=FIGURES[task],
        needs={
            "matrices": ("stir_ft_pt", "stir_pt_pt") if beyond else ("stir_ft_pt",),
            "task": (task,),
            "layer": LAYERS,
        },
        **more,
    )


def _block(
    name: str, direction: str, task: str, fact: str, seen: bool, *, beyond: bool = False
) -> Claim:
    """The claim about one of `_BLOCKS`."""
    pretrained, finetuned = (
        range(first, last + 1)
        for first, last in (PAPER[fact]["pretrained"], PAPER[fact]["finetuned"])
    )
    i, j = span_words(pretrained), span_words(finetuned)

    def measure(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        from invlib.metrics import invariance

        return getattr(invariance, direction)(_flow(ds, task, beyond), pretrained, finetuned)

    correspond = "correspond" if seen else "do not correspond"
    words = f"pretrained layers {i} {correspond} more closely to fine-tuned layers {j}"
    towards = "earlier" if direction == "compression" else "deeper"
    number = f"mean flow from pretrained layers {i} to {towards} ones of the fine-tuned {j}"
    return _claim(
        f"{name}-beyond-pretrained" if beyond else name,
        task,
        beyond=beyond,
        words=f"{task.capitalize()}: {words} ({direction if seen else 'no ' + direction})"
        + (", beyond what the pretrained model shows by itself (our addition)." if beyond else "."),
        number=number + (", minus that of the pretrained model to itself" if beyond else ""),
        measure=measure,
        # As much as a curve must rise to rise at all, the paper gives no size; and what would count
        # as expansion in one task does not in the other.
        threshold=RESOLUTION,
        above=seen,
        unit="STIR",
    )


def _overall(task: str) -> Claim:
    def share(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        from invlib.metrics.invariance import compressed_share

        return compressed_share(_flow(ds, task, beyond=False))

    return _claim(
        f"compression-{task}-overall",
        task,
        words=f"{task.capitalize()}: fine-tuning compresses invariances towards earlier layers.",
        number="share of layer pairs whose invariances flow to the earlier layer",
        measure=share,
        threshold=0.5,  # a half is no direction
        unit="share",
    )


def _compression_expansion() -> Iterable[Claim]:
    for task in (CLS, REC):
        yield _overall(task)
    for beyond in (False, True):
        for block in _BLOCKS:
            yield _block(*block, beyond=beyond)


COMPRESSION_EXPANSION = tuple(_compression_expansion())
