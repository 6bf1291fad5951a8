"""What paper C (Masarczyk et al. 2023) claims of layers and plasticity: Figures 3 to 6, appendix D.

Datasets as in `.masarczyk_claims`, whose words and scale of forgetting these share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from papers.claims.shapes import RESOLUTION
from papers.masarczyk2023.base import AGAIN, ORIGINAL, SQUARES
from papers.masarczyk2023.claims.feature_erosion import PAPER, claim, kept
from papers.masarczyk2023.task_logs import after_task

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["COLLAPSE_AND_PLASTICITY"]

SECOND = PAPER["probe_layer"]
RTOL = 1e-3  # of the rank, where one has to be chosen; the paper does not state its own


def _cka(ds: xr.Dataset) -> xr.DataArray:
    """CKA of every layer with itself, before and after squares; without layer 0, the input."""
    from invlib.metrics.invariance import diagonal

    return diagonal(ds, "cka_ft_pt").sel(layer=slice(1, None))


LOW = 0.5  # CKA that reads as dark in a figure whose scale ends at 1


def _first_low(ds: xr.Dataset) -> xr.DataArray:
    low = _cka(ds) < LOW
    return ds["depth"].where(low).min("layer").fillna(1.0)  # never: as late as can be


def _second_layer(ds: xr.Dataset) -> xr.DataArray:
    probe = ds["probe_accuracy"].sel(task=SQUARES, carrying=SQUARES, layer=SECOND, drop=True)
    return abs(after_task(ds, "test_accuracy_squares", SQUARES) - probe)


def _rank_ratio(ds: xr.Dataset, images: str = ORIGINAL) -> xr.DataArray:
    """Rank after the second task over that after the first, by layer and threshold."""
    rank = ds["numerical_rank"].sel(carrying=images, drop=True).sel(layer=slice(1, None))
    before, after = (rank.sel(task=task, drop=True) for task in (ORIGINAL, SQUARES))
    return after / np.maximum(before, 1)


def _relearning(ds: xr.Dataset) -> xr.DataArray:
    """Test accuracy of relearning minus that from scratch, by epoch, before any step left out."""
    curve = ds["test_accuracy"].sel(epoch=slice(1, None))
    return curve.sel(task=AGAIN, drop=True) - curve.sel(task=ORIGINAL, drop=True)


def _forgetting(ds: xr.Dataset) -> xr.DataArray:
    """Share of the accuracy above chance that the second task costs, by ratio."""
    return 1 - kept(ds, ds["ratio_accuracy"])


def _bend(ds: xr.Dataset) -> xr.DataArray:
    lost = _forgetting(ds)
    first, last = (lost.isel(ratio=i, drop=True) for i in (0, -1))
    r = ds["ratio"]
    straight = first + (last - first) * (r - r[0]) / (r[-1] - r[0])
    return abs(lost - straight).max("ratio") / np.maximum(abs(last - first), RESOLUTION)


def _trend(ds: xr.Dataset) -> xr.DataArray:
    """Share of pairs of ratios of which the higher forgets more, minus the share of the others."""
    lost = _forgetting(ds)
    other = lost.rename(ratio="other")
    signs = np.sign(lost - other) * np.sign(ds["ratio"] - other["other"])
    count = lost.sizes["ratio"]
    return signs.sum(("ratio", "other")) / (count * (count - 1) or np.nan)


MODEST = 0.25  # a quarter of the images, at most


def _modest(ds: xr.Dataset) -> xr.DataArray:
    lost = _forgetting(ds)
    few = lost.where((lost["ratio"] > 0) & (lost["ratio"] <= MODEST)).max("ratio")
    return few - lost.where(lost["ratio"] == 0).max("ratio")


COLLAPSE_AND_PLASTICITY = (
    claim(
        "3-most-layers-dissimilar",
        "3",
        "Most layers are dissimilar to themselves before the second task.",
        f"share of layers whose CKA is below {LOW}",
        lambda ds: (_cka(ds) < LOW).mean("layer"),
        0.5,  # "most"
        unit="share",
        variables=("cka_ft_pt",),
    ),
    claim(
        "3-change-begins-at-the-bottom",
        "3",
        "Change begins early in the network.",
        f"depth of the first layer whose CKA is below {LOW}",
        _first_low,
        0.5,  # the lower half; 1 where no layer is
        above=False,
        unit="depth",
        variables=("cka_ft_pt",),
    ),
    claim(
        "4-second-layer-suffices",
        "4",
        "After the second task its second layer tells the classes as well as the whole network.",
        "accuracy with squares: distance between the network and a probe of layer 2",
        _second_layer,
        0.05,  # "comparable"; either way, or a network that learnt nothing would confirm it
        above=False,
        unit="accuracy",
        variables=("probe_accuracy", "test_accuracy_squares"),
    ),
    claim(
        "4-rank-falls-in-every-layer",
        "4",
        "The numerical rank falls substantially in every layer.",
        f"rank after over rank before, of the layer where it is largest (threshold {RTOL:g})",
        lambda ds: _rank_ratio(ds).sel(rtol=RTOL, method="nearest", drop=True).max("layer"),
        0.8,  # "substantially": by a fifth at least
        above=False,
        unit="ratio",
        variables=("numerical_rank",),
    ),
    claim(
        "4-rank-falls-at-any-threshold",
        "4",
        "The numerical rank of the middle layer falls, whatever threshold defines it.",
        "median over layers of rank after over rank before, at the threshold where it is largest",
        lambda ds: _rank_ratio(ds).median("layer").max("rtol"),
        0.8,  # the same
        above=False,
        unit="ratio",
        variables=("numerical_rank",),
    ),
    claim(
        "5-relearning-is-slower",
        "5",
        "The first task is learnt more slowly the second time than from scratch.",
        "test accuracy, mean over epochs, the third task minus the first",
        lambda ds: _relearning(ds).mean("epoch"),
        0.0,  # slower, in every repeat
        above=False,
        unit="accuracy",
    ),
    claim(
        "5-lower-at-the-same-budget",
        "5",
        "It ends lower than from scratch within the same budget.",
        "final test accuracy, the third task minus the first",
        lambda ds: (
            after_task(ds, "test_accuracy", AGAIN) - after_task(ds, "test_accuracy", ORIGINAL)
        ),
        0.0,  # lower, in every repeat
        above=False,
        unit="accuracy",
    ),
    claim(
        "6-more-squares-more-forgetting",
        "6",
        "The higher the share of images with squares, the more is forgotten.",
        "Kendall correlation of that share with the accuracy lost",
        _trend,
        0.8,  # at most one pair in ten the wrong way round
        unit="correlation",
        variables=("test_accuracy", "ratio_accuracy"),
    ),
    claim(
        "6-not-linear",
        "6",
        "Forgetting does not grow linearly with that share.",
        "largest distance from the straight line between the ends, over the height of that line",
        _bend,
        0.2,  # a fifth of the height is seen by eye
        unit="ratio",
        variables=("test_accuracy", "ratio_accuracy"),
    ),
    claim(
        "6-modest-shares-suffice",
        "6",
        "Modest shares are enough to forget.",
        f"accuracy above chance that is lost at a share of at most {MODEST:g}, minus at 0",
        _modest,
        0.1,  # a tenth more than the same training without squares loses
        unit="share",
        variables=("test_accuracy", "ratio_accuracy"),
    ),
    claim(
        "D-grad-cam-on-the-square",
        "",
        "Grad-CAM: the network looks at nothing but the squares.",
        "share of Grad-CAM in the quarter of the image where the square is, after the second task",
        lambda ds: ds["grad_cam_corner"].sel(task=SQUARES, drop=True),
        0.5,  # twice what an even map has there
        unit="share",
        variables=("grad_cam_corner",),
    ),
)
