"""What Table 1 and appendix C.1 of paper A claim."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from papers.claims.claim import Claim
from papers.merlin2023.claims.builders import PAPER
from papers.merlin2023.claims.pretraining_dataset import (
    _SLACK,
    _TABLE,
    CIFAR,
    OTHER,
    _dataset,
    _pick,
    _starts_missing,
)
from papers.merlin2023.pretraining_dataset import IMAGENET, NONE

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ACCURACY"]


def _reported(start: str) -> dict[str, float]:
    """A column of Table 1: accuracy by the data set fine-tuned to."""
    if start != CIFAR:
        return _TABLE[start]
    return {dataset: _TABLE[other][dataset] for dataset, other in OTHER.items()}


def _accuracy_claim(
    id: str,
    words: str,
    number: str,
    measure: Callable[[xr.Dataset], xr.DataArray],
    threshold: float,
    starts: Iterable[str],
    paper_value: dict[str, float],
    variable: str = "test_accuracy",
) -> Claim:
    missing = _starts_missing(starts, variable)

    def obstacle(ds: xr.Dataset) -> str:
        if _dataset(ds) not in paper_value:
            return f"the paper says this of {', '.join(paper_value)} only"
        return missing(ds)

    return Claim(
        id=f"A-T1-{id}",
        paper="A",
        section="B",
        figure="Table 1",
        words=words,
        number=number,
        measure=lambda ds, self_term: measure(ds),
        threshold=threshold,
        paper_value=paper_value,
        unit="accuracy",
        needs={"variables": (variable,)},
        obstacle=obstacle,
    )


def _row(start: str, words: str) -> Claim:
    said = _reported(start)
    return _accuracy_claim(
        "scratch" if start == NONE else start,
        f"{words}, test accuracy reaches that of Table 1.",
        "test accuracy minus the paper's",
        lambda ds: _pick(ds, start)["test_accuracy"] - said[_dataset(ds)],
        -_SLACK,  # at least as good, up to that
        (start,),
        dict.fromkeys(said, 0.0),
    )


def _accuracy() -> Iterable[Claim]:
    yield _row(IMAGENET, "Fine-tuned from ImageNet weights")
    yield _row(CIFAR, "Fine-tuned from the other CIFAR set")
    yield _row(NONE, "Trained from scratch")
    # Its third column, for the models that are pretrained here. That of ImageNet, 0.51, is of a
    # model that the paper took as it is.
    before = {dataset: PAPER["pretraining_accuracy"][other] for dataset, other in OTHER.items()}
    yield _accuracy_claim(
        "pretraining-cifar",
        "The model pretrained on the other CIFAR set reaches the accuracy of Table 1 there.",
        "test accuracy before fine-tuning, on the data set of the pretraining, minus the paper's",
        lambda ds: _pick(ds, CIFAR)["pretraining_accuracy"] - before[_dataset(ds)],
        -_SLACK,
        (CIFAR,),
        dict.fromkeys(before, 0.0),
        "pretraining_accuracy",
    )
    for id, start, words in (
        ("cifar", CIFAR, "CIFAR pretraining ends with higher accuracy than ImageNet pretraining."),
        ("scratch", NONE, "Training from scratch ends with higher accuracy than ImageNet weights."),
    ):
        yield _accuracy_claim(
            f"{id}-above-imagenet",
            words,
            f"test accuracy, {'from scratch' if start == NONE else 'CIFAR'} minus ImageNet",
            lambda ds, start=start: (
                _pick(ds, start)["test_accuracy"] - _pick(ds, IMAGENET)["test_accuracy"]
            ),
            0.0,  # higher, and no more: the table's own differences are 0.01 to 0.06
            (start, IMAGENET),
            {
                dataset: round(value - _TABLE[IMAGENET][dataset], 3)
                for dataset, value in _reported(start).items()
            },
        )


ACCURACY = tuple(_accuracy())
