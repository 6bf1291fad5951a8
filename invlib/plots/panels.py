"""Parts that all figures share: rows of panels, lines with bands, legends, pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from invlib.plots.style import STYLE

__all__ = ["counted", "grid", "in_rows", "legend", "line", "name_row", "panels", "picture"]

_MANY = 12  # points on a line; with more, error bars and markers would hide it


@contextmanager
def grid(
    counts: Iterable[int],
    *,
    size: tuple[float, float],
    margin: tuple[float, float] = (0, 0),
    least: float = 0,
    lines: bool = True,
    **options: Any,
) -> Iterator[tuple[Figure, list[list[Axes]]]]:
    """Open a figure with `counts` axes in its rows; yield the figure and a list of axes a row.

    Parameters
    ----------
    size, margin
        Width and height in inches of one panel, and of the space beside and below all panels.
    least
        Smallest width of the figure in inches.
    lines
        Draw grid lines in the background; pictures need none.
    options
        As in `matplotlib.pyplot.subplots`.

    Examples
    --------
    >>> with grid([2, 1], size=(3, 2)) as (fig, axes):
    ...     list(map(len, axes)), len(fig.axes), fig.get_size_inches().tolist()
    ([2, 1], 3, [6.0, 4.0])
    """
    counts = list(counts)
    width, height = max(counts), len(counts)
    inches = (max(size[0] * width + margin[0], least), size[1] * height + margin[1])
    with plt.rc_context(STYLE | {"axes.grid": lines}):
        fig, axes = plt.subplots(
            height, width, figsize=inches, squeeze=False, layout="constrained", **options
        )
        for row, count in zip(axes, counts, strict=True):
            for ax in row[count:]:
                ax.remove()
        try:
            yield fig, [list(row[:count]) for row, count in zip(axes, counts, strict=True)]
        finally:
            plt.close(fig)  # otherwise a notebook shows the figure twice


@contextmanager
def panels(
    rows: Iterable[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]], **options: Any
) -> Iterator[tuple[Figure, list[list[tuple[Axes, Any]]]]]:
    """Open a figure with a titled panel for every entry of `rows`.

    Yields the figure and, for each row, a list of (axes, entry). If `rows` is a mapping, its keys
    are shown at the left of the rows. `options` are those of `grid`.

    Examples
    --------
    >>> with panels({"this run": {"learning": 1, "forgetting": 2}}, size=(3, 2)) as (fig, drawn):
    ...     [(ax.get_title(), ax.get_ylabel(), entry) for ax, entry in drawn[0]]
    [('learning', 'this run', 1), ('forgetting', '', 2)]
    """
    titles = list(rows) if isinstance(rows, Mapping) else []
    rows = list(rows.values()) if isinstance(rows, Mapping) else list(rows)
    with grid(map(len, rows), **options) as (fig, axes):
        for row, title in zip(axes, titles, strict=False):
            row[0].set_ylabel(title)
        for row, entries in zip(axes, rows, strict=True):
            for ax, title in zip(row, entries, strict=True):
                ax.set_title(title)
        drawn = zip(axes, (entries.values() for entries in rows), strict=True)
        yield fig, [list(zip(*row, strict=True)) for row in drawn]


def in_rows(entries: Mapping[str, Any], columns: int) -> list[dict[str, Any]]:
    """Split panels into rows of `columns`.

    Examples
    --------
    >>> in_rows({"a": 1, "b": 2, "c": 3}, 2)
    [{'a': 1, 'b': 2}, {'c': 3}]
    """
    pairs = list(entries.items())
    return [dict(pairs[i : i + columns]) for i in range(0, len(pairs), columns)]


def line(
    ax: Axes,
    values: xr.DataArray,
    x: str,
    *,
    error: xr.DataArray | None = None,
    dots: bool = False,
    **look: Any,
) -> None:
    """Draw `values` by their coordinate `x`: the mean over `seed`, if it is a dim, and a band.

    Parameters
    ----------
    values
        Its dims are that of `x` and perhaps seed.
    error
        Half the height of the band; bars are drawn instead if there are few points. By default the
        band is the range over seeds.
    dots
        Draw each seed as a dot.
    look
        Options of the line, as in `matplotlib.axes.Axes.plot`; `color` is needed.
    """
    where, colour = values[x].values, look["color"]
    look = dict(linewidth=1.5, markersize=4) | look
    few = error is not None and len(where) <= _MANY
    if "seed" in values.dims:
        mean = values.mean("seed")
        band = values.min("seed"), values.max("seed")
        if error is not None:
            band = mean - error, mean + error
            look["markersize"] *= few
        if not few:
            opacity = 0.15 if error is None else 0.2  # ranges are wider, and overlap
            ax.fill_between(where, *band, color=colour, alpha=opacity, lw=0)
        for of_seed in values.transpose("seed", ...).values if dots else ():
            ax.plot(where, of_seed, ".", color=colour, alpha=0.45, markersize=3.5)
        values = mean
    ax.plot(where, values, **look)
    if few and error.notnull().any():
        ax.errorbar(where, values, error, fmt="none", ecolor=colour, capsize=2, linewidth=1)


def legend(
    where: Figure | Axes, looks: Mapping[str, Mapping[str, Any]], columns: int = 1, **options: Any
) -> None:
    """Add a legend of the `looks` of lines, by default below the panels of a figure.

    Parameters
    ----------
    looks
        ``{label: options of a line}``.
    options
        As in `matplotlib.figure.Figure.legend`.
    """
    lines = [Line2D([], [], **dict(markersize=5) | look, label=k) for k, look in looks.items()]
    place = dict(loc="outside lower center", ncols=columns) if isinstance(where, Figure) else {}
    where.legend(handles=lines, **place | options)


def counted(ax: Axes, what: str) -> None:
    """Label the x axis with `what`, and use only whole numbers as ticks."""
    ax.set_xlabel(what)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def picture(ax: Axes, image: Any, **options: Any) -> None:
    """Show an image without ticks and frame."""
    ax.imshow(image, **dict(interpolation="nearest") | options)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def name_row(row: Sequence[Axes], name: str) -> None:
    """Write `name` at the left of a row of pictures."""
    row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize="small")
