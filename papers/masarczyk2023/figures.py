"""Figures of networks that learn several tasks in turn, from Datasets of kind ``tasks``."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invlib.plots.matrices import side_by_side
from invlib.plots.panels import counted, grid, line, name_row, panels, picture
from invlib.plots.style import colour_of, look_of

__all__ = ["cka_matrices", "grad_cam_grid", "ratio_curves", "relearning_curves", "task_curves"]

_LINES = {  # blue and red as in the paper
    "test_accuracy": ("original test images", colour_of(0)),
    "train_accuracy": ("training images", colour_of(1)),
    "test_accuracy_squares": ("test images with squares", colour_of(2)),
}


# The order in which the tasks were learnt; joined results may have another order.
_ORDER = {task: i for i, task in enumerate(("original", "squares", "original again"))}


def task_curves(rows: Mapping[str, xr.Dataset]) -> Figure:
    """Draw accuracy by epoch, task after task. Tasks with squares have a hatched background.

    Parameters
    ----------
    rows
        ``{row title: Dataset}`` with dims (model, seed, task, epoch). There is a panel for each
        model; lines are means over seeds, if there are any, and bands their range.

    Examples
    --------
    >>> accuracy = xr.DataArray([[0.1, 0.9], [0.9, 0.1]], dict(task=["original", "squares"],
    ...                         epoch=[0, 1]))
    >>> len(task_curves({"this run": xr.Dataset({"test_accuracy": accuracy})}).axes)
    1
    """
    rows = {k: ds if "model" in ds.dims else ds.expand_dims(model=[""]) for k, ds in rows.items()}
    models = {
        f"{title}\naccuracy": {str(m): ds.sel(model=m) for m in ds["model"].values if _known(ds, m)}
        for title, ds in rows.items()
    }
    with panels(models, size=(3.5, 2.5), margin=(0, 0.5), least=6.4, share=True) as (fig, drawn):
        for ax, ds in chain(*drawn):
            _tasks(ax, ds)
            ax.set_ylim(-0.03, 1.03)
        handles, labels = fig.axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=4)
    return fig


def _known(ds: xr.Dataset, model: str) -> bool:
    return bool(ds["test_accuracy"].sel(model=model).notnull().any())


def _tasks(ax: Axes, ds: xr.Dataset) -> None:
    end = 0
    for task in sorted(ds["task"].values.tolist(), key=lambda task: _ORDER.get(task, len(_ORDER))):
        part = ds.sel(task=task)
        known = part["test_accuracy"].notnull()
        known = known.any([dim for dim in known.dims if dim != "epoch"])
        if not bool(known.any()):  # a task that this network did not learn
            continue
        last = int(part["epoch"].where(known).max())
        if task == "squares":
            ax.axvspan(end, end + last, facecolor="#E5F5E0", edgecolor="#A1D99B", hatch="//", lw=0)
        part = part.sel(epoch=slice(0, last)).assign_coords(total=part["epoch"] + end)
        for name, (label, colour) in _LINES.items():
            if name in part:
                said = dict(name=f"{label}, {task}:", label="" if end else label)
                line(ax, part[name], "total", color=colour, **said)
        end += last
    if "chance" in ds:
        ax.axhline(float(ds["chance"]), color="0.4", ls=":", lw=1)
    counted(ax, "epoch")


def relearning_curves(rows: Mapping[str, xr.Dataset]) -> Figure:
    """Draw test accuracy by epoch when the first task is learnt for the first and second time.

    Parameters
    ----------
    rows
        ``{panel title: Dataset}`` with `test_accuracy` over (seed, task, epoch).
    """
    looks = {"original": (0, "from scratch"), "original again": (1, "after the squares")}
    with panels([rows], size=(4.2, 3)) as (fig, [row]):
        for ax, ds in row:
            for task, (i, label) in looks.items():
                curve = ds["test_accuracy"].sel(task=task)
                line(ax, curve, "epoch", color=colour_of(i), label=label)
            counted(ax, "epoch of the task")
            ax.set_ylabel("accuracy, original test images")
        row[0][0].legend()
    return fig


def ratio_curves(rows: Mapping[str, xr.DataArray]) -> Figure:
    """Draw a quantity against the share of images with squares. Each dot is a training.

    Parameters
    ----------
    rows
        ``{label: DataArray}``, dims ratio and perhaps seed.

    Examples
    --------
    >>> len(ratio_curves({"this run": xr.DataArray([0.0, 0.9], {"ratio": [0, 1]})}).axes)
    1
    """
    with grid([1], size=(4.6, 3.1)) as (fig, [[ax]]):
        for i, (label, values) in enumerate(rows.items()):
            style = dict(markersize=4, **look_of(i))
            mean = values.mean("seed") if "seed" in values.dims else values
            line(ax, mean, "ratio", label=label, linewidth=1.2, **style)
            if "seed" in values.dims:
                ax.plot(
                    values["ratio"], values.transpose("ratio", "seed"), ls="", alpha=0.45, **style
                )
        ax.set(xlabel="share of images with a square", ylabel="test accuracy lost")
        ax.legend()
    return fig


def cka_matrices(matrices: Mapping[str, xr.DataArray]) -> Figure:
    """Draw CKA between all layers after the first task and all layers after the second.

    Parameters
    ----------
    matrices
        ``{title: DataArray}``, dims ref_layer, layer, and perhaps seed (the mean is drawn).

    Examples
    --------
    >>> toy = xr.DataArray([[1.0, 0.2], [0.2, 1.0]], dict(ref_layer=[0, 1], layer=[0, 1]))
    >>> len(cka_matrices({"debiased": toy}).axes)  # and its colour bar
    2
    """
    words = dict(xlabel="layer after squares", ylabel="layer after the first task")
    return side_by_side(matrices, words, "CKA", cmap="magma", vmin=0, vmax=1)


def grad_cam_grid(ds: xr.Dataset) -> Figure:
    """Show images with squares, and below them Grad-CAM of the true class after each task.

    Parameters
    ----------
    ds
        A Dataset with `example_images` and `grad_cam`. Each task has a row of heat maps.
    """
    images, maps = ds["example_images"], ds["grad_cam"].dropna("task", how="all")
    heat = {"image": None} | {f"after {task}": maps.sel(task=task) for task in maps["task"].values}
    counts = [images.sizes["example"]] * len(heat)
    with grid(counts, size=(1.3, 1.35), margin=(1.1, 0), lines=False) as (fig, axes):
        for row, (name, over) in zip(axes, heat.items(), strict=True):
            name_row(row, name)
            for i, ax in enumerate(row):
                picture(ax, images.isel(example=i))
                if over is not None:
                    colours = dict(cmap="inferno", alpha=0.6, vmin=0, vmax=1)
                    picture(ax, over.isel(example=i), interpolation=None, **colours)
    return fig
