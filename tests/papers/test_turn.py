"""An element of several figures: what there is to choose, what a choice is linked to, and words."""

from __future__ import annotations

import base64
import html
import io
import re

import pytest
import xarray as xr
from ipywidgets import Widget
from PIL import Image

from invlib import plots
from papers.explorers import turn


def drawn(height: float):
    rising = xr.DataArray([0.0, height], {"layer": [0, 1]})
    return plots.layer_curves({"a run": {"forgetting": rising}})


def picture(widget) -> tuple[str, Image.Image]:
    """Return the words beside a picture, and the picture."""
    alt = html.unescape(re.search(r"alt='([^']*)'", widget.value)[1])
    data = re.search(r"src='data:image/png;base64,([^']*)'", widget.value)[1]
    return alt, Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_choice_turns_to_a_figure_with_its_words():
    figures = {"one": drawn(0.2), "a <b>'second'</b>": drawn(0.9), "three": drawn(0.5)}
    choice, stack = turn(figures, label="Training").children
    assert choice.options == tuple(figures) and choice.description == "Training"
    assert choice.index == stack.selected_index == 0
    assert len(stack.children) == len(figures)
    for widget, end in zip(stack.children, ("0.20", "0.90", "0.50"), strict=True):
        alt, png = picture(widget)
        assert alt == png.text["Description"] and alt.endswith(f"to {end} at layer 1.")
        assert png.mode == "P" and float(png.text["Smallest text"]) >= 10


def test_the_link_is_of_the_browser_and_in_the_state_that_a_page_keeps():
    choice, stack = turn({"one": drawn(1), "two": drawn(2)}, label="Training").children
    states = Widget.get_manager_state()["state"]
    assert {w.model_id for w in (choice, stack, *stack.children)} <= states.keys()
    links = [s["state"] for s in states.values() if s["model_name"] == "LinkModel"]
    ends = [(link["source"], link["target"]) for link in links]
    choice, stack = (f"IPY_MODEL_{widget.model_id}" for widget in (choice, stack))
    assert ends.count(([choice, "index"], [stack, "selected_index"])) == 1


def test_the_axes_stay_when_a_reader_turns():
    figures = {"low": drawn(0.2), "high": drawn(0.9)}
    turn(figures, label="Training")
    low, high = (figure.axes[0].get_ylim() for figure in figures.values())
    assert low == high and low[1] >= 0.9


def test_words_cannot_leave_their_attribute():
    rising = xr.DataArray([0.0, 1.0], {"layer": [0, 1]})
    name = "<img src=x onerror='alert(1)'>"
    _, stack = turn({"x": plots.layer_curves({name: {"STIR": rising}})}, label="x").children
    assert stack.children[0].value.count("<") == 1 and picture(stack.children[0])[0]


def test_nothing_to_turn_to_is_refused():
    with pytest.raises(ValueError, match="no figure"):
        turn({}, label="Training")
