"""Measures of paper A, section 4.4 and appendix E: one fine-tuning, epoch by epoch.

The spread is the standard deviation of forgetting over layers 2–12. The paper's hypothesis is that
it correlates, over epochs, with the mean accuracy on corrupted images.
"""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from invlib.metrics.invariance import forgetting
from invlib.names import choices
from papers.claims.correlation import correlate
from papers.claims.shapes import early_peak_of, gain, greatest, least, level, loss_since_best
from papers.merlin2023.robustness_scan import (
    correlation_scan,
    forgetting_spread,
    mean_corrupted_accuracy,
)

__all__ = [
    "clean_accuracy_gain",
    "clean_accuracy_lost",
    "late_change",
    "least_early_peak",
    "peaks_apart",
    "spread_above_best",
    "spread_correlation",
    "spread_early_minus_all",
    "spread_p_value",
]


def clean_accuracy_gain(ds: xr.Dataset) -> xr.DataArray:
    """Return accuracy on clean images after the last epoch minus that after the first."""
    return gain(_accuracy(ds, 0))


def clean_accuracy_lost(ds: xr.Dataset) -> xr.DataArray:
    """Return the best accuracy on clean images of all epochs minus the last one."""
    return loss_since_best(_accuracy(ds, 0))


def least_early_peak(ds: xr.Dataset, *, severities: Sequence[int]) -> xr.DataArray:
    """Return the smallest early peak of accuracy of all `severities`."""
    return least(early_peak_of(_accuracy(ds, severity)) for severity in severities)


def peaks_apart(ds: xr.Dataset, *, self_term: str, layers: Sequence[int]) -> xr.DataArray:
    """Return the epochs from the peak of forgetting over `layers` to that of corrupted accuracy.

    It is a share of all epochs. Epoch 0 is left out.
    """
    trained = ds.sel(epoch=slice(1, None))
    lost = forgetting(trained, self_term=self_term)
    lost = level(lost.where(lost.notnull().all(("layer", "epoch"))), layers)
    peaks = [one.idxmax("epoch") for one in (mean_corrupted_accuracy(trained), lost)]
    return ((peaks[0] - peaks[1]) / int(ds["epoch"][-1])).reset_coords(drop=True)


def late_change(ds: xr.Dataset, *, self_term: str) -> xr.DataArray:
    """Return how much of their range spread and accuracy change in the last quarter of epochs.

    The larger of the two counts.
    """
    series = [forgetting_spread(ds, self_term=self_term, seeds="each"), mean_corrupted_accuracy(ds)]
    late = int(ds["epoch"][-1]) * 3 // 4
    moved = (
        abs(one.isel(epoch=-1, drop=True) - one.sel(epoch=late, method="nearest", drop=True))
        / (one.max("epoch") - one.min("epoch"))
        for one in series
    )
    return greatest(moved).reset_coords(drop=True)


def _accuracy(ds: xr.Dataset, severity: int) -> xr.DataArray:
    accuracy = ds["corrupted_accuracy"].sel(severity=severity, drop=True)
    return accuracy.mean([dim for dim in accuracy.dims if dim == "corruption"], skipna=False)


def spread_correlation(ds: xr.Dataset, *, self_term: str, epochs: str = "all") -> xr.DataArray:
    """Return the correlation of spread and accuracy over `epochs`: all, trained (not 0), early."""
    return _spread(ds, self_term, "correlation", epochs)


def spread_early_minus_all(ds: xr.Dataset, *, self_term: str) -> xr.DataArray:
    """Return `spread_correlation` over the first half of training minus that over all epochs."""
    early, whole = (_spread(ds, self_term, "correlation", epochs) for epochs in ("early", "all"))
    return early - whole


def spread_p_value(ds: xr.Dataset, *, self_term: str, statistic: str, tried: int) -> xr.DataArray:
    """Return a p-value of `spread_correlation` times the hypotheses `tried` (Bonferroni), up to 1.

    `statistic` is a p-value of `correlate`, which is two-sided. If the correlation has the wrong
    sign, the result is 1.
    """
    p, r = (_spread(ds, self_term, name) for name in (statistic, "correlation"))
    return (p * tried).clip(max=1).where(~(r < 0), 1.0)


def spread_above_best(ds: xr.Dataset, *, self_term: str, quantity: str) -> xr.DataArray:
    """Return `spread_correlation` minus the largest |r| of all aggregates of `quantity`."""
    scan = correlation_scan(ds, quantities=[quantity], self_term=self_term, seeds="each")
    best = abs(scan["correlation"].reset_coords(drop=True)).max("hypothesis")
    return _spread(ds, self_term, "correlation") - best


def _spread(ds: xr.Dataset, self_term: str, statistic: str, epochs: str = "all") -> xr.DataArray:
    half = int(ds["epoch"][-1]) // 2
    part = {"all": slice(None), "trained": slice(1, None), "early": slice(None, half)}
    ds = ds.sel(epoch=part[choices("epochs", epochs, part)])
    spread = forgetting_spread(ds, self_term=self_term, seeds="each")
    return correlate(spread, mean_corrupted_accuracy(ds))[statistic].reset_coords(drop=True)
