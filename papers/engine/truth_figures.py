"""Figures of measured STIR beside its true value, and of forgetting beside movement."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import xarray as xr
from matplotlib import colormaps
from matplotlib.figure import Figure

from invlib.names import ESTIMATORS
from invlib.plots.panels import grid, legend, line, panels
from invlib.plots.style import colour_of, look_of
from invlib.plots.words import SAID
from papers.engine.known_invariances import MARGIN
from papers.parameters import split

__all__ = ["dots", "error_dots", "number_curves"]


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


def number_curves(ds: xr.Dataset) -> Figure:
    """Draw true STIR by number of images: rows are targets, a panel for each similarity.

    The targets `all` and `more` have a true STIR of 1 whatever the images, and no panel.

    Parameters
    ----------
    ds
        `truth` (construction, side, shared, n_images, seed, similarity) and `truth_limit` of one
        recipe and layer. Bands are the range over draws; dashed lines are the second side, dotted
        ones the limit of CKA at the first side.
    """
    looks = {str(name): look_of(i) for i, name in enumerate(ds["construction"].values)}
    targets = [name for name in ds["shared"].values if name not in ("all", "more")]
    rows = {f"target: {name}": {s: (s, name) for s in ds["similarity"].values} for name in targets}
    with panels(rows, size=(3.5, 1.65), margin=(0, 0.5), sharey=True) as (fig, drawn):
        for ax, (similarity, name) in chain(*drawn):
            for construction, look in looks.items():
                cell = dict(construction=construction, shared=name)
                for side, style in zip(ds["side"].values, ("-", "--"), strict=False):
                    curve = ds["truth"].sel(cell | dict(similarity=similarity, side=side))
                    said = f"{construction}, {side}"
                    line(ax, curve, "n_images", name=said, linestyle=style, **look)
                if similarity in ESTIMATORS:
                    end = float(ds["truth_limit"].sel(cell).isel(side=0))
                    ax.axhline(end, color=look["color"], ls=":", lw=0.9)
            ax.set(xscale="log", xticks=ds["n_images"].values)
            ax.set_xticklabels(ds["n_images"].values)
            ax.minorticks_off()
        for row in drawn:
            row[0][0].set_ylabel("true STIR")
            row[-1][0].set_xlabel("images")
        legend(fig, looks, 4)
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
