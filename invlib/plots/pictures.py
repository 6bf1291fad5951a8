"""Figures that show images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from invlib.data.corruptions.corrupted_sets import CORRUPTIONS, SEVERITIES, corrupt
from invlib.plots.style import STYLE

__all__ = ["corruption_grid", "image_rows", "inversion_grid"]


def corruption_grid(
    image: np.ndarray,
    *,
    corruptions: Sequence[str] = CORRUPTIONS,
    severities: Sequence[int] = SEVERITIES,
    seed: int = 0,
    columns: int = 2,
) -> Figure:
    """Show one image under every corruption and severity, a row a corruption.

    Parameters
    ----------
    image : uint8 array (H, H, 3)
    columns : int
        How many stacks of rows stand side by side.

    Examples
    --------
    >>> from invlib import load_images
    >>> image = load_images("digits", "test").images[0]
    >>> fig = corruption_grid(image, corruptions=["fog", "snow", "frost"], severities=[1, 5])
    >>> len([ax for ax in fig.axes if ax.images])
    6
    """
    rows = -(-len(corruptions) // columns)
    width = len(severities)
    with plt.rc_context(STYLE | {"axes.grid": False}):
        fig = plt.figure(
            figsize=(columns * (0.62 * width + 1.35), 0.66 * rows + 0.3), layout="constrained"
        )
        stacks = np.atleast_1d(fig.subfigures(1, columns, wspace=0.02))
        for i, stack in enumerate(stacks):
            axes = stack.subplots(rows, width, squeeze=False)
            names = corruptions[i * rows : (i + 1) * rows]
            for row, name in zip(axes, names, strict=False):
                for ax, severity in zip(row, severities, strict=True):
                    picture = corrupt(image[None], name, severity, seed=seed)[0]
                    ax.imshow(picture, interpolation="nearest")
                    ax.set(xticks=[], yticks=[])
                    ax.spines[:].set_visible(False)
                label = name.replace("_", " ")
                row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize="small")
            for ax in axes[len(names) :].flat:
                ax.set_axis_off()
            for ax, severity in zip(axes[0], severities, strict=True):
                ax.set_title(f"{severity}", fontsize="small")
    plt.close(fig)
    return fig


def image_rows(rows: Mapping[str, np.ndarray]) -> Figure:
    """Show images in rows, uint8 arrays (N, H, W, 3) by what they are called.

    Examples
    --------
    >>> len(image_rows({"black": np.zeros((3, 8, 8, 3), np.uint8)}).axes)
    3
    """
    width = max(map(len, rows.values()))
    with plt.rc_context(STYLE | {"axes.grid": False}):
        fig, axes = plt.subplots(
            len(rows),
            width,
            figsize=(0.95 * width + 1, len(rows)),
            squeeze=False,
            layout="constrained",
        )
        for row, (name, images) in zip(axes, rows.items(), strict=True):
            row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize="small")
            for ax in row[len(images) :]:
                ax.remove()
            for ax, image in zip(row, images, strict=False):
                ax.imshow(image, interpolation="nearest")
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
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
