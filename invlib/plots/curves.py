"""Line figures of quantities by layer or epoch. Each function returns a Figure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.figure import Figure

from invlib.plots.panels import counted, legend, line, panels
from invlib.plots.style import colour_of, look_of, marker_of

__all__ = ["error_curves", "layer_curves", "standard_error"]


def layer_curves(
    rows: Mapping[str, Mapping[str, xr.DataArray]], *, hue: str = "task", sharey: bool = True
) -> Figure:
    """Draw quantities by layer: a row of panels for each run, a column for each quantity.

    `rows` are ``{row title: {panel title: DataArray}}``, dims a subset of (`hue`, seed, layer). The
    line is the mean over `seed`, the band the range, the dots are the seeds. Without a `seed` dim
    there is only the line. The values of `hue` have different colours and markers. With `sharey`
    the panels of a row have the same y axis.

    Examples
    --------
    >>> toy = xr.DataArray(np.ones((2, 3)), dict(seed=[0, 1], layer=[0, 1, 2]))
    >>> len(layer_curves({"this run": {"learning": toy, "forgetting": toy}}).axes)
    2
    """
    looks: dict[str, dict] = {}
    with panels(rows, size=(3.5, 2.5), margin=(0, 0.4), share=sharey) as (fig, drawn):
        for ax, values in chain(*drawn):
            ax.axhline(0, color="0.6", linewidth=0.8)
            for group in values[hue].values if hue in values.dims else [None]:
                if group is None:
                    curve, look = values, look_of(-1)
                else:
                    curve = values.sel({hue: group})
                    look = looks.setdefault(str(group), look_of(len(looks)))
                line(ax, curve, "layer", name=str(group or ""), dots=True, **look)
            counted(ax, "layer")
        if looks:
            legend(fig, looks, min(4, len(looks)))
    return fig


def standard_error(values: xr.DataArray) -> xr.DataArray:
    """Return the standard error of the mean over `seed`; NaN for a single seed.

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
    sharey: bool = True,
) -> Figure:
    """Draw quantities by `x`, a line for each value of `hue`: mean and standard error over `seed`.

    `rows` and `sharey` are as in `layer_curves`, with dims `hue`, `x` and seed. Layers are shown by
    name. If `hue` has numbers, colours go from dark to bright. A line that is all NaN is left out.

    Examples
    --------
    >>> toy = xr.DataArray(np.ones((2, 3, 4)), dict(seed=[0, 1], d=[0, 5, 9], layer=range(1, 5)))
    >>> len(error_curves({"this run": {"CKA": toy}}, hue="d").axes)
    1
    """
    with panels(rows, size=(3.5, 2.8), margin=(0, 0.5), least=5, share=sharey) as (fig, drawn):
        for row in drawn:
            called, looks = hue.replace("_", " "), _looks([values for _, values in row], hue)
            for ax, values in row:
                for name, group in zip(_names(values, hue), values[hue].values, strict=True):
                    curve = values.sel({hue: group})
                    if curve.notnull().any():
                        error = standard_error(curve)
                        line(ax, curve, x, name=f"{called} {name}", error=error, **looks[name])
                if x == "layer":
                    few = slice(None, None, -(-values.sizes[x] // 7))  # names that do not overlap
                    names = _names(values, x)[few]
                    ax.set_xticks(values[x].values[few], names, rotation=30, ha="right")
                else:
                    counted(ax, x.replace("_", " "))
            # Each run has its own values of `hue`, so each row has a legend, below its last panel.
            below = dict(loc="upper center", bbox_to_anchor=(0.5, -0.28))
            legend(row[-1][0], looks, 4, title=called, fontsize="small", **below)
    return fig


def _names(values: xr.DataArray, dim: str) -> list[str]:
    names = values["layer_name"] if dim == "layer" and "layer_name" in values.coords else None
    return [str(name) for name in (values[dim] if names is None else names).values]


def _looks(row: list[xr.DataArray], hue: str) -> dict[str, dict]:
    """Return colour and marker for each label, in the order of first appearance."""
    labels = dict.fromkeys(name for values in row for name in _names(values, hue))
    numbers = all(values[hue].dtype.kind in "fiu" for values in row)
    shades = colormaps["viridis"](np.linspace(0, 0.88, len(labels)))  # no pale yellow
    return {
        label: dict(color=tuple(shades[i]) if numbers else colour_of(i), marker=marker_of(i))
        for i, label in enumerate(labels)
    }
