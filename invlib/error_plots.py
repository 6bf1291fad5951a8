"""Figures of repeated trainings: means and standard errors, by layer or by epoch."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from invlib.style import STYLE, colour_of, marker_of

__all__ = ["error_curves", "standard_error"]


def standard_error(values: xr.DataArray) -> xr.DataArray:
    """Return the standard error of the mean over `seed`; NaN of a single one.

    Examples
    --------
    >>> float(standard_error(xr.DataArray([1.0, 3.0], dims="seed")))
    1.0
    """
    count = values.sizes["seed"]
    spread = values.std("seed", ddof=1) if count > 1 else values.mean("seed") * np.nan
    return spread / count**0.5


def error_curves(
    rows: Mapping[str, Mapping[str, xr.DataArray]],
    *,
    hue: str,
    x: str = "layer",
    sharey: bool | str = "row",
) -> Figure:
    """Draw quantities by `x`, a line for each value of `hue`: mean and standard error over `seed`.

    A row of panels for each run, a column for each quantity; layers go by their names. What `hue`
    counts runs from dark to bright, names have colours of their own. NaN throughout: no line.

    Parameters
    ----------
    rows
        ``{row title: {panel title: DataArray}}``, dims `hue`, `x` and seed.
    sharey
        As in `matplotlib.pyplot.subplots`.

    Examples
    --------
    >>> toy = xr.DataArray(np.ones((2, 3, 4)), dict(seed=[0, 1], d=[0, 5, 9], layer=range(1, 5)))
    >>> len(error_curves({"this run": {"CKA": toy}}, hue="d").axes)
    1
    """
    width = max(len(panels) for panels in rows.values())
    with plt.rc_context(STYLE):
        fig, axes = plt.subplots(
            len(rows),
            width,
            figsize=(max(3.5 * width, 5), 2.8 * len(rows) + 0.5),
            squeeze=False,
            sharey=sharey,
            layout="constrained",
        )
        for row, (title, panels) in zip(axes, rows.items(), strict=True):
            for ax in row[len(panels) :]:
                ax.remove()
            styles = _styles(panels.values(), hue)
            for ax, (name, values) in zip(row, panels.items(), strict=False):
                ax.set_title(name)
                for label, style in zip(_names(values, hue), values[hue].values, strict=True):
                    _line(ax, values.sel({hue: style}), x, styles[label])
                _ticks(ax, values, x)
            row[0].set_ylabel(title)
            handles = [Line2D([], [], **style, label=name) for name, style in styles.items()]
            # Each run has its own values of `hue`: a legend a row, at its right.
            row[len(panels) - 1].legend(
                handles=handles,
                title=hue.replace("_", " "),
                loc="center left",
                bbox_to_anchor=(1, 0.5),
                fontsize="small",
            )
    plt.close(fig)  # the notebook shows what the cell returns, once
    return fig


def _names(values: xr.DataArray, dim: str) -> list[str]:
    names = values["layer_name"] if dim == "layer" and "layer_name" in values.coords else None
    return [str(name) for name in (values[dim] if names is None else names).values]


def _styles(panels, hue: str) -> dict[str, dict]:
    """Colour and marker by label, in the order the labels first appear."""
    labels = dict.fromkeys(name for values in panels for name in _names(values, hue))
    counts = all(values[hue].dtype.kind in "fiu" for values in panels)
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.88, len(labels)))  # no pale yellow
    return {
        label: dict(color=tuple(shades[i]) if counts else colour_of(i), marker=marker_of(i))
        for i, label in enumerate(labels)
    }


def _line(ax: Axes, values: xr.DataArray, x: str, style: dict) -> None:
    if values.isnull().all():
        return
    mean, error = values.mean("seed"), standard_error(values)
    where = values[x].values
    many = len(where) > 12  # bars and markers would hide the line
    ax.plot(where, mean, linewidth=1.5, markersize=0 if many else 4, **style)
    if many:
        low, high = mean - error, mean + error
        ax.fill_between(where, low, high, color=style["color"], alpha=0.2, lw=0)
    elif error.notnull().any():
        ax.errorbar(where, mean, error, fmt="none", ecolor=style["color"], capsize=2, linewidth=1)


def _ticks(ax: Axes, values: xr.DataArray, x: str) -> None:
    if x == "layer":
        ax.set_xticks(values[x].values, _names(values, x), rotation=30, ha="right")
    else:
        ax.set_xlabel(x.replace("_", " "))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
