"""Bar and line figures of times, rates and sizes, and figures of races between recipes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from itertools import chain

import xarray as xr
from matplotlib.figure import Figure

from invlib.plots.panels import grid, legend, line, name_row, panels, picture
from invlib.plots.style import COLOURS, colour_of, look_of
from invlib.plots.words import SAID

__all__ = ["bars", "distance_curves", "lines", "loss_race", "recipe_grid", "way_grid"]


def bars(rows: Mapping[str, Mapping[str, xr.DataArray]], *, log: bool = False) -> Figure:
    """Draw a bar with its value for each entry of DataArrays that have a single dim.

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
    most = 1.4 * max(values.size for entries in rows.values() for values in entries.values())
    with _panels(rows, 0.34 * most + 0.9) as (fig, drawn):
        for ax, values in chain(*drawn):
            values = values.dropna(values.dims[0])
            names = [textwrap.fill(str(name), 18) for name in values[values.dims[0]].values]
            bar = ax.barh(names, values, color=[colour_of(i) for i in range(len(names))])
            numbers = [f" {v:,.0f}" if v >= 100 else f" {v:.3g}" for v in values.values]
            ax.bar_label(bar, numbers, fontsize="small")
            ax.invert_yaxis()
            if log:
                ax.set_xscale("log")
            ax.margins(x=0.25)
            ax.grid(axis="y", visible=False)
            ax.set_xlabel(_label(values))
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
    with _panels(rows, 2.9) as (fig, drawn):
        for ax, values in chain(*drawn):
            if proportional:
                ax.plot([0, 1], [0, 1], ":", color="0.5", label="proportional")
            groups = values.transpose(hue, x) if hue else [values]
            for i, one in enumerate(groups):
                label = str(one[hue].values) if hue else None
                line(ax, one, x, markersize=5, label=label, **look_of(i))
            name = textwrap.fill(values[x].attrs.get("long_name", x), 42)
            ax.set(xlabel=name, ylabel=_label(values))
            ax.set(xlim=(0, None), ylim=(0, 1.08 * float(values.max())))
            if hue:
                ax.legend(fontsize="small")
    return fig


def _panels(rows: Mapping[str, Mapping[str, xr.DataArray]], height: float):
    """Open a figure with the names of rows above the first panel; bars have names at the left."""
    named = []
    for title, entries in rows.items():
        first, *others = entries
        above = first if len(rows) == 1 else f"{title}\n{first}"
        named.append(dict(zip([above, *others], entries.values(), strict=True)))
    return panels(named, size=(3.5, height), margin=(0, 0.3), least=6)


def _label(values: xr.DataArray) -> str:
    """Return the label of an axis: the units, or the name if there are none."""
    units = values.attrs.get("units", "1")
    return textwrap.fill(values.attrs.get("long_name", "") if units == "1" else units, 42)


def loss_race(ds: xr.Dataset) -> Figure:
    """Draw relative distance by gradient evaluations: panels are layers, lines are recipes.

    The dashed line is where the last recipe, the yardstick, ends.
    """
    loss, best = ds["race_loss"], ds["race_best"]
    budget = sorted(int(r.split(":")[1]) for r in loss["recipe"].values)[-2]  # but the yardstick's
    rows = [{f"layer {layer}": layer for layer in loss["race_layer"].values}]
    with panels(rows, size=(3.5, 2.0), margin=(0, 0.6), sharex=True) as (fig, drawn):
        for ax, layer in chain(*drawn):
            end = best.sel(race_layer=layer).isel(recipe=-1)
            ax.axhline(end, color="0.3", ls="--", linewidth=1)
            for i, one in enumerate(loss.sel(race_layer=layer).transpose("recipe", ...)):
                look = dict(color=colour_of(i), linestyle="-" if i < len(COLOURS) else ":")
                line(ax, one, "evaluation", linewidth=1.4, label=str(one.recipe.values), **look)
            ax.set(xlim=(0, budget), yscale="log")
        for ax, _ in drawn[0][-2:]:
            ax.set_xlabel("gradient evaluations")
        fig.supylabel("relative distance", fontsize="medium")
        handles, labels = fig.axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)))
    return fig


def recipe_grid(ds: xr.Dataset) -> Figure:
    """Show X′ of one image with the distance left: rows are recipes, columns are layers."""
    pictures, best = ds["race_images"].isel(example=0), ds["race_best"]
    layers, recipes = pictures["race_layer"].values, pictures["recipe"].values
    counts = [len(layers)] * len(recipes)
    with grid(counts, size=(1.05, 1.2), margin=(1.1, 0.3), lines=False) as (fig, axes):
        for row, recipe in zip(axes, recipes, strict=True):
            name_row(row, recipe)
            for ax, layer in zip(row, layers, strict=True):
                cell = dict(recipe=recipe, race_layer=layer)
                picture(ax, pictures.sel(cell))
                ax.set_xlabel(f"{float(best.sel(cell)):.2f}", fontsize="small", labelpad=1)
        for ax, layer in zip(axes[0], layers, strict=True):
            ax.set_title(f"layer {layer}", fontsize="small")
    return fig


def distance_curves(stir: xr.DataArray, left: xr.DataArray) -> Figure:
    """Draw STIR over the distance left: panels are layers, lines are recipes, dots are snapshots.

    `stir` has dims recipe, snapshot, seed and layer, and so has `left`. Other seeds than the first
    are thin lines of the first recipe. The distance falls to the right.
    """
    rows = [{f"layer {layer}": layer for layer in stir["layer"].values}]
    looks = {str(name): look_of(i) for i, name in enumerate(stir["recipe"].values)}
    with panels(rows, size=(3.5, 1.9), margin=(0, 0.6), share=True) as (fig, drawn):
        for ax, layer in chain(*drawn):
            y, x = stir.sel(layer=layer), left.sel(layer=layer)
            for i, (name, look) in enumerate(looks.items()):
                for seed in y["seed"].values if i == 0 else y["seed"].values[:1]:
                    cell = dict(recipe=name, seed=seed)
                    style = dict(linewidth=1.4, markersize=4)
                    if seed != y["seed"].values[0]:
                        style = dict(linewidth=0.6, marker="")
                    said = f"{SAID}{name}" if seed == y["seed"].values[0] else None
                    there = (y.sel(cell).notnull() & x.sel(cell).notnull()).values
                    ax.plot(x.sel(cell)[there], y.sel(cell)[there], **look | style, gid=said)
            ax.invert_xaxis()
        for ax, _ in drawn[0][-2:]:
            ax.set_xlabel("distance left")
        legend(fig, looks, min(4, len(looks)))
    return fig


def way_grid(ds: xr.Dataset, example: int = 0) -> Figure:
    """Show one image and its X′ after more and more steps, with the distance left.

    Rows are layers, columns are snapshots; the image itself stands at the left.
    """
    layers, looks = ds["shown_layer"].values, ds["snapshot"].values
    counts = [len(looks) + 1] * len(layers)
    with grid(counts, size=(1.0, 1.15), margin=(0.9, 0.3), lines=False) as (fig, axes):
        for row, layer in zip(axes, layers, strict=True):
            name_row(row, f"layer {layer}")
            picture(row[0], ds["example_images"].isel(example=example))
            for ax, steps in zip(row[1:], looks, strict=True):
                cell = dict(shown_layer=layer, snapshot=steps)
                picture(ax, ds["way_images"].isel(example=example).sel(cell))
                distance = float(ds["way_loss"].isel(example=example).sel(cell))
                ax.set_xlabel(f"{distance:.2f}", fontsize="small", labelpad=1)
        for ax, title in zip(axes[0], ["X", *(f"{s} steps" for s in looks)], strict=True):
            ax.set_title(title, fontsize="small")
    return fig
