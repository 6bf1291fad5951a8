"""Numbers from series over epochs: what a claim about a trajectory comes down to. No xarray here.

Every series is a DataArray with dim epoch; what comes back has lost it, and is NaN where an epoch
that it looks at is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["early_peak", "gain", "loss_since_best"]


def early_peak(series: xr.DataArray) -> xr.DataArray:
    """Return how far the highest value of the first half of training lies above the last value.

    Epoch 0, before any step, is no peak. Positive: there was an early peak and it has gone.

    Examples
    --------
    >>> import xarray as xr
    >>> peaked = xr.DataArray([0.0, 0.4, 0.3, 0.25, 0.2], {"epoch": range(5)})
    >>> round(float(early_peak(peaked)), 2), round(float(early_peak(-peaked)), 2)
    (0.2, -0.1)
    """
    epochs = series["epoch"].values
    first = series.sel(epoch=[e for e in epochs if 0 < e <= epochs[-1] / 2])
    return first.max("epoch", skipna=False) - series.isel(epoch=-1, drop=True)


def gain(series: xr.DataArray) -> xr.DataArray:
    """Return the last value minus that of the first epoch after 0.

    Examples
    --------
    >>> import xarray as xr
    >>> float(gain(xr.DataArray([0.0, 0.5, 0.75], {"epoch": range(3)})))
    0.25
    """
    return series.isel(epoch=-1, drop=True) - series.sel(epoch=slice(1, None)).isel(
        epoch=0, drop=True
    )


def loss_since_best(series: xr.DataArray) -> xr.DataArray:
    """Return the highest value of any epoch minus the last.

    Examples
    --------
    >>> import xarray as xr
    >>> float(loss_since_best(xr.DataArray([0.0, 0.75, 0.5], {"epoch": range(3)})))
    0.25
    """
    return series.max("epoch", skipna=False) - series.isel(epoch=-1, drop=True)
