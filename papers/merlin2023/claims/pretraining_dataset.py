"""What section 4.2, Table 1 and appendix C.1 of paper A claim about starting points."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from papers.claims.claim import Claim
from papers.claims.shapes import greatest, least, least_difference, level, pearson, ratio
from papers.merlin2023.claims.builders import BOTH, EARLY, PAPER, curve_claim, span_words
from papers.merlin2023.pretraining_dataset import IMAGENET, NONE

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PRETRAINING_DATASET"]

CIFAR = "cifar"  # a start: whichever of CIFAR-10 and CIFAR-100 is not fine-tuned to
OTHER = {"cifar10": "cifar100", "cifar100": "cifar10"}


def _layers(name: str) -> range:
    first, last = PAPER[name]
    return range(first, last + 1)


REUSED, LOWER = _layers("layers_reused"), _layers("layers_imagenet_lower")
_REUSED, _LOWER, _EARLY = map(span_words, (REUSED, LOWER, EARLY))


def _dataset(ds: xr.Dataset) -> str:
    return str(ds["dataset"].values) if "dataset" in ds.coords else ""


def _label(ds: xr.Dataset, start: str) -> str:
    """The name that a start has for the data set of `ds`."""
    return OTHER[_dataset(ds)] if start == CIFAR else start


def _pick(ds: xr.Dataset, start: str) -> xr.Dataset:
    return ds.sel(pretraining=_label(ds, start), drop=True)


def _starts_missing(starts: Iterable[str], name: str = "") -> Callable[[xr.Dataset], str]:
    """An obstacle: a start that these results do not have, or not for this data set.

    `name` is that of a variable that says so; by default, any that depends on the start.
    """
    starts = tuple(dict.fromkeys(starts))

    def obstacle(ds: xr.Dataset) -> str:
        if CIFAR in starts and _dataset(ds) not in OTHER:
            return f"the paper says this of {', '.join(OTHER)} only"
        there = ds["pretraining"].values.tolist() if "pretraining" in ds.dims else []
        names = [name] if name else [n for n in ds if str(n).startswith(("stir", "cka"))]
        depends = ds[[n for n in names if "pretraining" in ds[n].dims]]
        for label in (_label(ds, start) for start in starts):
            # A pair that was not run is NaN where another data set has that start.
            if label not in there or not _any_number(depends.sel(pretraining=label)):
                return f"these results have no pretraining {label}"
        return ""

    return obstacle


def _any_number(ds: xr.Dataset) -> bool:
    return any(bool(ds[name].notnull().any()) for name in ds)


def _claim(
    id: str,
    figure: str,
    words: str,
    number: str,
    shape: Callable[..., xr.DataArray],
    curves: list[tuple[str, str]],
    threshold: float,
    **more: object,
) -> Claim:
    obstacle = _starts_missing(start for _, start in curves)
    said = (id, figure, words, number, shape, curves, threshold)
    return curve_claim(*said, dim="pretraining", pick=_pick, obstacle=obstacle, **more)


def _pretraining_dataset() -> Iterable[Claim]:
    for quantity in BOTH:
        yield _claim(
            f"A-4.2-pretrained-below-scratch-{quantity}",
            "2",
            f"Over layers {_REUSED} {quantity} of a pretrained model is far below that of one "
            "trained from scratch.",
            f"mean {quantity} over layers {_REUSED}, from scratch over the larger pretrained one",
            lambda none, imagenet, cifar: ratio(
                level(none, REUSED), greatest(level(imagenet, REUSED), level(cifar, REUSED))
            ),
            [(quantity, NONE), (quantity, IMAGENET), (quantity, CIFAR)],
            1.5,  # "substantially lower": by a third at least
            unit="ratio",
        )
    for quantity in BOTH:
        yield _claim(
            f"A-4.2-imagenet-lowest-late-{quantity}",
            "2",
            f"Over layers {_LOWER} {quantity} is lowest from ImageNet pretraining.",
            f"smallest difference in {quantity} of layers {_LOWER}, the lower of the "
            "others minus ImageNet",
            lambda imagenet, cifar, none: least_difference(
                least(cifar, none).sel(layer=list(LOWER)), imagenet.sel(layer=list(LOWER))
            ),
            [(quantity, IMAGENET), (quantity, CIFAR), (quantity, NONE)],
            0.0,  # the paper says significantly, and not by how much: any, in every layer and seed
            unit="STIR",
        )
    for quantity in BOTH:
        yield _claim(
            f"A-4.2-scratch-highest-{quantity}",
            "2",
            f"From scratch {quantity} is highest in every layer.",
            f"smallest difference in {quantity} of any layer, from scratch minus the higher of the "
            "pretrained",
            lambda none, imagenet, cifar: least_difference(none, greatest(imagenet, cifar)),
            [(quantity, NONE), (quantity, IMAGENET), (quantity, CIFAR)],
            0.0,  # every layer, and the paper does not say by how much
            unit="STIR",
        )
    yield _claim(
        "A-4.2-cka-pretrained-early-near-zero",
        "3",
        "Pretrained models keep their early representations: CKA divergence is almost 0 there.",
        f"mean CKA divergence of layers {_EARLY}, from the pretraining where it is larger",
        lambda imagenet, cifar: greatest(level(imagenet, EARLY), level(cifar, EARLY)),
        [("CKA divergence", IMAGENET), ("CKA divergence", CIFAR)],
        0.1,  # as in section 4.1
        above=False,
        unit="CKA",
    )
    yield _claim(
        "A-4.2-cka-scratch-much-higher",
        "3",
        "From scratch CKA divergence is much higher, in early layers too.",
        f"mean CKA divergence of layers {_EARLY}: from scratch over the larger of the pretrained",
        lambda none, imagenet, cifar: ratio(
            level(none, EARLY), greatest(level(imagenet, EARLY), level(cifar, EARLY))
        ),
        [("CKA divergence", NONE), ("CKA divergence", IMAGENET), ("CKA divergence", CIFAR)],
        2.0,  # "much": at least double
        unit="ratio",
    )
    yield _claim(
        "A-4.2-cka-imagenet-above-cifar",
        "3",
        "CKA divergence orders the starts the other way: higher from ImageNet than from CIFAR.",
        f"mean CKA divergence of layers {_LOWER}, ImageNet minus CIFAR pretraining",
        lambda imagenet, cifar: level(imagenet, LOWER) - level(cifar, LOWER),
        [("CKA divergence", IMAGENET), ("CKA divergence", CIFAR)],
        0.0,  # where learning and forgetting order them, the sign is the other one
        unit="CKA",
    )
    for start, fact, words in (
        (CIFAR, "correlation_cifar_pretraining", "Pretrained on the other CIFAR set"),
        (NONE, "correlation_from_scratch", "From scratch"),
    ):
        yield _claim(
            f"A-C.1-correlation-{'from-scratch' if start == NONE else 'cifar-pretraining'}",
            "2a, 2b",
            f"{words}: learning and forgetting go together across layers.",
            "Pearson correlation over layers of learning with forgetting",
            pearson,
            [("learning", start), ("forgetting", start)],
            0.8,  # just below 0.83, the lowest of the eight that the paper calls significant
            paper_value=PAPER[fact],
            unit="correlation",
        )
    yield _claim(
        "A-C.1-correlation-lower-from-scratch",
        "2",
        "Learning and forgetting go together less closely from scratch than from ImageNet.",
        "correlation over layers of learning with forgetting, ImageNet minus from scratch",
        lambda a, b, c, d: pearson(a, b) - pearson(c, d),
        [
            ("learning", IMAGENET),
            ("forgetting", IMAGENET),
            ("learning", NONE),
            ("forgetting", NONE),
        ],
        0.0,  # lower, in all seeds
        paper_value={
            name: round(value - PAPER["correlation_from_scratch"][name], 3)
            for name, value in PAPER["correlation_classification"].items()
        },
        unit="correlation",
    )


# --- Table 1 --------------------------------------------------------------------------------------

# The table is rounded to 0.01, and accuracies of two trainings differ by about as much again.
_SLACK = 0.02
_TABLE = PAPER["test_accuracy"]


PRETRAINING_DATASET = tuple(_pretraining_dataset())
