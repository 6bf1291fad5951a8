"""What section 4.4 and appendix E of paper A claim about the course of a fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from papers.claims.claim import Claim
from papers.claims.shapes import RESOLUTION, early_peak, gain, least, level, loss_since_best
from papers.merlin2023.claims.builders import (
    EARLY,
    LATE,
    LAYERS,
    PAPER,
    VARIABLES,
    curve,
    span_words,
)

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["DYNAMICS", "claim_of_4_4", "too_short"]

SEVERE = PAPER["severities_that_peak"]
_EARLY, _LATE = map(span_words, (EARLY, LATE))
_ACCURACY = ("corrupted_accuracy",)

# Each half of a training has to have two epochs to rise and fall in; and the first half, with
# epoch 0, then has the three points that a correlation needs.
FEWEST_EPOCHS = 4


def too_short(ds: xr.Dataset) -> str:
    """An obstacle: not enough epochs for anything to rise and fall."""
    trained = int((ds["epoch"] > 0).sum()) if "epoch" in ds.dims else 0
    if trained >= FEWEST_EPOCHS:
        return ""
    return f"these results have {trained} epochs of training, the claim needs {FEWEST_EPOCHS}"


def claim_of_4_4(
    id: str,
    figure: str,
    words: str,
    number: str,
    measure: Callable[[xr.Dataset, str], xr.DataArray],
    threshold: float,
    variables: Iterable[str],
    *,
    severities: tuple[int, ...] = (),
    obstacle: Callable[[xr.Dataset], str] = too_short,
    **more: object,
) -> Claim:
    """Return a claim that needs these variables, severities and enough epochs."""
    needs = {"variables": tuple(variables), "layer": LAYERS}
    return Claim(
        id=f"A-4.4-{id}",
        paper="A",
        section="4.4",
        figure=figure,
        words=words,
        number=number,
        measure=measure,
        threshold=threshold,
        needs=needs | ({"severity": severities} if severities else {}),
        obstacle=obstacle,
        **more,
    )


def _peak_of(quantity: str, layers: Iterable[int]) -> Callable:
    def measure(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        one = curve(ds, self_term, quantity)
        # a mean that skips a layer would still be a number
        return early_peak(level(one, layers).where(one.notnull().all("layer")))

    return measure


def _accuracy(ds: xr.Dataset, severity: int) -> xr.DataArray:
    accuracy = ds["corrupted_accuracy"].sel(severity=severity, drop=True)
    return accuracy.mean([dim for dim in accuracy.dims if dim == "corruption"], skipna=False)


def _clean(shape: Callable) -> Callable:
    return lambda ds, self_term: shape(_accuracy(ds, 0))


def _severe(ds: xr.Dataset, self_term: str) -> xr.DataArray:
    return least(*(early_peak(_accuracy(ds, severity)) for severity in SEVERE))


def _dynamics() -> Iterable[Claim]:
    for quantity, figure in (("learning", "5a, 11a"), ("forgetting", "5b, 11b")):
        yield claim_of_4_4(
            f"early-peak-{quantity}",
            figure,
            f"In late layers {quantity} has a peak in early epochs.",
            f"mean {quantity} of layers {_LATE}: highest of the first half of training minus last",
            _peak_of(quantity, LATE),
            RESOLUTION,  # less is no peak
            VARIABLES[quantity],
            unit="STIR",
        )
    yield claim_of_4_4(
        "early-peak-early-layers-forgetting",
        "5b, 11b",
        "In early layers forgetting has a peak in early epochs.",
        f"mean forgetting of layers {_EARLY}: highest of the first half of training minus last",
        _peak_of("forgetting", EARLY),
        RESOLUTION,
        VARIABLES["forgetting"],
        unit="STIR",
    )
    yield claim_of_4_4(
        "no-peak-early-layers-learning",
        "5a, 11a",
        "Only learning of the early layers has no peak.",
        f"mean learning of layers {_EARLY}: highest of the first half of training minus last",
        _peak_of("learning", EARLY),
        RESOLUTION,
        VARIABLES["learning"],
        above=False,
        unit="STIR",
    )
    yield claim_of_4_4(
        "early-peak-cka",
        "12",
        "In late layers CKA divergence has a peak in early epochs, too.",
        f"mean CKA divergence of layers {_LATE}: highest of the first half of training minus last",
        _peak_of("CKA divergence", LATE),
        RESOLUTION,
        VARIABLES["CKA divergence"],
        unit="CKA",
    )
    yield claim_of_4_4(
        "clean-accuracy-rises",
        "5c, 13",
        "Accuracy on clean test images rises with training.",
        "clean accuracy after the last epoch minus after the first",
        _clean(gain),
        0.0,  # the paper gives no size
        _ACCURACY,
        severities=(0,),
        unit="accuracy",
    )
    yield claim_of_4_4(
        "clean-accuracy-has-no-early-peak",
        "5c, 13",
        "Accuracy on clean test images ends at its best.",
        "best clean accuracy of any epoch minus the last",
        _clean(loss_since_best),
        0.02,  # two standard errors of an accuracy of 0.9 on 1,000 images
        _ACCURACY,
        severities=(0,),
        above=False,
        unit="accuracy",
    )
    yield claim_of_4_4(
        "severe-corruptions-peak-early",
        "5c, 13",
        f"Accuracy at severities {span_words(SEVERE)} has a peak in early epochs.",
        "best accuracy of the first half of training minus last, at the severity where it is least",
        _severe,
        0.02,  # as in the claim before
        _ACCURACY,
        severities=SEVERE,
        unit="accuracy",
    )


DYNAMICS = tuple(_dynamics())
