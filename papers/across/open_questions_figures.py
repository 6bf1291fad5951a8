"""Figures of the pages on open questions that no other page draws."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from invlib.plots.curves import error_curves, standard_error
from invlib.plots.panels import counted, legend, line, panels
from invlib.plots.style import look_of
from invlib.plots.words import SAID
from papers.claims.correlation import detectable_correlation

__all__ = ["by_epoch", "by_size", "detectable", "rates", "scatter"]


def rates(by_step: xr.DataArray) -> Figure:
    """Draw the learning rate by step, a line for each schedule; dims schedule and step.

    Examples
    --------
    >>> toy = xr.DataArray([[0.1, 0.0]], {"schedule": ["linear"], "step": [0, 1]})
    >>> len(rates(toy).axes)
    1
    """
    names = by_step["schedule"].values.tolist()
    looks = {name: dict(look_of(i), marker="") for i, name in enumerate(names)}
    with panels([{"": by_step}], size=(6, 3), margin=(0, 0.5)) as (fig, [[(ax, values)]]):
        for name, look in looks.items():
            line(ax, values.sel(schedule=name), "step", name=name, **look)
        counted(ax, "step")
        ax.set_ylabel("learning rate")
        legend(fig, looks, 4)
    return fig


def scatter(
    rows: list[Mapping[str, xr.Dataset]] | Mapping[str, Mapping[str, xr.Dataset]],
) -> Figure:
    """Draw a quantity against another: a dot for each training, a colour for each setting.

    `rows` are as in `invlib.plots.panels.panels`. Every panel is a Dataset of two variables, x and
    y, whose names label the axes; dims setting and train_seed.

    Examples
    --------
    >>> dims = ("setting", "train_seed")
    >>> toy = xr.Dataset({"x": (dims, [[0.1, 0.2]]), "y": (dims, [[0.3, 0.4]])}, {"setting": ["a"]})
    >>> len(scatter([{"toy": toy}]).axes)
    1
    """
    looks: dict[str, dict] = {}
    with panels(rows, size=(3.4, 3), margin=(0, 0.5)) as (fig, drawn):
        for ax, ds in (entry for row in drawn for entry in row):
            x, y = ds.data_vars
            for name in ds["setting"].values.tolist():
                look = looks.setdefault(name, look_of(len(looks)) | dict(linestyle=""))
                dots = ds[x].sel(setting=name), ds[y].sel(setting=name)
                ax.plot(*dots, gid=f"{SAID}dots", **look)
            ax.set(xlabel=x, ylabel=y)
        legend(fig, looks, 3)
    return fig


def detectable(sizes: Mapping[str, int]) -> Figure:
    """Draw the correlation that is found at 80 % power by number of settings; `sizes` are marked.

    Examples
    --------
    >>> len(detectable({"this run": 15}).axes)
    1
    """
    numbers = np.arange(4, max(40, *sizes.values()) + 1)
    seen = xr.DataArray([detectable_correlation(n) for n in numbers], {"settings": numbers})
    with panels([{"": seen}], size=(5, 3), margin=(0, 0.4)) as (fig, [[(ax, values)]]):
        looks = {"80 % power": dict(look_of(0), marker="")}
        line(ax, values, "settings", name="80 % power", **looks["80 % power"])
        for i, (name, n) in enumerate(sizes.items(), 1):
            if n > 3:  # else none is found
                looks[name] = look_of(i) | dict(linestyle="")
                ax.plot([n], [detectable_correlation(n)], gid=f"{SAID}{name}", **looks[name])
        ax.set(xlabel="settings", ylabel="correlation", ylim=(0, 1.02))
        legend(fig, looks, 3)
    return fig


def by_epoch(rows: Mapping[str, Mapping[str, Mapping[str, xr.DataArray]]]) -> Figure:
    """Draw curves by epoch, mean and standard error over `seed`; one legend has all their names.

    `rows` has, for each run and panel, the curves by name; dims epoch and seed.

    Examples
    --------
    >>> toy = xr.DataArray([[0.1], [0.2]], {"epoch": [0, 1], "seed": [0]})
    >>> len(by_epoch({"this run": {"accuracy": {"clean": toy, "under attack": toy}}}).axes)
    1
    """
    looks: dict[str, dict] = {}
    with panels(rows, size=(3.5, 2.6), margin=(0, 0.5)) as (fig, drawn):
        for ax, curves in (entry for row in drawn for entry in row):
            for name, values in curves.items():
                look = looks.setdefault(name, look_of(len(looks)))
                line(ax, values, "epoch", name=name, error=standard_error(values), **look)
            counted(ax, "epoch")
        legend(fig, looks, 4)
    return fig


def by_size(rows: Mapping[str, Mapping[str, xr.DataArray]]) -> Figure:
    """Draw quantities by number of training images, a line for each budget, on logarithmic axes.

    `rows` are as in `error_curves`; dims budget, training_images and seed.

    Examples
    --------
    >>> coords = {"budget": ["steps"], "training_images": [250, 16000], "seed": [0]}
    >>> toy = xr.DataArray(np.ones((1, 2, 1)), coords, list(coords))
    >>> runs = {"this run": {"forgetting": toy[:, :1]}, "reference": {"forgetting": toy}}
    >>> [[tick.get_text() for tick in ax.get_xticklabels()] for ax in by_size(runs).axes]
    [['250'], ['250', '16,000']]
    """
    fig = error_curves(rows, hue="budget", x="training_images", sharey=False)
    for ax in fig.axes:
        sizes = np.unique(np.concatenate([curve.get_xdata() for curve in ax.lines])).astype(int)
        ax.set_xscale("log")
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
        ax.minorticks_off()
    return fig
