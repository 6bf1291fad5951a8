"""Bars and lines of quantities that have nothing to do with layers: times, rates, sizes."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invlib.style import STYLE, colour_of, marker_of

__all__ = ["bars", "lines"]


def bars(rows: Mapping[str, Mapping[str, xr.DataArray]], *, log: bool = False) -> Figure:
    """Draw one bar for each entry of DataArrays with a single dim, its value written beside it.

    Parameters
    ----------
    rows
        ``{row title: {panel title: DataArray}}``, as in `invlib.plots.layer_curves`. Missing
        entries (NaN) are left out.
    log
        A logarithmic scale.

    Examples
    --------
    >>> toy = xr.DataArray([1.0, 40.0], {"way": ["ours", "theirs"]}, attrs={"units": "s"})
    >>> len(bars({"this run": {"time": toy}}).axes)
    1
    """
    height = max(v.size for panels in rows.values() for v in panels.values())
    with plt.rc_context(STYLE):
        fig, axes = _grid(rows, 0.34 * height + 0.9)
        for ax, values in _panels(axes, rows):
            values = values.dropna(values.dims[0])
            names = [str(name) for name in values[values.dims[0]].values]
            drawn = ax.barh(names, values, color=[colour_of(i) for i in range(len(names))])
            said = [f" {v:,.0f}" if v >= 100 else f" {v:.3g}" for v in values.values]
            ax.bar_label(drawn, said, fontsize="small")
            ax.invert_yaxis()
            if log:
                ax.set_xscale("log")
            ax.margins(x=0.25)
            ax.grid(axis="y", visible=False)
            ax.set_xlabel(_label(values))
    plt.close(fig)
    return fig


def lines(
    rows: Mapping[str, Mapping[str, xr.DataArray]],
    *,
    x: str,
    hue: str | None = None,
    proportional: bool = False,
) -> Figure:
    """Draw DataArrays over the dim `x`, a line for each value of `hue`.

    `proportional` adds the dotted line from 0 through (1, 1): half as much costs half.

    Examples
    --------
    >>> toy = xr.DataArray([0.6, 1.0], {"share": [0.5, 1.0]})
    >>> len(lines({"this run": {"cost": toy}}, x="share", proportional=True).axes)
    1
    """
    with plt.rc_context(STYLE):
        fig, axes = _grid(rows, 2.9)
        for ax, values in _panels(axes, rows):
            if proportional:
                ax.plot([0, 1], [0, 1], ":", color="0.5", label="proportional")
            groups = values[hue].values if hue else [None]
            for i, group in enumerate(groups):
                one = values if group is None else values.sel({hue: group})
                style = dict(color=colour_of(i), marker=marker_of(i), markersize=5, linewidth=1.5)
                ax.plot(values[x].values, one, label=group and str(group), **style)
            ax.set(xlabel=values[x].attrs.get("long_name", x), ylabel=_label(values))
            ax.set(xlim=(0, None), ylim=(0, 1.08 * float(values.max())))
            if hue:
                ax.legend(fontsize="small")
    plt.close(fig)
    return fig


def _grid(rows: Mapping[str, Mapping], height: float) -> tuple[Figure, np.ndarray]:
    width = max(len(panels) for panels in rows.values())
    size = (max(4.4 * width, 6), height * len(rows) + 0.3)
    return plt.subplots(len(rows), width, figsize=size, squeeze=False, layout="constrained")


def _panels(axes: np.ndarray, rows: Mapping[str, Mapping[str, xr.DataArray]]):
    """Yield (axes, values) for every panel, titled; axes that are not needed are removed."""
    for row, (title, panels) in zip(axes, rows.items(), strict=True):
        for ax in row[len(panels) :]:
            ax.remove()
        for i, (ax, (name, values)) in enumerate(zip(row, panels.items(), strict=False)):
            ax: Axes
            ax.set_title(name if i or len(rows) == 1 else f"{title}\n{name}")
            yield ax, values


def _label(values: xr.DataArray) -> str:
    """Units say what the numbers are; where there are none, the name has to."""
    units = values.attrs.get("units", "1")
    return values.attrs.get("long_name", "") if units == "1" else units
