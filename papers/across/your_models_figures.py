"""The figures of the report on two models."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from invlib.metrics.invariance import diagonal
from invlib.plots.matrices import flow_matrix
from invlib.plots.panels import counted, grid, legend, line, panels, picture
from invlib.plots.style import look_of
from papers.across.work.your_models import Curve

__all__ = ["by_layer", "checked", "flow", "seen_by_both"]


def flow(flows: Mapping[str, xr.DataArray]) -> Figure:
    """Draw the flow matrix, and its baseline, of which both axes are the pretrained model's."""
    fig = flow_matrix(flows)
    fig.axes[1].set_xlabel("pretrained layer $j$")
    return fig


def by_layer(curves: Mapping[str, Curve]) -> Figure:
    """Draw quantities with their intervals by layer, a panel each."""
    with panels([curves], size=(3.4, 2.8)) as (fig, [row]):
        for i, (ax, curve) in enumerate(row):
            ax.axhline(0, color="0.6", linewidth=0.8)
            colour = look_of(i)["color"]
            ax.fill_between(
                curve.mean["layer"], curve.low, curve.high, color=colour, alpha=0.2, lw=0
            )
            line(ax, curve.mean, "layer", **look_of(i))
            counted(ax, "layer")
    return fig


def checked(checks: Mapping[str, xr.DataArray]) -> Figure:
    """Draw the checks by layer: a row for each inverted model; dots are the draws."""
    rows: dict[str, dict[str, xr.DataArray]] = {}
    for name, values in checks.items():
        rows.setdefault(name.rpartition(", ")[2], {})[name] = values
    with panels(list(rows.values()), size=(3.5, 2.2)) as (fig, drawn):
        for i, row in enumerate(drawn):
            for ax, values in row:
                ax.set_ylim(min(0, 1.05 * float(values.min())), max(1.05, float(values.max())))
                counted(ax, "layer")
                if "who" not in values.dims:
                    line(ax, values, "layer", dots=True, **look_of(i))
                    continue
                looks = {who: look_of(j + 1) for j, who in enumerate(values["who"].values)}
                for who, look in looks.items():
                    line(ax, values.sel(who=who), "layer", dots=True, name=who, **look)
                legend(ax, looks, fontsize="small")
    return fig


def seen_by_both(ds: xr.Dataset, short: str, *, most: int = 6, count: int = 2) -> Figure:
    """Show images X and their inversions X′ at layers of one model, ``pt`` or ``ft``.

    Below each layer: the distance left there, and the STIR that each model gives to X and X′.
    """
    ds = ds.sel(estimator="debiased")
    left = ds[f"inversion_loss_{short}"].mean("seed").dropna("ref_layer")
    own = left["ref_layer"].values
    layers = own[np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(int))]
    seen = {m: diagonal(ds, f"stir_{m}_{short}").mean("seed") for m in ("pt", "ft")}
    inverted, originals = ds[f"example_inverted_{short}"], ds["example_images"]
    rows = [len(layers) + 1] * min(count, originals.sizes["example"])
    close = dict(gridspec_kw=dict(wspace=0.05, hspace=0.05))
    with grid(rows, size=(1.15, 1.0), margin=(0, 0.8), lines=False, **close) as (fig, axes):
        for i, row in enumerate(axes):
            picture(row[0], originals.isel(example=i))
            for ax, layer in zip(row[1:], layers, strict=True):
                picture(ax, inverted.sel(ref_layer=layer).isel(example=i))
        axes[0][0].set_title("X", fontsize="small")
        axes[-1][0].set_xlabel(
            "distance left\nSTIR, pretrained\nSTIR, fine-tuned", fontsize="small"
        )
        for top, bottom, layer in zip(axes[0][1:], axes[-1][1:], layers, strict=True):
            top.set_title(f"X′ at {layer}", fontsize="small")
            numbers = [left.sel(ref_layer=layer), *(v.sel(layer=layer) for v in seen.values())]
            bottom.set_xlabel("\n".join(f"{float(v):.2f}" for v in numbers), fontsize="small")
    return fig
