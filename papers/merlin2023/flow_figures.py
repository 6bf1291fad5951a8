"""Figures of many flow matrices: two columns of large ones, and rows of small ones."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from invlib.metrics.invariance import compressed_share
from invlib.plots.panels import grid, name_row, panels, picture

__all__ = ["flow_columns", "small_flows"]

_FLOW = "invariance flow $M(i, j)$"


def flow_columns(columns: Mapping[str, Mapping[str, xr.DataArray]]) -> Figure:
    """Draw two columns of flow matrices, such as one for each estimator.

    Each column has a colour scale of its own, which stands below it. All else is as in
    `invlib.plots.flow_matrix`.

    Examples
    --------
    >>> toy = xr.DataArray(np.eye(2), dict(ref_layer=[0, 1], layer=[0, 1]))
    >>> column = {"classification": toy, "reconstruction": 2 * toy}
    >>> len(flow_columns({"biased": column, "debiased": column}).axes)  # and two colour bars
    6
    """
    frame = dict(lines=False, size=(3.5, 2.75), margin=(0, 0.75), sharex=True, sharey=True)
    with panels(columns, **frame) as (fig, drawn):
        for column in drawn:
            colours = _flow_colours(matrix for _, matrix in column)
            for ax, matrix in column:
                image = _draw(ax, _mean(matrix), colours)
            axes = [ax for ax, _ in column]
            for ax in axes:
                ax.label_outer()
            fig.colorbar(image, ax=axes, location="bottom", shrink=0.8, label=_FLOW)
    return fig


def small_flows(rows: Mapping[str, Mapping[str, xr.DataArray]]) -> Figure:
    """Draw many flow matrices small, on one colour scale, with the share that is compressed.

    Parameters
    ----------
    rows
        ``{row: {column: DataArray}}``; all rows have the same columns. Matrices lie as in
        `invlib.plots.flow_matrix`. Below each stands `invlib.metrics.invariance.compressed_share`.

    Examples
    --------
    >>> toy = xr.DataArray([[0.0, -0.1], [0.1, 0.0]], dict(ref_layer=[0, 1], layer=[0, 1]))
    >>> fig = small_flows({"cifar10": {"classification": toy, "reconstruction": -toy}})
    >>> [ax.get_xlabel() for ax in fig.axes[:2]]
    ['1.00', '0.00']
    """
    matrices = [matrix for row in rows.values() for matrix in row.values()]
    colours, counts = _flow_colours(matrices), map(len, rows.values())
    with grid(counts, size=(1.05, 1.3), margin=(1, 0.7), lines=False) as (fig, axes):
        for row, (name, entries) in zip(axes, rows.items(), strict=True):
            name_row(row, textwrap.fill(name, 15))
            for ax, (title, matrix) in zip(row, entries.items(), strict=True):
                matrix = _mean(matrix).transpose("ref_layer", "layer")
                picture(ax, matrix, **colours)
                ax.set_xlabel(f"{float(compressed_share(matrix)):.2f}", fontsize="small")
                if row is axes[0]:
                    ax.set_title(title, fontsize="small")
        every = [ax for row in axes for ax in row]
        bar = dict(location="bottom", shrink=0.5, aspect=40, label=_FLOW)
        fig.colorbar(every[0].images[0], ax=every, **bar)
    return fig


def _mean(matrix: xr.DataArray) -> xr.DataArray:
    return matrix.mean("seed") if "seed" in matrix.dims else matrix


def _flow_colours(matrices: Iterable[xr.DataArray]) -> dict[str, object]:
    """Return the options of an image with one symmetric colour scale for all of them."""
    limit = max(float(np.abs(_mean(matrix)).max()) for matrix in matrices) or 1.0
    return dict(cmap="RdBu_r", vmin=-limit, vmax=limit)


def _draw(ax: Axes, matrix: xr.DataArray, colours: dict[str, object]) -> AxesImage:
    """Draw a matrix with a tick for each layer, and its diagonal."""
    image = ax.imshow(matrix.transpose("ref_layer", "layer"), origin="upper", **colours)
    for axis, dim in ((ax.xaxis, "layer"), (ax.yaxis, "ref_layer")):
        axis.set_ticks(range(matrix.sizes[dim]), matrix[dim].values, fontsize="small")
    ends = ([-0.5, matrix.sizes[dim] - 0.5] for dim in ("layer", "ref_layer"))
    ax.plot(*ends, color="0.6", linewidth=0.8)
    ax.set(xlabel="fine-tuned layer $j$", ylabel="pretrained layer $i$")
    return image
