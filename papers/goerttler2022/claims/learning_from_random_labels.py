"""Measures of paper B, section 3: training from a random start. "Change" is 1 - CKA."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from papers.claims.data import reported
from papers.claims.shapes import level

__all__ = [
    "change_with_few_images",
    "change_with_more_images",
    "kept_early_minus_late",
    "kept_more",
    "kept_more_early",
    "last_layer_beyond_blocks",
    "loss_rise",
    "random_minus_true_fit",
    "accuracy_above_chance",
    "change_under_random_labels",
    "kept_more_with_randomness",
    "fall_of_test_accuracy",
]

TRUE, RANDOM = reported("B")["randomness"]  # d of unchanged and of completely random labels


def least_step(curve: xr.DataArray) -> xr.DataArray:
    """Return the smallest rise from one randomness to the next; NaN if there is only one."""
    return curve.diff("randomness").min("randomness")


def kept_early_minus_late(
    ds: xr.Dataset, *, early: Sequence[int], late: Sequence[int]
) -> xr.DataArray:
    """Return CKA with the start after training, mean of `early` layers minus mean of `late`."""
    kept = ds["cka_reference_trajectory"].isel(epoch=-1, drop=True)
    return level(kept, early) - level(kept, late)


def loss_rise(ds: xr.Dataset) -> xr.DataArray:
    """Return the smallest rise of mean training loss from one randomness to the next."""
    return least_step(ds["train_loss"].mean("epoch"))


def random_minus_true_fit(ds: xr.Dataset) -> xr.DataArray:
    """Return final training accuracy on random labels minus that on true labels."""
    return _final(ds, "train_accuracy", RANDOM) - _final(ds, "train_accuracy", TRUE)


def fall_of_test_accuracy(ds: xr.Dataset) -> xr.DataArray:
    """Return the smallest fall of final test accuracy from one randomness to the next."""
    return least_step(-ds["test_accuracy"].isel(epoch=-1, drop=True))


def accuracy_above_chance(ds: xr.Dataset, *, classes: int) -> xr.DataArray:
    """Return final test accuracy with random labels minus that of guessing."""
    return _final(ds, "test_accuracy", RANDOM) - 1 / classes


def kept_more(ds: xr.Dataset, *, layers: Sequence[int]) -> xr.DataArray:
    """Return mean CKA with the start over `layers`, random labels minus true labels."""
    return level(_by_randomness(ds), layers)


def kept_more_early(ds: xr.Dataset, *, early: Sequence[int], late: Sequence[int]) -> xr.DataArray:
    """Return `kept_more` of `early` layers minus that of `late` layers."""
    return level(_by_randomness(ds), early) - level(_by_randomness(ds), late)


def kept_more_with_randomness(ds: xr.Dataset, *, layers: Sequence[int]) -> xr.DataArray:
    """Return the smallest rise of mean CKA with the start from one randomness to the next."""
    return least_step(level(ds["cka_reference"], layers))


def change_under_random_labels(ds: xr.Dataset, *, layers: Sequence[int]) -> xr.DataArray:
    """Return the mean change over `layers` by completely random labels."""
    return 1 - level(ds["cka_reference"].sel(randomness=RANDOM, drop=True), layers)


def last_layer_beyond_blocks(ds: xr.Dataset, *, blocks: Sequence[int], last: int) -> xr.DataArray:
    """Return CKA of the block that random labels change most, minus CKA of the last layer."""
    kept = ds["cka_reference"].sel(randomness=RANDOM, drop=True)
    return _blocks(kept, blocks).min("layer") - kept.sel(layer=last, drop=True)


def change_with_few_images(ds: xr.Dataset, *, blocks: Sequence[int]) -> xr.DataArray:
    """Return the largest change of a block on the fewest images with random labels."""
    return _memorised(ds, 0, blocks).max("layer")


def change_with_more_images(ds: xr.Dataset, *, blocks: Sequence[int]) -> xr.DataArray:
    """Return the mean change of blocks on the most images minus that on the fewest."""
    most, fewest = (_memorised(ds, which, blocks).mean("layer") for which in (-1, 0))
    return (most - fewest).where(ds.sizes["n_train"] > 1)


def _by_randomness(ds: xr.Dataset) -> xr.DataArray:
    """Return CKA of each layer with its start, completely random labels minus true labels."""
    cka = ds["cka_reference"]
    return cka.sel(randomness=RANDOM, drop=True) - cka.sel(randomness=TRUE, drop=True)


def _final(ds: xr.Dataset, name: str, randomness: int) -> xr.DataArray:
    return ds[name].isel(epoch=-1, drop=True).sel(randomness=randomness, drop=True)


def _blocks(curve: xr.DataArray, blocks: Sequence[int]) -> xr.DataArray:
    return curve.sel(layer=slice(blocks[0], blocks[-1]))


def _memorised(ds: xr.Dataset, which: int, blocks: Sequence[int]) -> xr.DataArray:
    """Return the change of blocks by random labels, on the fewest (0) or most (-1) images."""
    return 1 - _blocks(ds["cka_reference_memorised"].isel(n_train=which, drop=True), blocks)
