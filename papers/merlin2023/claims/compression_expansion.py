"""Measures of paper A, section 4.3: the Invariance Flow Matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import xarray as xr

from invlib.metrics.invariance import compressed_share, compression, expansion, invariance_flow
from invlib.names import choices

__all__ = ["compressed_pairs", "mean_flow"]

DIRECTIONS = {"compression": compression, "expansion": expansion}


def compressed_pairs(ds: xr.Dataset, *, task: str) -> xr.DataArray:
    """Return the share of layer pairs whose invariances flow to the earlier layer."""
    return compressed_share(_flow(ds.sel(task=task)))


def mean_flow(
    ds: xr.Dataset,
    *,
    task: str,
    direction: str,
    block: Mapping[str, Sequence[int]],
    beyond_pretrained: bool = False,
) -> xr.DataArray:
    """Return the mean flow in a `block`, which has the pretrained and the fine-tuned layers.

    With `beyond_pretrained`, the flow of the pretrained model to itself is subtracted.
    """
    flow = _flow(ds.sel(task=task), beyond_pretrained)
    pretrained, finetuned = (
        range(block[model][0], block[model][-1] + 1) for model in ("pretrained", "finetuned")
    )
    mean = DIRECTIONS[choices("direction", direction, DIRECTIONS)]
    return mean(flow, pretrained, finetuned)


def _flow(ds: xr.Dataset, beyond_pretrained: bool = False) -> xr.DataArray:
    """Return the flow matrix. If an entry is NaN, all are, because a mean would skip it."""
    flow = invariance_flow(ds)
    if beyond_pretrained:
        flow = flow - invariance_flow(ds, target="pt")
    return flow.where(flow.notnull().all(("ref_layer", "layer")))
