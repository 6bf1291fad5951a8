"""Figures of matrices over pairs of layers: CKA and the invariance flow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from invlib.plots.panels import panels

__all__ = ["cka_matrices", "flow_matrix"]


def cka_matrices(matrices: Mapping[str, xr.DataArray]) -> Figure:
    """Draw CKA between all layers after the first task and all layers after the second.

    Parameters
    ----------
    matrices
        ``{title: DataArray}``, dims ref_layer, layer, and perhaps seed (the mean is drawn).

    Examples
    --------
    >>> toy = xr.DataArray(np.eye(2), dict(ref_layer=[0, 1], layer=[0, 1]))
    >>> len(cka_matrices({"debiased": toy}).axes)  # and its colour bar
    2
    """
    words = dict(xlabel="layer after squares", ylabel="layer after the first task")
    frame = dict(size=(3.5, 3.2))
    return _side_by_side(matrices, frame, words, "CKA", cmap="magma", vmin=0, vmax=1)


def flow_matrix(matrices: Mapping[str, xr.DataArray]) -> Figure:
    """Draw Invariance Flow Matrices side by side, on one colour scale centred at 0.

    Rows are pretrained layers i, columns fine-tuned layers j. A positive value (red) means
    *compressed* below the diagonal and *expanded* above it.

    Examples
    --------
    >>> toy = xr.DataArray(np.eye(2), dict(ref_layer=[0, 1], layer=[0, 1]))
    >>> len(flow_matrix({"classification": toy}).axes)  # and its colour bar
    2
    """
    matrices = {title: _mean(matrix) for title, matrix in matrices.items()}
    limit = max(float(np.abs(m).max()) for m in matrices.values()) or 1.0
    words = dict(xlabel="fine-tuned layer $j$", ylabel="pretrained layer $i$")
    frame = dict(size=(3.5, 3.2))
    colours = dict(cmap="RdBu_r", vmin=-limit, vmax=limit)
    fig = _side_by_side(matrices, frame, words, "invariance flow $M(i, j)$", **colours)
    for ax, matrix in zip(fig.axes, matrices.values(), strict=False):
        ends = ([-0.5, matrix.sizes[dim] - 0.5] for dim in ("layer", "ref_layer"))
        ax.plot(*ends, color="0.6", linewidth=0.8)
    return fig


def _mean(matrix: xr.DataArray) -> xr.DataArray:
    return matrix.mean("seed") if "seed" in matrix.dims else matrix


def _side_by_side(
    matrices: Mapping[str, xr.DataArray], frame: dict, words: dict, scale: str, **colours: object
) -> Figure:
    """Draw matrices in a row, with one colour bar that has the label `scale`."""
    with panels([matrices], lines=False, **frame) as (fig, [row]):
        for ax, matrix in row:
            matrix = _mean(matrix).transpose("ref_layer", "layer")
            image = ax.imshow(matrix, origin="upper", **colours)
            for axis, dim in ((ax.xaxis, "layer"), (ax.yaxis, "ref_layer")):
                axis.set_ticks(range(matrix.sizes[dim]), matrix[dim].values, fontsize="small")
            ax.set(**words)
        fig.colorbar(image, ax=[ax for ax, _ in row], shrink=0.85, label=scale)
    return fig
