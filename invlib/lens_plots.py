"""Networks of different depth on one axis."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from invlib.style import STYLE, colour_of, marker_of

__all__ = ["depth_curves"]


def depth_curves(
    panels: Mapping[str, xr.DataArray], depth: xr.DataArray, *, columns: int = 3
) -> Figure:
    """Draw quantities against depth in [0, 1], a line a case; with a dim `when`, dashed is before.

    Parameters
    ----------
    panels
        ``{panel title: DataArray}``, dims case, place and perhaps seed (mean drawn, range as a
        band) and when.
    depth
        Depth of each place, dims case and place.
    columns
        Panels side by side.

    Examples
    --------
    >>> toy = xr.DataArray([[0.0, 0.5]], {"case": ["A"], "place": [0, 1]})
    >>> len(depth_curves({"learning": toy}, toy).axes)
    1
    """
    rows = -(-len(panels) // columns)
    with plt.rc_context(STYLE):
        fig, axes = plt.subplots(
            rows,
            columns,
            figsize=(3.6 * columns, 2.9 * rows + 0.5),
            squeeze=False,
            layout="constrained",
        )
        for ax in axes.flat[len(panels) :]:
            ax.remove()
        cases = depth["case"].values.tolist()
        for ax, (title, values) in zip(axes.flat, panels.items(), strict=False):
            for i, case in enumerate(cases):
                x, one = depth.sel(case=case), values.sel(case=case)
                if "seed" in one.dims:
                    low, high = one.min("seed"), one.max("seed")
                    ax.fill_between(x, low, high, color=colour_of(i), alpha=0.15, lw=0)
                    one = one.mean("seed")
                for when in one["when"].values if "when" in one.dims else [None]:
                    line = one if when is None else one.sel(when=when)
                    style = ":" if when == "before" else "-"
                    look = dict(
                        color=colour_of(i), marker=marker_of(i), markersize=4, linewidth=1.4
                    )
                    ax.plot(x, line, linestyle=style, **look)
            ax.set(title=title, xlabel="depth in the network")
        handles = [
            Line2D([], [], color=colour_of(i), marker=marker_of(i), markersize=5, label=case)
            for i, case in enumerate(cases)
        ]
        if any("when" in values.dims for values in panels.values()):
            handles.append(Line2D([], [], color="0.4", linestyle=":", label="before"))
        fig.legend(handles=handles, loc="outside lower center", ncols=3)
    plt.close(fig)
    return fig
