"""The look of all figures: colours, markers and Matplotlib's settings."""

from __future__ import annotations

__all__ = ["COLOURS", "STYLE", "colour_of", "look_of", "marker_of"]

# Okabe & Ito's colours: readers with any colour vision can tell them apart, also in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

# For `matplotlib.pyplot.rc_context`, so that the reader's own settings stay as they are.
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.92",
    "axes.axisbelow": True,
    "axes.titlesize": "medium",
    "figure.dpi": 110,
    "legend.frameon": False,
}


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
    """Return colour and marker of the `i`-th group, as options of a line.

    Examples
    --------
    >>> look_of(1)
    {'color': '#D55E00', 'marker': 's'}
    """
    return dict(color=colour_of(i), marker=marker_of(i))
