"""What section 4.3 of paper A claims about the Invariance Flow Matrix.

The matrix is antisymmetric: a block below the diagonal and its mirror image are one number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from invlib.claims import Claim

from .curve_claims import LAYERS, PAPER
from .curves import RESOLUTION

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["COMPRESSION_EXPANSION"]

CLS, REC = "classification", "reconstruction"


def _claim(
    id: str, words: str, number: str, tasks: tuple[str, ...], measure, threshold: float, **more
) -> Claim:
    return Claim(
        id=f"A-4.3-{id}",
        paper="A",
        section="4.3",
        figure="4, 10",
        words=words,
        number=number,
        measure=measure,
        threshold=threshold,
        needs={"variables": ("stir_ft_pt",), "task": tasks, "layer": LAYERS},
        **more,
    )


def _block(kind: str, task: str, fact: str):
    """A measure, and its words: mean flow between the two spans of layers of a fact."""
    spans = PAPER[fact]
    pretrained, finetuned = (
        range(spans[name][0], spans[name][1] + 1) for name in ("pretrained", "finetuned")
    )
    i, j = (f"{span[0]}–{span[-1]}" for span in (pretrained, finetuned))

    def measure(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        from invlib import invariance

        flow = invariance.invariance_flow(ds.sel(task=task))
        return getattr(invariance, kind)(flow, pretrained, finetuned)

    deeper = "earlier" if kind == "compression" else "deeper"
    number = f"mean flow from pretrained layers {i} to {deeper} ones of the fine-tuned {j}"
    words = f"pretrained layers {i} correspond more closely to fine-tuned layers {j}"
    return measure, number, f"{task.capitalize()}: {words} ({kind})."


def _compression_expansion() -> Iterable[Claim]:
    for task in (CLS, REC):

        def share(ds: xr.Dataset, self_term: str, task: str = task) -> xr.DataArray:
            from invlib.invariance import compressed_share, invariance_flow

            return compressed_share(invariance_flow(ds.sel(task=task)))

        yield _claim(
            f"compression-{task}-overall",
            f"{task.capitalize()}: fine-tuning compresses invariances towards earlier layers.",
            "share of layer pairs whose invariances flow to the earlier layer",
            (task,),
            share,
            0.5,  # a half is no direction
            unit="share",
        )
    for id, kind, task, fact in (
        ("compression-classification", "compression", CLS, "compression_classification"),
        ("compression-reconstruction-text", "compression", REC, "compression_reconstruction_text"),
        (
            "compression-reconstruction-caption",
            "compression",
            REC,
            "compression_reconstruction_caption",
        ),
        ("expansion-reconstruction", "expansion", REC, "expansion_reconstruction"),
    ):
        measure, number, words = _block(kind, task, fact)
        # as much as a curve must rise to rise at all: the paper gives no size
        yield _claim(id, words, number, (task,), measure, RESOLUTION, unit="STIR")
    measure, number, _ = _block("expansion", CLS, "expansion_reconstruction")
    yield _claim(
        "no-expansion-classification",
        "Classification: the early invariances that reconstruction expands are not expanded.",
        number,
        (CLS,),
        measure,
        RESOLUTION,  # what would count as expansion in the claim before
        above=False,
        unit="STIR",
    )


COMPRESSION_EXPANSION = tuple(_compression_expansion())
