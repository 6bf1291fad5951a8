"""Figures that show images, such as examples beside their inversions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from invlib.plots.panels import grid, name_row, picture

__all__ = ["image_rows", "inversion_grid"]


def image_rows(rows: Mapping[str, np.ndarray]) -> Figure:
    """Show images in rows. `rows` has a uint8 array (N, H, W, 3) for each name.

    Examples
    --------
    >>> len(image_rows({"black": np.zeros((3, 8, 8, 3), np.uint8)}).axes)
    3
    """
    counts = map(len, rows.values())
    with grid(counts, size=(0.95, 1), margin=(1, 0), lines=False) as (fig, axes):
        for row, (name, images) in zip(axes, rows.items(), strict=True):
            name_row(row, name)
            for ax, image in zip(row, images, strict=True):
                picture(ax, image)
    return fig


def inversion_grid(
    ds: xr.Dataset, *, model: str = "pt", count: int = 3, layers: list[int] | None = None
) -> Figure:
    """Show `count` example images X of a comparison beside their inversions X′ at every layer.

    `model` is the inverted one, ``"pt"`` or ``"ft"``; `layers` are by default all inverted ones.
    """
    inverted, originals = ds[f"example_inverted_{model}"], ds["example_images"]
    layers = list(inverted["ref_layer"].values) if layers is None else layers
    loss = ds[f"inversion_loss_{model}"].isel(seed=0)
    columns = min(7, -(-len(layers) // 2)) if len(layers) > 7 else len(layers)
    parts = [layers[i : i + columns] for i in range(0, len(layers), columns)]
    images = range(min(count, originals.sizes["example"]))
    counts = [len(part) + 1 for part in parts for _ in images]
    close = dict(wspace=0.05, hspace=0.05)
    with grid(
        counts, size=(0.92, 0.95), margin=(0, 0.55), lines=False, gridspec_kw=close
    ) as (fig, axes):  # fmt: skip
        for part, first in zip(parts, range(0, len(axes), len(images)), strict=True):
            rows = axes[first : first + len(images)]
            for i, row in enumerate(rows):
                picture(row[0], originals.isel(example=i))
                for ax, layer in zip(row[1:], part, strict=True):
                    picture(ax, inverted.sel(ref_layer=layer).isel(example=i))
            rows[0][0].set_title("X", fontsize="small")
            rows[-1][0].set_xlabel("distance left", fontsize="small")
            for top, bottom, layer in zip(rows[0][1:], rows[-1][1:], part, strict=True):
                top.set_title(f"X′ at {layer}", fontsize="small")
                bottom.set_xlabel(f"{float(loss.sel(ref_layer=layer)):.2f}", fontsize="small")
    return fig
