"""Widgets: elements of a page that are also objects of a notebook, made with ipywidgets.

In JupyterLab they talk to Python as all widgets do. In the book there is no kernel: their links run
in the browser, by way of ``book/_static/widgets``, and without scripts they are not there.
"""

import html
import io
from base64 import b64encode
from collections.abc import Mapping

from ipywidgets import HTML, Dropdown, Stack, VBox, jslink
from PIL import Image, PngImagePlugin

from invlib.plots.style import Drawing

__all__ = ["turn"]


def turn(figures: Mapping[str, Drawing], *, label: str) -> VBox:
    """Return figures of which a reader sees one at a time, and chooses which.

    The keys are what there is to choose, `label` is the name of the choice. Panels at the same
    place get the same y axis in all figures, so that a turn moves nothing but the lines. Each
    picture has the words that `invlib.plots` finds for its figure.

    Raises
    ------
    ValueError
        If there is no figure.

    Examples
    --------
    >>> import xarray as xr
    >>> from invlib.plots import layer_curves
    >>> rising = xr.DataArray([0.0, 1.0], {"layer": [0, 1]})
    >>> figures = {k: layer_curves({"": {"STIR": k * rising}}) for k in (1, 2)}
    >>> choice, stack = turn({f"times {k}": v for k, v in figures.items()}, label="STIR").children
    >>> choice.options, stack.selected_index, len(stack.children)
    (('times 1', 'times 2'), 0, 2)
    """
    if not figures:
        raise ValueError("there is no figure to turn to")
    for panels in zip(*(figure.axes for figure in figures.values()), strict=True):
        lows, highs = zip(*(panel.get_ylim() for panel in panels), strict=True)
        for panel in panels:
            panel.set_ylim(min(lows), max(highs))
    choice = Dropdown(options=list(figures), description=label, style={"description_width": "auto"})
    choice.layout.width = "max-content"
    stack = Stack([_picture(figure) for figure in figures.values()], selected_index=0)
    jslink((choice, "index"), (stack, "selected_index"))
    return VBox([choice, stack])


def _picture(figure: Drawing) -> HTML:
    """Return a figure as a widget. `ipywidgets.Image` has no text for those who do not see it."""
    png, shown = figure._repr_png_()
    source = "data:image/png;base64," + b64encode(_few_colours(png)).decode()
    size = f"width='{shown['width']}' height='{shown['height']}'"
    words = html.escape(str(shown["alt"]), quote=True)
    style = "max-width: 100%; height: auto; background: white"
    return HTML(f"<img src='{source}' alt='{words}' {size} style='{style}'>")


def _few_colours(png: bytes) -> bytes:
    """Return a figure with a palette, a third of the size, and with its notes."""
    with Image.open(io.BytesIO(png)) as full:
        few = full.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        notes = PngImagePlugin.PngInfo()
        for name, text in full.text.items():
            notes.add_text(name, text)
    few.save(file := io.BytesIO(), "PNG", pnginfo=notes, optimize=True)
    return file.getvalue()
