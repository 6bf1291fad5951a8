"""Figures from Datasets, one function per kind of figure. Each returns a Matplotlib Figure."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from invlib.style import COLOURS, STYLE, colour_of, marker_of

__all__ = ["flow_matrix", "inversion_grid", "layer_curves", "loss_race", "recipe_grid"]


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


def flow_matrix(panels: Mapping[str, xr.DataArray], *, limit: float | None = None) -> Figure:
    """Draw Invariance Flow Matrices side by side, on one colour scale centred at 0.

    Rows are pretrained layers i, columns fine-tuned layers j. Below the diagonal, positive (red)
    reads *compressed*; above it, *expanded*.

    Examples
    --------
    >>> toy = xr.DataArray(np.eye(2), dict(ref_layer=[0, 1], layer=[0, 1]))
    >>> len(flow_matrix({"classification": toy}).axes)  # and its colour bar
    2
    """
    panels = {k: v.mean("seed") if "seed" in v.dims else v for k, v in panels.items()}
    limit = limit or max(float(np.abs(v).max()) for v in panels.values()) or 1.0
    with plt.rc_context(STYLE | {"axes.grid": False}):
        fig, axes = plt.subplots(
            1,
            len(panels),
            figsize=(4.1 * len(panels) + 0.8, 3.9),
            squeeze=False,
            layout="constrained",
        )
        for ax, (title, values) in zip(axes[0], panels.items(), strict=True):
            values = values.transpose("ref_layer", "layer")
            image = ax.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, origin="upper")
            ticks = np.arange(values.sizes["layer"])
            ax.set_xticks(ticks, values["layer"].values, fontsize="small")
            ax.set_yticks(ticks, values["ref_layer"].values, fontsize="small")
            ax.set(title=title, xlabel="fine-tuned layer $j$", ylabel="pretrained layer $i$")
            ax.plot([-0.5, len(ticks) - 0.5], [-0.5, len(ticks) - 0.5], color="0.6", linewidth=0.8)
        fig.colorbar(image, ax=axes[0].tolist(), shrink=0.85, label="invariance flow $M(i, j)$")
    plt.close(fig)
    return fig


def inversion_grid(
    ds: xr.Dataset, *, model: str = "pt", count: int = 3, layers: list[int] | None = None
) -> Figure:
    """Show example images X and, for every layer, the X′ that the model cannot tell from them.

    Parameters
    ----------
    ds
        A comparison Dataset with example pictures.
    model
        ``"pt"`` or ``"ft"``: whose inversions.
    count
        Number of images.
    layers
        Default all that were inverted.
    """
    inverted, originals = ds[f"example_inverted_{model}"], ds["example_images"]
    layers = list(inverted["ref_layer"].values) if layers is None else layers
    loss = ds[f"inversion_loss_{model}"].isel(seed=0)
    count = min(count, originals.sizes["example"])
    with plt.rc_context(STYLE | {"axes.grid": False}):
        fig, axes = plt.subplots(
            count,
            len(layers) + 1,
            figsize=(0.92 * (len(layers) + 1), 0.95 * count + 0.55),
            squeeze=False,
            gridspec_kw=dict(wspace=0.05, hspace=0.05),
            layout="constrained",
        )
        for i, row in enumerate(axes):
            pictures = [originals.isel(example=i)]
            pictures += [inverted.sel(ref_layer=k).isel(example=i) for k in layers]
            for ax, picture in zip(row, pictures, strict=True):
                ax.imshow(picture, interpolation="nearest")
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
        axes[0, 0].set_title("X", fontsize="small")
        for ax, k in zip(axes[0, 1:], layers, strict=True):
            ax.set_title(f"X′ at {k}", fontsize="small")
        for ax, k in zip(axes[-1, 1:], layers, strict=True):
            ax.set_xlabel(f"{float(loss.sel(ref_layer=k)):.2f}", fontsize="small")
        axes[-1, 0].set_xlabel("distance left", fontsize="x-small")
    plt.close(fig)
    return fig


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
