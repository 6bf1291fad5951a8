"""Measures of section 4 of paper B: fine-tuned networks. "Change" is 1 - CKA."""

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
    """Return the change from the pretrained weights, mean over layers."""
    return level(1 - _kept(ds, task, randomness), layers)


def change_beyond_scratch(ds: xr.Dataset, *, layers: Sequence[int]) -> xr.DataArray:
    """Return the change that random labels make, fine-tuned minus from scratch."""
    scratch = _kept(ds, SCRATCH, RANDOM, "initial")
    return level(scratch - _kept(ds, SAME, RANDOM), layers)


def between_true_and_random(ds: xr.Dataset, *, task: str, layers: Sequence[int]) -> xr.DataArray:
    """Return by how much a task's change is above true labels' and below random labels'."""
    here, true = (change(ds, task=one, layers=layers) for one in (task, SAME))
    random = change(ds, task=SAME, layers=layers, randomness=RANDOM)
    return least([here - true, random - here])


def cross_domain_beyond_shifted(ds: xr.Dataset, *, layer: int) -> xr.DataArray:
    """Return the change of one layer, in a cross-domain task minus with shifted labels."""
    return (_kept(ds, SHIFTED) - _kept(ds, CROSS)).sel(layer=layer, drop=True)


def nearer_to_pretrained(
    ds: xr.Dataset, *, task: str, layers: Sequence[int], randomness: int = TRUE
) -> xr.DataArray:
    """Return mean CKA with the pretrained weights minus that with the initial ones."""
    return level(_kept(ds, task, randomness) - _kept(ds, task, randomness, "initial"), layers)


def nearer_than_after_new_tasks(ds: xr.Dataset, *, layers: Sequence[int]) -> xr.DataArray:
    """Return that difference after the same task minus the larger one after the new tasks."""
    same, *new = (
        nearer_to_pretrained(ds, task=task, layers=layers) for task in (SAME, SHIFTED, CROSS)
    )
    return least(same - one for one in new)


def _kept(ds: xr.Dataset, task: str, d: int = TRUE, to: str = "pretrained") -> xr.DataArray:
    """CKA with the pretrained (or initial) weights after one task, by layer."""
    return ds["cka_reference"].sel(task=task, randomness=d, reference=to, drop=True)
