"""The look of all figures: colours, markers, Matplotlib's settings, and the picture on a page."""

from __future__ import annotations

import io

from matplotlib.figure import Figure
from matplotlib.text import Text

from invlib.plots.words import describe

__all__ = ["COLOURS", "STYLE", "WIDTH", "Drawing", "colour_of", "look_of", "marker_of"]

# Okabe & Ito's colours: readers with any colour vision can tell them apart, also in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

# Inches of 96 pixels: as wide as the column of a page, so text is read at the size it has here.
WIDTH = 7.0
_PIXELS = 96

# For `matplotlib.rc_context`, so that the reader's own settings stay as they are.
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.92",
    "axes.axisbelow": True,
    "axes.titlesize": "medium",
    "figure.dpi": _PIXELS,
    "legend.frameon": False,
    "font.size": 10,  # points; "small" is 11 pixels
}


class Drawing(Figure):
    """A figure that a notebook shows as a picture with two dots a pixel and a text that says it.

    The text is `invlib.plots.words.describe`. The PNG file has it as well, its smallest text in
    pixels and its columns of panels.
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, object]]:
        width, height = (round(inches * _PIXELS) for inches in self.get_size_inches())
        words = describe(self)
        shown = [t for t in self.findobj(Text) if t.get_visible() and t.get_text().strip()]
        smallest = min((t.get_fontsize() for t in shown), default=72) * _PIXELS / 72
        places = [ax.get_subplotspec() for ax in self.axes if ax.get_xticks().size]  # no pictures
        across = max((place.colspan.stop for place in places if place), default=0)
        notes = {"Description": words, "Smallest text": f"{smallest:.1f}", "Columns": str(across)}
        # Matplotlib lays a figure out by drawing all of it once more, into nothing.
        engine, dpi = self.get_layout_engine(), self.dpi
        if engine is not None:
            self.dpi = 2 * _PIXELS
            engine.execute(self)
            self.set_layout_engine(None)
        self.savefig(file := io.BytesIO(), format="png", dpi=2 * _PIXELS, metadata=notes)
        self.set_layout_engine(engine)
        self.dpi = dpi
        return file.getvalue(), {"width": width, "height": height, "alt": words}


def colour_of(i: int) -> str:
    """Return the colour of the `i`-th group. -1 is black, the last colour.

    Examples
    --------
    >>> colour_of(0), colour_of(-1)
    ('#0072B2', '#000000')
    """
    return COLOURS[i % len(COLOURS)]


def marker_of(i: int) -> str:
    """Return the marker of the `i`-th group."""
    return _MARKERS[i % len(_MARKERS)]


def look_of(i: int) -> dict[str, str]:
    """Return colour and marker of the `i`-th group, dashed past the colours, as options of a line.

    Examples
    --------
    >>> look_of(1)
    {'color': '#D55E00', 'marker': 's'}
    """
    look = dict(color=colour_of(i), marker=marker_of(i))
    return look if i < len(COLOURS) else look | dict(linestyle="--")
