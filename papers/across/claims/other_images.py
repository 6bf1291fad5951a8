"""Measures of the page on other images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import xarray as xr

from invlib.metrics.invariance import compression, invariance_flow
from papers.claims.correlation import partial, pearson
from papers.merlin2023.robustness_scan import forgetting_spread, mean_corrupted_accuracy

__all__ = ["compression_beyond", "robustness_relation"]


def compression_beyond(ds: xr.Dataset, *, block: Mapping[str, Sequence[int]]) -> xr.DataArray:
    """Return mean compression in a block beyond that of the pretrained model, over settings."""
    flow = invariance_flow(ds) - invariance_flow(ds, target="pt")
    layers = (range(block[m][0], block[m][-1] + 1) for m in ("pretrained", "finetuned"))
    return compression(flow, *layers).mean("setting", skipna=False)


def relation(x: xr.DataArray, y: xr.DataArray, given: xr.DataArray | None = None) -> xr.DataArray:
    """Return the correlation over settings and trainings of two quantities; partial if `given`.

    Examples
    --------
    >>> x, y, given = (xr.DataArray([v], dims=["train_seed", "setting"])
    ...                for v in ([1, 2, 3, 4], [1, 3, 2, 4], [0, 1, 1, 0]))
    >>> float(relation(x, y)), round(float(relation(x, y, given)), 2)
    (0.8, 0.8)
    """
    over = [dim for dim in ("setting", "train_seed") if dim in y.dims]
    values = [each for each in (x, y, given) if each is not None]
    values = xr.broadcast(*(each.reset_coords(drop=True) for each in values))
    points = [each.stack(point=over) for each in values]
    measure = pearson if given is None else partial
    return xr.apply_ufunc(measure, *points, input_core_dims=[["point"]] * len(points))


def over_trainings(number: Callable[[xr.Dataset], xr.DataArray], ds: xr.Dataset) -> xr.DataArray:
    r"""Return a number of all trainings as one for each seed of a training, so it has an interval.

    These are the pseudo-values :math:`T\theta - (T - 1)\theta_{-t}` of the jackknife (Tukey
    1958), where :math:`\theta_{-t}` is the number without the trainings of seed t.
    """
    if ds.sizes.get("train_seed", 1) < 2:
        return number(ds)
    seeds = ds["train_seed"].values.tolist()
    without = [number(ds.drop_sel(train_seed=seed)) for seed in seeds]
    without = xr.concat(without, xr.Variable("train_seed", seeds))
    return len(seeds) * number(ds) - (len(seeds) - 1) * without


def robustness_relation(
    ds: xr.Dataset, *, given_clean: bool, self_term: str = "measured"
) -> xr.DataArray:
    """Return the correlation over trainings of the spread of forgetting with corrupted accuracy.

    With `given_clean` it is partial: clean accuracy is held fixed.
    """
    return over_trainings(lambda part: spread_relation(part, given_clean, self_term), ds)


def spread_relation(ds: xr.Dataset, given_clean: bool, self_term: str = "measured") -> xr.DataArray:
    """Return that correlation of all trainings together."""
    spread = forgetting_spread(ds, self_term=self_term, seeds="each")
    clean = ds["corrupted_accuracy"].sel(severity=0, drop=True)
    return relation(spread, mean_corrupted_accuracy(ds), clean if given_clean else None)
