"""What section 3 of paper B (Goerttler & Obermayer 2022) claims about labels without structure.

The paper gives curves and words, no numbers: every threshold is ours, its reason beside it.
"Change" is 1 - CKA. There is one number for each repeat of the training, and verdicts count these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from papers.claims.claim import Claim, reported
from papers.claims.shapes import RESOLUTION, level

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "BLOCKS",
    "EARLY",
    "LEARNING_FROM_RANDOM_LABELS",
    "RANDOM",
    "SLIGHT",
    "TRUE",
    "label_claim",
    "least_step",
    "whole",
]

PAPER = reported("B")
LAYERS = tuple(PAPER["layers"])
BLOCKS, LOGITS = LAYERS[:-1], LAYERS[-1]
# "Early" and "late" without a number: the halves of the network, the layer in the middle left out.
EARLY, LATE = LAYERS[:2], LAYERS[-2:]
TRUE, RANDOM = PAPER["randomness"]
CHANCE = 1 / PAPER["classes"]

SLIGHT = 0.1  # of CKA: less is "hardly any" change, as "almost 0" of CKA divergence in paper A


def label_claim(
    id: str,
    figure: str,
    words: str,
    number: str,
    measure: Callable[[xr.Dataset], xr.DataArray],
    threshold: float,
    variable: str = "cka_reference",
    *,
    unit: str = "CKA",
    above: bool = True,
    **needs: tuple,
) -> Claim:
    """Return a claim whose number no self term enters."""
    if variable.startswith("cka"):
        needs["layer"] = LAYERS
    return Claim(
        id=id,
        paper="B",
        section=id.split("-")[1],
        figure=figure,
        words=words,
        number=number,
        measure=lambda ds, self_term: measure(ds),
        threshold=threshold,
        above=above,
        unit=unit,
        needs={"variables": (variable,)} | needs,
    )


def least_step(curve: xr.DataArray, dim: str = "randomness") -> xr.DataArray:
    """Return the smallest rise from one value of `dim` to the next; NaN where there is but one."""
    return curve.diff(dim).min(dim)


def whole(curve: xr.DataArray) -> xr.DataArray:
    """Mean over all layers."""
    return level(curve, LAYERS)


# --- section 3: training from a random start ------------------------------------------------------


def _by_randomness(ds: xr.Dataset) -> xr.DataArray:
    """How similar each layer stays, completely random labels minus true ones."""
    cka = ds["cka_reference"]
    return cka.sel(randomness=RANDOM, drop=True) - cka.sel(randomness=TRUE, drop=True)


def _final(ds: xr.Dataset, name: str, randomness: int) -> xr.DataArray:
    return ds[name].isel(epoch=-1, drop=True).sel(randomness=randomness, drop=True)


def _memorised(ds: xr.Dataset, which: int) -> xr.DataArray:
    """Change of the blocks at completely random labels, on the fewest (0) or most (-1) images."""
    cka = ds["cka_reference_memorised"]
    return 1 - cka.isel(n_train=which, drop=True).sel(layer=list(BLOCKS))


def _more_images(ds: xr.Dataset) -> xr.DataArray:
    more = _memorised(ds, -1).mean("layer") - _memorised(ds, 0).mean("layer")
    return more.where(ds.sizes["n_train"] > 1)


def _random_labels() -> Iterable[Claim]:
    both = {"randomness": (TRUE, RANDOM)}
    yield label_claim(
        "B-3-early-layers-change-less",
        "1",
        "In training from a random start, early layers change less than late ones.",
        "CKA with the start after training: mean of blocks 1 and 2 minus that of block 4 and "
        "logits",
        lambda ds: (
            level(ds["cka_reference_trajectory"].isel(epoch=-1, drop=True), EARLY)
            - level(ds["cka_reference_trajectory"].isel(epoch=-1, drop=True), LATE)
        ),
        RESOLUTION,  # the paper does not say by how much; less than that is no difference
        "cka_reference_trajectory",
    )
    yield label_claim(
        "B-3.2-loss-falls-slower",
        "2a",
        "The more random the labels, the slower the loss falls.",
        "mean training loss over all epochs: smallest rise from one randomness to the next",
        lambda ds: least_step(ds["train_loss"].mean("epoch")),
        0.0,  # any: a curve that lies higher throughout
        "train_loss",
        unit="nats",
        **both,
    )
    yield label_claim(
        "B-3.2-same-training-accuracy",
        "2b",
        "Trained long enough, a network fits random labels almost as well as true ones.",
        "training accuracy after the last epoch, completely random minus true labels",
        lambda ds: _final(ds, "train_accuracy", RANDOM) - _final(ds, "train_accuracy", TRUE),
        -0.05,  # "almost as high": within five points in a hundred
        "train_accuracy",
        unit="accuracy",
        **both,
    )
    yield label_claim(
        "B-3.2-test-accuracy-falls",
        "2c",
        "The more random the labels, the lower test accuracy.",
        "test accuracy after the last epoch: smallest fall from one randomness to the next",
        lambda ds: least_step(-ds["test_accuracy"].isel(epoch=-1, drop=True)),
        0.0,  # the best that is possible, 1/(d + 1), falls with every d
        "test_accuracy",
        unit="accuracy",
        **both,
    )
    yield label_claim(
        "B-3.2-nothing-learnt-without-structure",
        "2c",
        "With completely random labels test accuracy is what guessing gives.",
        "test accuracy after the last epoch minus one in ten",
        lambda ds: _final(ds, "test_accuracy", RANDOM) - CHANCE,
        CHANCE / 2,  # far from any learning; chance alone moves 200 test images by 0.02
        "test_accuracy",
        unit="accuracy",
        above=False,
        **both,
    )
    yield label_claim(
        "B-3.2-less-structure-less-change",
        "3a",
        "With less structure in the labels, representations change less.",
        "mean CKA with the start over all layers, completely random minus true labels",
        lambda ds: whole(_by_randomness(ds)),
        RESOLUTION,
        **both,
    )
    yield label_claim(
        "B-3.2-especially-early",
        "3a",
        "That holds above all in the early layers.",
        "the same difference: mean of blocks 1 and 2 minus that of block 4 and logits",
        lambda ds: level(_by_randomness(ds), EARLY) - level(_by_randomness(ds), LATE),
        0.0,  # "especially": larger there
        **both,
    )
    yield label_claim(
        "B-3.2-memorised-in-the-last-layer",
        "3a",
        "Random labels are memorised mainly in the last layer.",
        "completely random labels: CKA with the start of the block that changed most, minus that "
        "of the logits",
        lambda ds: (
            ds["cka_reference"].sel(randomness=RANDOM, layer=list(BLOCKS), drop=True).min("layer")
            - ds["cka_reference"].sel(randomness=RANDOM, layer=LOGITS, drop=True)
        ),
        RESOLUTION,  # "mainly": it changes more than every other
        **both,
    )
    yield label_claim(
        "B-3.2-few-images-only-the-last-layer",
        "3b",
        "To memorise a few random labels nothing but the last layer has to change.",
        "largest change of any block on the fewest images",
        lambda ds: _memorised(ds, 0).max("layer"),
        SLIGHT,
        "cka_reference_memorised",
        above=False,
    )
    yield label_claim(
        "B-3.2-more-images-earlier-layers",
        "3b",
        "The more random labels there are, the more earlier layers change.",
        "mean change of the blocks, on the most images minus on the fewest",
        _more_images,
        RESOLUTION,
        "cka_reference_memorised",
    )


LEARNING_FROM_RANDOM_LABELS = tuple(_random_labels())
