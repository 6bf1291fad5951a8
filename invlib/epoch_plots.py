"""Figures of what happens epoch by epoch, from trajectory Datasets."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from invlib.style import STYLE

__all__ = ["epoch_curves"]


def epoch_curves(
    rows: Mapping[str, Mapping[str, xr.DataArray]], *, sharey: bool | str = "row"
) -> Figure:
    """Draw quantities by epoch, a line a layer, early layers dark and late ones light.

    Parameters
    ----------
    rows
        ``{row title: {panel title: DataArray}}``, dims epoch and layer, and perhaps seed, over
        which the mean is drawn.
    sharey
        As in `matplotlib.pyplot.subplots`.

    Examples
    --------
    >>> toy = xr.DataArray([[0.0, 0.0], [0.1, 0.3]], dict(epoch=[0, 1], layer=[0, 1]))
    >>> len(epoch_curves({"this run": {"learning": toy}}).axes)  # and its colour bar
    2
    """
    width = max(len(panels) for panels in rows.values())
    with plt.rc_context(STYLE):
        fig, axes = plt.subplots(
            len(rows),
            width,
            figsize=(3.4 * width + 0.6, 2.8 * len(rows) + 0.2),
            squeeze=False,
            sharey=sharey,
            layout="constrained",
        )
        for row, (title, panels) in zip(axes, rows.items(), strict=True):
            last = max(int(values["layer"].max()) for values in panels.values())
            colours = plt.cm.ScalarMappable(Normalize(0, last * 1.12), "viridis")  # no pale yellow
            for ax in row[len(panels) :]:
                ax.remove()
            for ax, (name, values) in zip(row, panels.items(), strict=False):
                values = values.mean("seed") if "seed" in values.dims else values
                for layer in values["layer"].values:
                    one = values.sel(layer=layer)
                    colour = colours.to_rgba(layer)
                    ax.plot(one["epoch"], one, color=colour, marker=".", linewidth=1.3)
                ax.set(title=name, xlabel="epoch")
                ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            row[0].set_ylabel(title)
            bar = fig.colorbar(colours, ax=list(row[: len(panels)]), label="layer", pad=0.01)
            bar.ax.set_ylim(0, last)
            bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    plt.close(fig)
    return fig
