"""Bars and lines of quantities that have nothing to do with layers: times, rates, sizes."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invlib.plots.style import COLOURS, STYLE, colour_of, marker_of

__all__ = ["bars", "lines", "loss_race", "recipe_grid"]


def bars(rows: Mapping[str, Mapping[str, xr.DataArray]], *, log: bool = False) -> Figure:
    """Draw one bar for each entry of DataArrays with a single dim, its value written beside it.

    Parameters
    ----------
    rows
        ``{row title: {panel title: DataArray}}``, as in `invlib.plots.curves.layer_curves`. Missing
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


def loss_race(ds: xr.Dataset, *, layers: list[int] | None = None) -> Figure:
    """Draw the relative distance against gradient evaluations, a panel a layer, a line a recipe.

    The dashed line is where the last recipe, the yardstick, ends.
    """
    loss, best = ds["race_loss"], ds["race_best"]
    layers = list(loss["race_layer"].values) if layers is None else layers
    budget = sorted(int(r.split(":")[1]) for r in loss["recipe"].values)[-2]  # but the yardstick's
    columns = min(4, len(layers))
    lines = -(-len(layers) // columns)
    with plt.rc_context(STYLE):
        fig, axes = plt.subplots(
            lines,
            columns,
            figsize=(3.0 * columns, 2.4 * lines + 0.6),
            squeeze=False,
            sharex=True,
            layout="constrained",
        )
        for ax in axes.flat[len(layers) :]:
            ax.remove()
        for ax, layer in zip(axes.flat, layers, strict=False):
            ax.set_title(f"layer {layer}")
            ax.axhline(
                best.sel(race_layer=layer).isel(recipe=-1), color="0.3", ls="--", linewidth=1
            )
            for i, recipe in enumerate(loss["recipe"].values):
                one = loss.sel(recipe=recipe, race_layer=layer)
                ax.plot(
                    one["evaluation"],
                    one,
                    color=colour_of(i),
                    linewidth=1.4,
                    label=recipe,
                    linestyle="-" if i < len(COLOURS) else ":",
                )
            ax.set(xlim=(0, budget), yscale="log")
        for ax in axes[-1, : 1 + (len(layers) - 1) % columns]:
            ax.set_xlabel("gradient evaluations")
        fig.supylabel("relative distance", fontsize="medium")
        handles, labels = axes.flat[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)))
    plt.close(fig)
    return fig


def recipe_grid(ds: xr.Dataset, *, example: int = 0, layers: list[int] | None = None) -> Figure:
    """Show X′ of one image: a row a recipe, a column a layer, the distance left below each."""
    pictures, best = ds["race_images"].isel(example=example), ds["race_best"]
    layers = list(pictures["race_layer"].values) if layers is None else layers
    recipes = pictures["recipe"].values
    with plt.rc_context(STYLE | {"axes.grid": False}):
        fig, axes = plt.subplots(
            len(recipes),
            len(layers),
            squeeze=False,
            layout="constrained",
            figsize=(1.05 * len(layers) + 1.1, 1.2 * len(recipes) + 0.3),
        )
        for row, recipe in zip(axes, recipes, strict=True):
            for ax, layer in zip(row, layers, strict=True):
                ax.imshow(pictures.sel(recipe=recipe, race_layer=layer), interpolation="nearest")
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
                left = float(best.sel(recipe=recipe, race_layer=layer))
                ax.set_xlabel(f"{left:.2f}", fontsize="x-small", labelpad=1)
            row[0].set_ylabel(recipe, rotation=0, ha="right", va="center", fontsize="small")
        for ax, layer in zip(axes[0], layers, strict=True):
            ax.set_title(f"layer {layer}", fontsize="small")
    plt.close(fig)
    return fig
