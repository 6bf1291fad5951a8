"""Measures of paper B, section 4: fine-tuning. "Change" is 1 - CKA."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from papers.claims.shapes import least, level
from papers.goerttler2022.claims.learning_from_random_labels import RANDOM, TRUE, least_step
from papers.goerttler2022.unlearning import CROSS, SAME, SCRATCH, SHIFTED

__all__ = [
    "between_true_and_random",
    "change",
    "change_beyond_scratch",
    "change_beyond_true",
    "cross_domain_beyond_shifted",
    "fall_with_randomness",
    "nearer_than_after_new_tasks",
    "nearer_to_pretrained",
]


def fall_with_randomness(ds: xr.Dataset, *, task: str, layers: Sequence[int]) -> xr.DataArray:
    """Return the smallest fall of CKA with the pretrained weights between degrees of randomness."""
    cka = ds["cka_reference"].sel(task=task, reference="pretrained", drop=True)
    return least_step(-level(cka, layers))


def change(
    ds: xr.Dataset, *, task: str, layers: Sequence[int], randomness: int = TRUE
) -> xr.DataArray:
    """Return the mean change over `layers` from the pretrained weights."""
    return level(1 - _kept(ds, task, randomness), layers)


def change_beyond_scratch(ds: xr.Dataset, *, layers: Sequence[int]) -> xr.DataArray:
    """Return the change by random labels in fine-tuning minus that from scratch."""
    scratch = _kept(ds, SCRATCH, RANDOM, "initial")
    return level(scratch - _kept(ds, SAME, RANDOM), layers)


def change_beyond_true(ds: xr.Dataset, *, layers: Sequence[int]) -> xr.DataArray:
    """Return the change by random labels minus that by true ones, on the same images."""
    random, true = (change(ds, task=SAME, layers=layers, randomness=d) for d in (RANDOM, TRUE))
    return random - true


def between_true_and_random(ds: xr.Dataset, *, task: str, layers: Sequence[int]) -> xr.DataArray:
    """Return how far a task's change lies between those of true and random labels."""
    here, true = (change(ds, task=name, layers=layers) for name in (task, SAME))
    random = change(ds, task=SAME, layers=layers, randomness=RANDOM)
    return least([here - true, random - here])


def cross_domain_beyond_shifted(ds: xr.Dataset, *, layers: Sequence[int]) -> xr.DataArray:
    """Return the change over `layers` by the cross-domain task minus that by shifted labels."""
    return level(_kept(ds, SHIFTED) - _kept(ds, CROSS), layers)


def nearer_to_pretrained(
    ds: xr.Dataset, *, task: str, layers: Sequence[int], randomness: int = TRUE
) -> xr.DataArray:
    """Return mean CKA with the pretrained weights minus that with the initial weights."""
    return level(_kept(ds, task, randomness) - _kept(ds, task, randomness, "initial"), layers)


def nearer_than_after_new_tasks(ds: xr.Dataset, *, layers: Sequence[int]) -> xr.DataArray:
    """Return `nearer_to_pretrained` after the same task minus the larger one of the new tasks."""
    same, *new = (
        nearer_to_pretrained(ds, task=task, layers=layers) for task in (SAME, SHIFTED, CROSS)
    )
    return least(same - after for after in new)


def _kept(ds: xr.Dataset, task: str, d: int = TRUE, to: str = "pretrained") -> xr.DataArray:
    """Return CKA with the pretrained (or initial) weights after one task, by layer."""
    return ds["cka_reference"].sel(task=task, randomness=d, reference=to, drop=True)
