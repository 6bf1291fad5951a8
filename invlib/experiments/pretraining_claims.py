"""What section 4.2, Table 1 and appendix C.1 of paper A claim about starting points."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from invlib.claims import Claim

from .curve_claims import BOTH, EARLY, PAPER, curve_claim, span_words
from .curves import least, least_difference, level, pearson, ratio
from .pretraining import IMAGENET, NONE

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ACCURACY", "PRETRAINING_DATASET"]

CIFAR = "cifar"  # the other of CIFAR-10 and CIFAR-100: whichever start is no other one


def _layers(name: str) -> range:
    first, last = PAPER[name]
    return range(first, last + 1)


REUSED, LOWER = _layers("layers_reused"), _layers("layers_imagenet_lower")
_REUSED, _LOWER, _EARLY = map(span_words, (REUSED, LOWER, EARLY))


def _pick(ds: xr.Dataset, start: str) -> xr.Dataset:
    """One starting point of a comparison; NaN where it is not there."""
    there = ds["pretraining"].values.tolist() if "pretraining" in ds.dims else []
    if start == CIFAR:
        others = [name for name in there if name.startswith(CIFAR)]
        whole = [n for n in others if ds["stir_ft_pt_diagonal"].sel(pretraining=n).notnull().all()]
        start = (whole or others or [CIFAR])[0]
    if start in there:
        return ds.sel(pretraining=start)
    return (ds.isel(pretraining=0) if there else ds).where(False)


def _claim(*said: object, **more: object) -> Claim:
    return curve_claim(*said, dim="pretraining", pick=_pick, **more)


def _pretraining_dataset() -> Iterable[Claim]:
    for quantity in BOTH:
        yield _claim(
            f"A-4.2-pretrained-below-scratch-{quantity}",
            "2",
            f"Over layers {_REUSED} {quantity} of a pretrained model is far below that of one "
            "trained from scratch.",
            f"mean {quantity} over layers {_REUSED}, from scratch over the larger pretrained one",
            lambda none, imagenet, cifar: ratio(
                level(none, REUSED), -least(-level(imagenet, REUSED), -level(cifar, REUSED))
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
            lambda none, imagenet, cifar: least_difference(none, -least(-imagenet, -cifar)),
            [(quantity, NONE), (quantity, IMAGENET), (quantity, CIFAR)],
            0.0,  # every layer, and the paper does not say by how much
            unit="STIR",
        )
    yield _claim(
        "A-4.2-cka-pretrained-early-near-zero",
        "3",
        "Pretrained models keep their early representations: CKA divergence is almost 0 there.",
        f"mean CKA divergence of layers {_EARLY}, of the start where it is larger",
        lambda imagenet, cifar: -least(-level(imagenet, EARLY), -level(cifar, EARLY)),
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
            level(none, EARLY), -least(-level(imagenet, EARLY), -level(cifar, EARLY))
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
            "2a" if start == CIFAR else "2b",
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

_SLACK = 0.02  # what another seed, and another half of the test set, may cost


def _accuracy_of(ds: xr.Dataset, start: str) -> xr.DataArray:
    there = ds["pretraining"].values.tolist()
    if start == CIFAR:
        whole = [n for n in there if n.startswith(CIFAR) and n != str(ds["dataset"].values)]
        start = (whole or [CIFAR])[0]
    if start not in there:
        return ds["test_accuracy"].isel(pretraining=0, drop=True) * np.nan
    return ds["test_accuracy"].sel(pretraining=start, drop=True)


def _reported(start: str) -> dict[str, float]:
    table = PAPER["test_accuracy"]
    if start != CIFAR:
        return table[start]
    return {"cifar10": table["cifar100"]["cifar10"], "cifar100": table["cifar10"]["cifar100"]}


def _row(start: str, words: str) -> Claim:
    said = _reported(start)

    def measure(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        return _accuracy_of(ds, start) - said.get(str(ds["dataset"].values), np.nan)

    return Claim(
        id=f"A-T1-{'scratch' if start == NONE else start}",
        paper="A",
        section="B",
        figure="Table 1",
        words=words,
        number="test accuracy minus the paper's",
        measure=measure,
        threshold=-_SLACK,  # as good, up to what a seed makes
        paper_value=dict.fromkeys(said, 0.0),
        unit="accuracy",
        needs={"variables": ("test_accuracy",)},
    )


def _accuracy() -> Iterable[Claim]:
    yield _row(IMAGENET, "Fine-tuned from ImageNet weights, test accuracy is what Table 1 says.")
    yield _row(CIFAR, "Fine-tuned from the other CIFAR set, test accuracy is what Table 1 says.")
    yield _row(NONE, "Trained from scratch, test accuracy is what Table 1 says.")
    table = PAPER["test_accuracy"]
    for other, start, words in (
        ("cifar", CIFAR, "CIFAR pretraining ends with higher accuracy than ImageNet pretraining."),
        ("scratch", NONE, "Training from scratch ends with higher accuracy than ImageNet weights."),
    ):
        yield Claim(
            id=f"A-T1-{other}-above-imagenet",
            paper="A",
            section="B",
            figure="Table 1",
            words=words,
            number=f"test accuracy, {other} minus ImageNet",
            measure=lambda ds, self_term, start=start: (
                _accuracy_of(ds, start) - _accuracy_of(ds, IMAGENET)
            ),
            threshold=0.0,  # the table's own differences are 0.01 to 0.06
            paper_value={
                name: round(value - table[IMAGENET][name], 3)
                for name, value in _reported(start).items()
            },
            unit="accuracy",
            needs={"variables": ("test_accuracy",), "pretraining": (IMAGENET,)},
        )


PRETRAINING_DATASET = tuple(_pretraining_dataset())
ACCURACY = tuple(_accuracy())
