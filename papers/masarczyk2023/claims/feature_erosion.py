"""What paper C (Masarczyk et al. 2023) claims of accuracies, and the numbers that decide.

Datasets are of kind ``tasks``, as `papers.claims.settings` yields them: one data set,
`seed` counts repeats of the training. Accuracies are measured from chance up: a share of 0 is
guessing, and 1 what the first task ended with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from papers.claims.claim import Claim, reported
from papers.claims.shapes import RESOLUTION
from papers.masarczyk2023.base import ORIGINAL, SQUARES
from papers.masarczyk2023.task_logs import after_task, last_known

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FEATURE_EROSION", "PAPER", "claim", "kept"]

PAPER = reported("C")


def over_models(number: xr.DataArray, how: str) -> xr.DataArray:
    """The largest or smallest of the networks that were run; a page has one or several."""
    return getattr(number, how)("model") if "model" in number.dims else number


def kept(ds: xr.Dataset, after: xr.DataArray) -> xr.DataArray:
    """Share of the first task's accuracy above chance that is left in the accuracies `after`."""
    above = after_task(ds, "test_accuracy", ORIGINAL) - ds["chance"]
    # a network that has learnt nothing has nothing to lose
    return (after - ds["chance"]) / above.where(above > RESOLUTION)


def claim(
    name: str, figure: str, words: str, number: str, measure, threshold: float, **more
) -> Claim:
    needs = {"variables": more.pop("variables", ("test_accuracy",))}
    return Claim(
        id=f"C-{name}", paper="C", figure=figure, words=words, number=number, threshold=threshold,
        measure=lambda ds, self_term: measure(ds), needs=needs, section="2", **more,
    )  # fmt: skip


def _abrupt(ds: xr.Dataset) -> xr.DataArray:
    """Share of the accuracy finally lost that is gone after one epoch of the second task."""
    second = ds["test_accuracy"].sel(task=SQUARES, drop=True)
    start, early = second.sel(epoch=0, drop=True), second.sel(epoch=1, drop=True)
    lost = start - last_known(second)
    return over_models((start - early) / lost.where(lost > RESOLUTION, RESOLUTION), "min")


FEATURE_EROSION = (
    claim(
        "1-first-task-is-learnt",
        "1, 2",
        "Before squares come, training accuracy is perfect.",
        "training accuracy of the last epoch of the first task, of the worst network",
        lambda ds: over_models(after_task(ds, "train_accuracy", ORIGINAL), "min"),
        0.99,  # error-free, up to what dropout-free training still gets wrong in its last epoch
        paper_value=PAPER["train_accuracy_before"],
        unit="accuracy",
        variables=("train_accuracy",),
    ),
    claim(
        "1-training-accuracy-stays",
        "1",
        "With squares, training accuracy is perfect again.",
        "training accuracy of the last epoch of the second task, of the worst network",
        lambda ds: over_models(after_task(ds, "train_accuracy", SQUARES), "min"),
        0.99,  # the same
        paper_value=PAPER["train_accuracy_after"],
        unit="accuracy",
        variables=("train_accuracy",),
    ),
    claim(
        "1-falls-to-chance",
        "1, 2",
        "Accuracy on the original test images falls to that of guessing.",
        "share of the accuracy above chance that is left, in the network where most is",
        lambda ds: over_models(kept(ds, after_task(ds, "test_accuracy", SQUARES)), "max"),
        0.1,  # nearly nothing: a tenth is 7 points of accuracy where 80 % were right
        above=False,
        paper_value=PAPER["accuracy_kept"],
        unit="share",
    ),
    claim(
        "1-abrupt",
        "1",
        "The loss is abrupt.",
        "share of the final loss that the first epoch makes, of the slowest network",
        _abrupt,
        0.5,  # most of it at once
        unit="share",
    ),
    claim(
        "2-every-network",
        "2",
        "Every network that was tried loses accuracy noticeably.",
        "share of the accuracy above chance that is lost, in the network where least is",
        lambda ds: 1 - over_models(kept(ds, after_task(ds, "test_accuracy", SQUARES)), "max"),
        0.2,  # a fifth shows in any figure, and is far above what another seed makes
        unit="share",
    ),
    claim(
        "2-solely-the-pattern",
        "2",
        "The network goes by the squares alone.",
        "accuracy on test images with squares minus accuracy without, of the least such network",
        lambda ds: over_models(
            after_task(ds, "test_accuracy_squares", SQUARES)
            - after_task(ds, "test_accuracy", SQUARES),
            "min",
        ),
        0.5,  # at 10 classes, 0.9 is the most there can be
        unit="accuracy",
        variables=("test_accuracy", "test_accuracy_squares"),
    ),
)
