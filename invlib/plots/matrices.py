"""Figures of matrices over pairs of layers."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from invlib.plots.style import STYLE

__all__ = ["cka_matrices", "flow_matrix"]


def cka_matrices(panels: Mapping[str, xr.DataArray]) -> Figure:
    """Draw CKA of every layer after the first task with every layer after the second, 0 to 1.

    Parameters
    ----------
    panels
        ``{title: DataArray}``, dims ref_layer, layer, and perhaps seed, over which the mean is
        drawn.

    Examples
    --------
    >>> toy = xr.DataArray(np.eye(2), dict(ref_layer=[0, 1], layer=[0, 1]))
    >>> len(cka_matrices({"debiased": toy}).axes)  # and its colour bar
    2
    """
    with plt.rc_context(STYLE | {"axes.grid": False}):
        fig, axes = plt.subplots(
            1,
            len(panels),
            figsize=(3.8 * len(panels) + 0.7, 3.7),
            squeeze=False,
            layout="constrained",
        )
        for ax, (title, values) in zip(axes[0], panels.items(), strict=True):
            values = values.mean("seed") if "seed" in values.dims else values
            image = ax.imshow(values.transpose("ref_layer", "layer"), cmap="magma", vmin=0, vmax=1)
            ax.set_xticks(np.arange(values.sizes["layer"]), values["layer"].values)
            ax.set_yticks(np.arange(values.sizes["ref_layer"]), values["ref_layer"].values)
            ax.tick_params(labelsize="small")
            ax.set(title=title, xlabel="layer after squares", ylabel="layer after the first task")
        fig.colorbar(image, ax=axes[0].tolist(), shrink=0.85, label="CKA")
    plt.close(fig)
    return fig


def flow_matrix(panels: Mapping[str, xr.DataArray], *, limit: float | None = None) -> Figure:
    """Draw Invariance Flow Matrices side by side, on one colour scale centred at 0.

    Rows are pretrained layers i, columns fine-tuned layers j. Below the diagonal, positive (red)
    reads *compressed*; above it, *expanded*.

    Examples
    --------
    >>> toy = xr.DataArray(np.eye(2), dict(ref_layer=[0, 1], layer=[0, 1]))
    >>> len(flow_matrix({"classification": toy}).axes)  # and its colour bar
    2
    """
    panels = {k: v.mean("seed") if "seed" in v.dims else v for k, v in panels.items()}
    limit = limit or max(float(np.abs(v).max()) for v in panels.values()) or 1.0
    with plt.rc_context(STYLE | {"axes.grid": False}):
        fig, axes = plt.subplots(
            1,
            len(panels),
            figsize=(4.1 * len(panels) + 0.8, 3.9),
            squeeze=False,
            layout="constrained",
        )
        for ax, (title, values) in zip(axes[0], panels.items(), strict=True):
            values = values.transpose("ref_layer", "layer")
            image = ax.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, origin="upper")
            ticks = np.arange(values.sizes["layer"])
            ax.set_xticks(ticks, values["layer"].values, fontsize="small")
            ax.set_yticks(ticks, values["ref_layer"].values, fontsize="small")
            ax.set(title=title, xlabel="fine-tuned layer $j$", ylabel="pretrained layer $i$")
            ax.plot([-0.5, len(ticks) - 0.5], [-0.5, len(ticks) - 0.5], color="0.6", linewidth=0.8)
        fig.colorbar(image, ax=axes[0].tolist(), shrink=0.85, label="invariance flow $M(i, j)$")
    plt.close(fig)
    return fig
