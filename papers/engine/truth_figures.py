"""Figures of measured STIR beside its true value, and of forgetting beside movement."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import xarray as xr
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from invlib.plots.panels import grid, legend, panels
from invlib.plots.style import colour_of
from invlib.plots.words import SAID
from papers.engine.known_invariances import MARGIN
from papers.parameters import split

__all__ = ["distance_errors", "dots", "error_dots"]


def error_dots(error: xr.DataArray, x: xr.DataArray) -> Figure:
    """Draw errors of STIR against `x`: rows are what the target sees, columns are starts.

    Parameters
    ----------
    error, x
        Dims recipe and what it shares with `error`; `error` has shared as well. There is a dot for
        each cell of the other dims, coloured by rule, filled for the linear layer. The grey band
        around 0 is the margin.

    Examples
    --------
    >>> dims = dict(recipe=["ngd:5"], built_layer=["linear", "bent"], shared=["all", "less"])
    >>> error = xr.DataArray([[[0.0, 0.1], [0.0, 0.2]]], dims)
    >>> len(error_dots(error, error.isel(shared=1, drop=True)).axes)
    2
    """
    starts = list(dict.fromkeys(split(recipe)[2] for recipe in error["recipe"].values))
    rules = list(dict.fromkeys(split(recipe)[0] for recipe in error["recipe"].values))
    shared = error["shared"].values.tolist()
    counts = [len(starts)] * len(shared)
    with grid(counts, size=(3.5, 1.9), margin=(0, 0.5), sharey=True, sharex=True) as (fig, axes):
        for row, name in zip(axes, shared, strict=True):
            row[0].set_ylabel("measured − true")
            for ax, start in zip(row, starts, strict=True):
                ax.axhspan(-MARGIN, MARGIN, color="0.9", zorder=0)
                ax.set_title(f"target: {name}, start: {start}")
                for recipe in error["recipe"].values:
                    rule, _, init = split(recipe)
                    if init != start:
                        continue
                    colour = colour_of(rules.index(rule))
                    for layer in error["built_layer"].values:
                        cell = dict(recipe=recipe, built_layer=layer)
                        both = xr.broadcast(x.sel(cell), error.sel(cell | {"shared": name}))
                        face = colour if layer == "linear" else "none"
                        look = dict(color=colour, markerfacecolor=face, markersize=3.5, alpha=0.7)
                        ax.plot(
                            *(one.values.ravel() for one in both), "o", gid=f"{SAID}dots", **look
                        )
        for ax in axes[-1]:
            ax.set_xlabel(x.attrs.get("long_name", ""))
        looks = {rule: dict(color=colour_of(i), marker="o", ls="") for i, rule in enumerate(rules)}
        empty = dict(color="0.4", marker="o", ls="", markerfacecolor="none")
        legend(fig, looks | {"bent layer (empty)": empty}, 5)
    return fig


def distance_errors(curves: xr.Dataset) -> Figure:
    """Draw errors of STIR over distance: rows are similarities, columns are sides of the images.

    Parameters
    ----------
    curves
        `papers.engine.truth_tables.errors_over_distance`. Colours are numbers of images, line
        styles are rules. Bands are the spread over draws, the grey band is the margin.
        Distances below 0.001 are drawn there.
    """
    counts, rules = curves["n_images"].values, [split(r)[0] for r in curves["recipe"].values]
    shades = {n: _colour(i / max(1, len(counts) - 1)) for i, n in enumerate(counts)}
    styles = dict(zip(dict.fromkeys(rules), ("-", "--", ":", "-."), strict=False))
    rows = {
        str(similarity): {
            f"images of {side} pixels": curves.sel(similarity=similarity, side=side)
            for side in curves["side"].values
        }
        for similarity in curves["similarity"].values
    }
    with panels(rows, size=(3.5, 1.65), margin=(0, 0.5), sharey=True, sharex=True) as (fig, drawn):
        for ax, one in chain(*drawn):
            ax.axhspan(-MARGIN, MARGIN, color="0.9", zorder=0)
            for recipe, rule in zip(curves["recipe"].values, rules, strict=True):
                for n, colour in shades.items():
                    curve = one.sel(recipe=recipe, n_images=n)
                    x, y, spread = (curve[v].values for v in ("distance", "error", "spread"))
                    x = x.clip(min=1e-3)
                    look = dict(color=colour, ls=styles[rule], lw=1.3, marker="o", ms=2.5)
                    ax.plot(x, y, gid=f"{SAID}{rule}, {n} images", **look)
                    ax.fill_between(x, y - spread, y + spread, color=colour, alpha=0.15, lw=0)
            ax.set_xscale("log")
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            ax.minorticks_off()
        for row in drawn:
            row[0][0].set_ylabel("measured − true")
        for ax, _ in drawn[-1]:
            ax.set_xlabel("distance")
        looks = {f"{n} images": dict(color=colour) for n, colour in shades.items()}
        legend(fig, looks | {r: dict(color="0.4", ls=ls) for r, ls in styles.items()}, 5)
    return fig


def dots(rows: Mapping[str, Mapping[str, tuple[xr.DataArray, xr.DataArray]]]) -> Figure:
    """Draw one quantity against another, a dot for each layer of each training, dark to bright.

    Parameters
    ----------
    rows
        ``{row title: {panel title: (x, y)}}``, dims layer and train_seed.
    """
    with panels(rows, size=(3.5, 2.1), margin=(0, 0.4), share=True) as (fig, drawn):
        for ax, (x, y) in chain(*drawn):
            x, y = x.transpose("layer", "train_seed"), y.transpose("layer", "train_seed")
            last = max(1, int(y["layer"].max()))
            for layer in y["layer"].values:
                look = dict(color=_colour(layer / last), ms=4, gid=f"{SAID}dots")
                ax.plot(x.sel(layer=layer), y.sel(layer=layer), "o", **look)
            ax.axhline(0, color="0.6", lw=0.8)
            ax.axvline(0, color="0.6", lw=0.8)
        ends = {"first layer": 0.0, "last layer": 1.0}
        looks = {name: dict(color=_colour(at), marker="o", ls="") for name, at in ends.items()}
        legend(fig, looks, 2)
    return fig


def _colour(depth: float) -> tuple:
    """Return the colour of a depth in [0, 1]: dark to bright, but no pale yellow."""
    return colormaps["viridis"](0.88 * depth)
