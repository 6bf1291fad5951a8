"""Figures from Datasets, one function per kind of figure. Each returns a Matplotlib Figure."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from invlib.plots.style import STYLE, colour_of, marker_of

__all__ = ["depth_curves", "epoch_curves", "error_curves", "layer_curves", "standard_error"]


def layer_curves(
    rows: Mapping[str, Mapping[str, xr.DataArray]],
    *,
    hue: str = "task",
    sharey: bool | str = "row",
    zero: bool = True,
) -> Figure:
    """Draw quantities by layer: a row of panels for each run, a column for each quantity.

    The line is the mean over `seed`, the band its range, the dots the seeds themselves; without a
    `seed` dim only the line is drawn.

    Parameters
    ----------
    rows
        ``{row title: {panel title: DataArray}}``, dims a subset of (`hue`, seed, layer).
    hue
        The dim told apart by colour and marker.
    sharey
        As in `matplotlib.pyplot.subplots`.
    zero
        Draw the line y = 0.

    Examples
    --------
    >>> toy = xr.DataArray(np.ones((2, 3)), dict(seed=[0, 1], layer=[0, 1, 2]))
    >>> len(layer_curves({"this run": {"learning": toy, "forgetting": toy}}).axes)
    2
    """
    width = max(len(panels) for panels in rows.values())
    with plt.rc_context(STYLE):
        fig, axes = plt.subplots(
            len(rows),
            width,
            figsize=(3.4 * width, 2.7 * len(rows) + 0.4),
            squeeze=False,
            sharey=sharey,
            layout="constrained",
        )
        styles: dict[str, int] = {}
        for row, (title, panels) in zip(axes, rows.items(), strict=True):
            for ax in row[len(panels) :]:
                ax.remove()
            for ax, (name, values) in zip(row, panels.items(), strict=False):
                ax.set_title(name)
                if zero:
                    ax.axhline(0, color="0.6", linewidth=0.8)
                groups = values[hue].values if hue in values.dims else [None]
                for group in groups:
                    one = values if group is None else values.sel({hue: group})
                    style = -1 if group is None else styles.setdefault(str(group), len(styles))
                    _curve(ax, one, style)
                ax.set_xlabel("layer")
                ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            row[0].set_ylabel(title)
        handles = [
            Line2D([], [], color=colour_of(i), marker=marker_of(i), markersize=5, label=label)
            for label, i in styles.items()
        ]
        if handles:
            fig.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
    plt.close(fig)  # the notebook shows what the cell returns, once
    return fig


def _curve(ax: Axes, values: xr.DataArray, i: int) -> None:
    x = values["layer"].values
    if "seed" in values.dims:
        values = values.transpose("seed", "layer")
        ax.fill_between(
            x, values.min("seed"), values.max("seed"), color=colour_of(i), alpha=0.15, lw=0
        )
        for seed in values.values:
            ax.plot(x, seed, ".", color=colour_of(i), alpha=0.45, markersize=3.5)
        values = values.mean("seed")
    ax.plot(x, values, color=colour_of(i), marker=marker_of(i), markersize=4, linewidth=1.5)


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
