"""Parts that all figures share: rows of panels, lines with bands, legends, pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from invlib.plots.style import STYLE, WIDTH, Drawing
from invlib.plots.words import SAID

__all__ = ["counted", "grid", "legend", "line", "name_row", "panels", "picture"]

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

    In inches, `size` is width and height of a panel, `margin` of the space beside and below all of
    them, `least` the smallest width of the figure. It is not wider than a page, so panels may be
    narrower. `lines` are grid lines in the background, which pictures do not need. `options` are
    those of `matplotlib.figure.Figure.subplots`.

    Examples
    --------
    >>> with grid([2, 1], size=(3, 2)) as (fig, axes):
    ...     list(map(len, axes)), len(fig.axes), fig.get_size_inches().tolist()
    ([2, 1], 3, [6.0, 4.0])
    """
    counts = list(counts)
    width, height = max(counts), len(counts)
    across = min(WIDTH, max(size[0] * width + margin[0], least))
    with mpl.rc_context(STYLE | {"axes.grid": lines}):
        fig = Drawing(figsize=(across, size[1] * height + margin[1]), layout="constrained")
        axes = fig.subplots(height, width, squeeze=False, **options)
        for row, count in zip(axes, counts, strict=True):
            for ax in row[count:]:
                ax.remove()
        yield fig, [list(row[:count]) for row, count in zip(axes, counts, strict=True)]


@contextmanager
def panels(
    rows: Iterable[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]],
    *,
    share: bool = False,
    **options: Any,
) -> Iterator[tuple[Figure, list[list[tuple[Axes, Any]]]]]:
    """Open a figure with a titled panel for every entry of `rows`, two side by side.

    Yields the figure and, for each row, a list of (axes, entry). A row with more entries goes on
    below; two such rows become two columns. If `rows` is a mapping, its keys are shown above the
    first panels of the rows. With `share` all panels of a row have the same y axis. `options` are
    those of `grid`.

    Examples
    --------
    >>> toy = {"this run": {"learning": 1, "forgetting": 2, "CKA": 3}, "that": {"learning": 4}}
    >>> with panels(toy, size=(3, 2)) as (fig, drawn):
    ...     [(ax.get_gid(), entry) for ax, entry in drawn[1]], fig.get_size_inches().tolist()
    ([('that, learning', 4)], [6.0, 6.0])
    """
    named = isinstance(rows, Mapping)
    titles, rows = list(rows) if named else [], list(rows.values() if named else rows)
    titles = titles or [""] * len(rows)
    counts = [len(entries) for entries in rows]
    columns = len(rows) == 2
    if columns:  # axes[i][j]: entry i of row j
        lines = [2] * max(counts)
    else:
        lines = [min(2, count - at) for count in counts for at in range(0, count, 2)]
    with grid(lines, **options) as (fig, axes):
        if columns:
            places = [[line[j] for line in axes] for j in range(2)]
        else:
            lefts = iter(axes)
            places = [[ax for _ in range(0, n, 2) for ax in next(lefts)] for n in counts]
        drawn = []
        for title, entries, place in zip(titles, rows, places, strict=True):
            for ax in place[len(entries) :]:
                ax.remove()
            place = place[: len(entries)]
            for i, (ax, name) in enumerate(zip(place, entries, strict=True)):
                lines = [*title.split("\n") * (not i), *name.split("\n")]
                ax.set_title("\n".join(textwrap.fill(text, 42) for text in lines if text))
                ax.set_gid(", ".join(filter(None, [*title.split("\n"), *name.split("\n")])))
                if share and i:
                    ax.sharey(place[0])
            drawn.append(list(zip(place, entries.values(), strict=True)))
        yield fig, drawn


def line(
    ax: Axes,
    values: xr.DataArray,
    x: str,
    *,
    name: str = "",
    error: xr.DataArray | None = None,
    dots: bool = False,
    **look: Any,
) -> None:
    """Draw `values` by their coordinate `x`: the mean over `seed`, if it is a dim, and a band.

    The band is the range over seeds, or `error` to both sides; of few points, bars show the error.
    With `dots` each seed is a dot. `name` is what the line is called where the figure is put into
    words. `look` are options of `matplotlib.axes.Axes.plot`; `color` is needed.
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
    ax.plot(where, values, **look, gid=f"{SAID}{name or look.get('label') or ''}")
    if few and error.notnull().any():
        ax.errorbar(where, values, error, fmt="none", ecolor=colour, capsize=2, linewidth=1)


def legend(
    where: Figure | Axes, looks: Mapping[str, Mapping[str, Any]], columns: int = 1, **options: Any
) -> None:
    """Add a legend of `looks`, ``{label: options of a line}``, by default below all panels.

    At most `columns` labels are side by side, fewer if the figure has no room. `options` are those
    of `matplotlib.figure.Figure.legend`.
    """
    lines = [Line2D([], [], **dict(markersize=5) | look, label=k) for k, look in looks.items()]
    fig = where.get_figure()
    below = dict(loc="outside lower center") if where is fig else {}
    for ncols in range(columns, 0, -1):
        drawn = where.legend(handles=lines, **below | options, ncols=ncols)
        if ncols == 1 or drawn.get_window_extent().width <= where.bbox.width:
            return
        drawn.remove()


def counted(ax: Axes, what: str) -> None:
    """Label the x axis with `what`, and use only whole numbers as ticks."""
    ax.set_xlabel(what)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))


def picture(ax: Axes, image: Any, **options: Any) -> None:
    """Show an image without ticks and frame."""
    ax.imshow(image, **dict(interpolation="nearest") | options)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def name_row(row: Sequence[Axes], name: str) -> None:
    """Write `name` at the left of a row of pictures."""
    row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize="small")
