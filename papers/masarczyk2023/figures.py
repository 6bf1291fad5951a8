"""Figures of networks that learn tasks one after the other, from Datasets of kind ``tasks``."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from invlib.plots.style import STYLE, colour_of, marker_of

__all__ = ["grad_cam_grid", "ratio_curves", "relearning_curves", "task_curves"]

_LINES = {  # blue and red as in the paper
    "test_accuracy": ("original test images", colour_of(0)),
    "train_accuracy": ("training images", colour_of(1)),
    "test_accuracy_squares": ("test images with squares", colour_of(2)),
}


# The tasks as they were learnt, whatever order their results were joined in.
_ORDER = {task: i for i, task in enumerate(("original", "squares", "original again"))}


def task_curves(rows: Mapping[str, xr.Dataset]) -> Figure:
    """Draw accuracy by epoch, task after task; tasks with squares on a hatched background.

    Parameters
    ----------
    rows
        ``{row title: Dataset}`` with dims (model, seed, task, epoch), a panel for each model; lines
        are means over seeds, where there are any, and bands their range.

    Examples
    --------
    >>> accuracy = xr.DataArray([[0.1, 0.9], [0.9, 0.1]], dict(task=["original", "squares"],
    ...                         epoch=[0, 1]))
    >>> len(task_curves({"this run": xr.Dataset({"test_accuracy": accuracy})}).axes)
    1
    """
    rows = {k: ds if "model" in ds.dims else ds.expand_dims(model=[""]) for k, ds in rows.items()}
    there = {k: [m for m in ds["model"].values if _known(ds, m)] for k, ds in rows.items()}
    width = max(map(len, there.values()))
    with plt.rc_context(STYLE):
        fig, axes = plt.subplots(
            len(rows),
            width,
            figsize=(max(3.6 * width + 0.4, 6.4), 2.7 * len(rows) + 0.5),
            squeeze=False,
            sharey=True,
            layout="constrained",
        )
        for row, (title, ds) in zip(axes, rows.items(), strict=True):
            for ax in row[len(there[title]) :]:
                ax.remove()
            for ax, model in zip(row, there[title], strict=False):
                _tasks(ax, ds.sel(model=model))
                ax.set(title=str(model), xlabel="epoch", ylim=(-0.03, 1.03))
            row[0].set_ylabel(f"{title}\naccuracy")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=4)
    plt.close(fig)
    return fig


def _known(ds: xr.Dataset, model: str) -> bool:
    return bool(ds["test_accuracy"].sel(model=model).notnull().any())


def _tasks(ax: Axes, ds: xr.Dataset) -> None:
    end = 0
    there = ds["task"].values.tolist()
    for task in sorted(there, key=lambda task: _ORDER.get(task, len(_ORDER))):
        one = ds.sel(task=task)
        known = one["test_accuracy"].notnull()
        known = known.any([dim for dim in known.dims if dim != "epoch"])
        if not bool(known.any()):  # a task that this network did not learn
            continue
        last = int(one["epoch"].where(known).max())
        if task == "squares":
            ax.axvspan(end, end + last, facecolor="#E5F5E0", edgecolor="#A1D99B", hatch="//", lw=0)
        for name, (label, colour) in _LINES.items():
            if name in one:
                _line(ax, one[name].sel(epoch=slice(0, last)), end, colour, "" if end else label)
        end += last
    if "chance" in ds:
        ax.axhline(float(ds["chance"]), color="0.4", ls=":", lw=1)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _line(ax: Axes, values: xr.DataArray, shift: int, colour: str, label: str) -> None:
    if bool(values.isnull().all()):
        # drawn all the same, as a line without points, so that the legend is complete
        ax.plot([], [], color=colour, label=label or None)
        return
    x = values["epoch"].values + shift
    if "seed" in values.dims:
        ax.fill_between(x, values.min("seed"), values.max("seed"), color=colour, alpha=0.15, lw=0)
        values = values.mean("seed")
    ax.plot(x, values, color=colour, linewidth=1.5, label=label or None)


def relearning_curves(rows: Mapping[str, xr.Dataset]) -> Figure:
    """Draw the first task beside itself learnt again: test accuracy by epoch of the task.

    Parameters
    ----------
    rows
        ``{panel title: Dataset}`` with `test_accuracy` over (seed, task, epoch).
    """
    with plt.rc_context(STYLE):
        fig, axes = plt.subplots(
            1, len(rows), figsize=(4.2 * len(rows), 3), squeeze=False, layout="constrained"
        )
        for ax, (title, ds) in zip(axes[0], rows.items(), strict=True):
            for task, label, colour in (
                ("original", "from scratch", colour_of(0)),
                ("original again", "after the squares", colour_of(1)),
            ):
                _line(ax, ds["test_accuracy"].sel(task=task), 0, colour, label)
            ax.set(title=title, xlabel="epoch of the task", ylabel="accuracy, original test images")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0, 0].legend()
    plt.close(fig)
    return fig


def ratio_curves(rows: Mapping[str, xr.DataArray]) -> Figure:
    """Draw a quantity against the share of images with squares: dots are trainings.

    Parameters
    ----------
    rows
        ``{label: DataArray}``, dims ratio and perhaps seed.

    Examples
    --------
    >>> len(ratio_curves({"this run": xr.DataArray([0.0, 0.9], {"ratio": [0, 1]})}).axes)
    1
    """
    with plt.rc_context(STYLE):
        fig, ax = plt.subplots(figsize=(4.6, 3.1), layout="constrained")
        for i, (label, values) in enumerate(rows.items()):
            style = dict(color=colour_of(i), marker=marker_of(i), markersize=4)
            mean = values.mean("seed") if "seed" in values.dims else values
            ax.plot(values["ratio"], mean, label=label, linewidth=1.2, **style)
            if "seed" in values.dims:
                for one in values.transpose("seed", "ratio").values:
                    ax.plot(values["ratio"], one, ls="", alpha=0.45, **style)
        ax.set(xlabel="share of images with a square", ylabel="test accuracy lost")
        ax.legend()
    plt.close(fig)
    return fig


def grad_cam_grid(ds: xr.Dataset) -> Figure:
    """Show images with squares, and over them where each network finds the true class.

    Parameters
    ----------
    ds
        With `example_images` and `grad_cam`, a row of heat maps for each task.
    """
    images, maps = ds["example_images"], ds["grad_cam"].dropna("task", how="all")
    count, tasks = images.sizes["example"], list(maps["task"].values)
    with plt.rc_context(STYLE | {"axes.grid": False}):
        fig, axes = plt.subplots(
            1 + len(tasks),
            count,
            figsize=(1.3 * count + 1.1, 1.35 * (1 + len(tasks))),
            squeeze=False,
            layout="constrained",
        )
        for row, name in zip(axes, ["image", *(f"after {task}" for task in tasks)], strict=True):
            row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize="small")
        for row, task in zip(axes, [None, *tasks], strict=True):
            for i, ax in enumerate(row):
                ax.imshow(images.isel(example=i), interpolation="nearest")
                if task is not None:
                    heat = maps.sel(task=task).isel(example=i)
                    ax.imshow(heat, cmap="inferno", alpha=0.6, vmin=0, vmax=1)
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
    plt.close(fig)
    return fig
