"""A drawn figure in words, for readers who do not see it: what each line, matrix or picture shows.

The words are read off what was drawn, so they change with the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter

__all__ = ["SAID", "course", "describe"]

SAID = "said:"  # a line is said if its gid begins with this; its name follows
_MOST = 4  # lines said one by one; of more, the first and the last


def describe(fig: Figure) -> str:
    """Return a figure in words, a sentence for each panel, from what was drawn.

    Examples
    --------
    >>> import xarray as xr
    >>> from invlib.plots import layer_curves
    >>> toy = xr.DataArray([0.0, 0.1, 0.46], {"layer": [0, 1, 2]})
    >>> describe(layer_curves({"this run": {"learning": toy}}))
    'This run, learning: rises from 0.00 at layer 0 to 0.46 at layer 2.'
    """
    axes = [ax for ax in fig.axes if ax.get_label() != "<colorbar>"]
    said = [f"{fig.get_suptitle()}:"] if fig.get_suptitle() else []
    for pictures, some in groupby(axes, lambda ax: bool(ax.images) and not len(ax.get_xticks())):
        group = list(some)
        parts = [_pictures(group)] if pictures else map(_panel, group)
        said += [part[0].upper() + part[1:] + "." for part in parts if part]
    return " ".join(said)


def course(y: Sequence[float], x: Sequence[str]) -> str:
    """Return how a line runs: where it begins and ends, and what lies above or below both.

    Examples
    --------
    >>> course([0.0, 0.2, 0.46], ["layer 0", "layer 1", "layer 2"])
    'rises from 0.00 at layer 0 to 0.46 at layer 2'
    >>> course([0.5, 0.1, 0.4], ["0", "1", "2"])
    'goes from 0.50 at 0 to 0.40 at 2, lowest 0.10 at 1'
    >>> course([0.991, 0.99, 0.99], ["0", "1", "2"])
    'stays at 0.99 from 0 to 2'
    """
    y = np.asarray(y, float)
    known = np.flatnonzero(np.isfinite(y))
    if not known.size:
        return "has no values"
    first, last = known[0], known[-1]

    def at(i: int) -> str:
        return f"{number(y[i], np.nanmax(abs(y)))} at {x[i]}"

    if first == last:
        return f"is {at(first)}"
    low, high = int(np.nanargmin(y)), int(np.nanargmax(y))
    width = y[high] - y[low]
    if width <= 0.01 * abs(y[high]):
        return f"stays at {at(first).replace(' at', ' from')} to {x[last]}"
    ends = f"from {at(first)} to {at(last)}"
    above, below = y[high] - max(y[first], y[last]), min(y[first], y[last]) - y[low]
    if max(below, above) < 0.1 * width:
        return f"{'rises' if y[last] > y[first] else 'falls'} {ends}"
    sides = [("highest", above, high), ("lowest", below, low)]
    turns = [f"{name} {at(i)}" for name, by, i in sides if by >= 0.1 * width]
    return f"goes {ends}, {', '.join(turns)}"


def number(value: float, beside: float = 1.0) -> str:
    """Return a number with two decimals; two digits if `beside`, the largest, is small.

    Examples
    --------
    >>> number(0.0004), number(0.0004, beside=0.01), number(12345)
    ('0.00', '0.0004', '12,345')
    """
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value + 0:.2f}".replace("-0.00", "0.00") if beside >= 0.05 else f"{value:.2g}"


def _panel(ax: Axes) -> str:
    """Return a panel as a sentence without its full stop, empty if nothing was drawn."""
    parts = [text for kind in (_matrix, _bars, _lines, _dots) for text in kind(ax)]
    parts += [text.get_text() for text in ax.texts if text.get_gid() == SAID]
    title = ax.get_gid() or ", ".join(filter(None, ax.get_title().split("\n")))
    return f"{title}: {'; '.join(parts)}" if title and parts else "; ".join(parts)


def _lines(ax: Axes) -> list[str]:
    lines = [line for line in ax.lines if str(line.get_gid()).startswith(SAID)]
    said = []
    for line in (line for line in lines if line.get_gid() != SAID + "dots"):
        name = " ".join(line.get_gid().removeprefix(SAID).split())
        places = [_place(ax, x) for x in line.get_xdata()]
        said.append(f"{name} {course(line.get_ydata(), places)}".strip())
    if len(said) > _MOST:
        said[1:-1] = [f"and {len(said) - 2} lines between"]
    return said


def _place(ax: Axes, x: object) -> str:
    """Return a value of the x axis as its tick and label say it."""
    if isinstance(ticks := ax.xaxis.get_major_formatter(), FixedFormatter):
        names = dict(zip(ax.get_xticks(), ticks.seq, strict=False))
        x = names.get(x, x)
    label = ax.get_xlabel() or next((a.get_xlabel() for a in ax.figure.axes if a.get_xlabel()), "")
    text = x if isinstance(x, str) else f"{x:g}"
    return f"{label} {text}" if label.isalpha() else text


def _bars(ax: Axes) -> list[str]:
    names = [tick.get_text().replace("\n", " ") for tick in ax.get_yticklabels()]
    unit = f" ({ax.get_xlabel()})" if ax.get_xlabel() else ""
    return [
        ", ".join(f"{name} {number(b.get_width())}" for name, b in zip(names, bars, strict=False))
        + unit
        for bars in ax.containers
        if isinstance(bars, BarContainer)
    ]


def _dots(ax: Axes) -> list[str]:
    at = [np.ma.filled(c.get_offsets(), np.nan) for c in ax.collections if len(c.get_offsets()) > 1]
    at += [np.c_[line.get_data()] for line in ax.lines if line.get_gid() == SAID + "dots"]
    at = np.concatenate(at) if at else np.empty((0, 2))
    at = at[np.isfinite(at).all(axis=1)]
    if not len(at):
        return []
    ends = [f"{number(v.min())} to {number(v.max())}" for v in at.T]
    return [f"{len(at)} dot{'s' * (len(at) > 1)}, across {ends[0]}, up {ends[1]}"]


def _matrix(ax: Axes) -> list[str]:
    said = []
    for image in ax.images:
        values = np.ma.filled(np.ma.asarray(image.get_array(), float), np.nan)
        ends = []
        for name, find in (("highest", np.nanargmax), ("lowest", np.nanargmin)):
            i, j = np.unravel_index(find(values), values.shape)
            row, column = (a.get_major_formatter()(k, k) for a, k in ((ax.yaxis, i), (ax.xaxis, j)))
            ends.append(f"{name} {number(values[i, j])} at row {row}, column {column}")
        said.append(f"{values.shape[0]} rows, {values.shape[1]} columns, {', '.join(ends)}")
    return said


def _pictures(group: list[Axes]) -> str:
    """Return a grid of pictures as a sentence: its rows, its columns, the numbers below them."""
    rows = list(dict.fromkeys(ax.get_ylabel() for ax in group if ax.get_ylabel()))
    columns = list(dict.fromkeys(ax.get_title() for ax in group if ax.get_title()))
    below = [ax.get_xlabel().split("\n")[0] for ax in group if ax.get_xlabel()]
    numbers = [text for text in below if text.replace(".", "").isdigit()]
    parts = [f"{len(group)} pictures"]
    parts += [f"rows: {' '.join(', '.join(rows).split())}"] if rows else []
    parts += [f"columns: {' '.join(', '.join(columns).split())}"] if columns else []
    parts += [f"below them, left to right: {', '.join(numbers[:24])}"] if numbers else []
    return "; ".join(parts)
