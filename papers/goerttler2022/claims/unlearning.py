"""What section 4 of paper B (Goerttler & Obermayer 2022) claims about fine-tuned networks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from papers.claims.claim import Claim
from papers.claims.shapes import RESOLUTION, least, level
from papers.goerttler2022.claims.learning_from_random_labels import (
    BLOCKS,
    EARLY,
    RANDOM,
    SLIGHT,
    TRUE,
    label_claim,
    least_step,
    whole,
)
from papers.goerttler2022.unlearning import CROSS, SAME, SCRATCH, SHIFTED

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["UNLEARNING"]


def _kept(ds: xr.Dataset, task: str, d: int = TRUE, to: str = "pretrained") -> xr.DataArray:
    """CKA with the pretrained (or initial) weights after one task, by layer."""
    return ds["cka_reference"].sel(task=task, randomness=d, reference=to, drop=True)


def _between(ds: xr.Dataset, task: str) -> xr.DataArray:
    """By how much the early change of a task is above the true task's and below random labels'."""
    here, true, random = (
        level(1 - _kept(ds, *which), EARLY) for which in ((task,), (SAME,), (SAME, RANDOM))
    )
    return least(here - true, random - here)


def _nearer(ds: xr.Dataset, task: str, d: int = TRUE) -> xr.DataArray:
    """Mean CKA over all layers with the pretrained weights minus that with the initial ones."""
    return whole(_kept(ds, task, d) - _kept(ds, task, d, "initial"))


def _falls(ds: xr.Dataset, task: str) -> xr.DataArray:
    cka = ds["cka_reference"].sel(task=task, reference="pretrained", drop=True)
    return least_step(-whole(cka))


def _unlearning() -> Iterable[Claim]:
    both = {"randomness": (TRUE, RANDOM)}
    for id, task, figure, words in (
        ("same", SAME, "4a", "On images of the same domain"),
        ("cross-domain", CROSS, "4b", "On images of another domain, too"),
    ):
        yield label_claim(
            f"B-4.1-more-random-more-change-{id}",
            figure,
            f"{words}: the more random the labels, the more a pretrained network changes.",
            "mean CKA with the pretrained weights over all layers: smallest fall from one "
            "randomness to the next",
            partial(_falls, task=task),
            0.0,  # every step downwards; how large each is depends on which d were run
            task=(task,),
            **both,
        )
    yield label_claim(
        "B-4.1-true-labels-keep-early-layers",
        "4a",
        "On true labels hardly anything changes in early layers.",
        "change from the pretrained weights, mean of blocks 1 and 2",
        lambda ds: level(1 - _kept(ds, SAME), EARLY),
        SLIGHT,
        above=False,
        task=(SAME,),
        randomness=(TRUE,),
    )
    yield label_claim(
        "B-4.1-more-than-from-scratch",
        "3a, 4a",
        "Completely random labels change a pretrained network more than one with random weights.",
        "mean change over all layers from its start, fine-tuned minus from scratch",
        lambda ds: whole(
            _kept(ds, SCRATCH, RANDOM, "initial") - _kept(ds, SAME, RANDOM, "pretrained")
        ),
        RESOLUTION,
        task=(SAME, SCRATCH),
        **both,
    )
    for id, task, words in (
        ("shifted", SHIFTED, "Shifted labels"),
        ("cross-domain", CROSS, "A cross-domain task"),
    ):
        yield label_claim(
            f"B-4.2-between-{id}",
            "4c",
            f"{words} changes early layers more than the true labels, and less than random ones."
            if task == CROSS
            else f"{words} change early layers more than the true ones, and less than random ones.",
            "change of blocks 1 and 2: the smaller of its distances above true and below random",
            partial(_between, task=task),
            0.0,  # strictly between
            task=(SAME, task),
            **both,
        )
    yield label_claim(
        "B-4.2-cross-domain-penultimate",
        "4c",
        "A cross-domain task changes the penultimate layer more than shifted labels do.",
        "change of block 4 from the pretrained weights, cross-domain minus shifted",
        lambda ds: (_kept(ds, SHIFTED) - _kept(ds, CROSS)).sel(layer=BLOCKS[-1], drop=True),
        RESOLUTION,
        task=(SHIFTED, CROSS),
        randomness=(TRUE,),
    )
    for id, figure, task, words in (
        ("true", "5a", SAME, "After more of the same task"),
        ("shifted", "5c", SHIFTED, "After shifted labels"),
        ("cross-domain", "5d", CROSS, "After a cross-domain task"),
    ):
        yield label_claim(
            f"B-4.3-nearer-to-pretrained-{id}",
            figure,
            f"{words} a network is nearer to its pretrained weights than to its initial ones.",
            "mean CKA over all layers, with the pretrained minus with the initial weights",
            partial(_nearer, task=task),
            0.0,  # nearer
            task=(task,),
            randomness=(TRUE,),
        )
    yield label_claim(
        "B-4.3-nearer-to-initial-random",
        "5b",
        "After completely random labels it is the other way round: structure is unlearned.",
        "mean CKA over all layers, with the pretrained minus with the initial weights",
        partial(_nearer, task=SAME, d=RANDOM),
        0.0,
        above=False,
        task=(SAME,),
        **both,
    )
    yield label_claim(
        "B-4.3-least-apart-after-new-tasks",
        "5a, c, d",
        "The two similarities are further apart after the same task than after the two new ones.",
        "the difference above, after the same task minus the larger of the two others",
        lambda ds: least(*(_nearer(ds, SAME) - _nearer(ds, task) for task in (SHIFTED, CROSS))),
        0.0,
        task=(SAME, SHIFTED, CROSS),
        randomness=(TRUE,),
    )


UNLEARNING = tuple(_unlearning())
