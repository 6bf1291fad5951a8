"""Figures of the pages on open questions that no other page draws."""

import xarray as xr
from matplotlib.figure import Figure

from invlib.plots.panels import counted, legend, line, panels
from invlib.plots.style import look_of

__all__ = ["rates"]


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
