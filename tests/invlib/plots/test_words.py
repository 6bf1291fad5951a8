"""A figure in words has the numbers that were drawn, and no text that is too small."""

import io

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from invlib import plots
from invlib.plots.words import course, describe
from tests.invlib.plots.curves import curves

mpl.use("agg")


def test_every_line_is_said_with_its_name_and_its_numbers():
    values = xr.DataArray(
        [[0.0, 0.2, 0.46], [0.3, 0.9, 0.1]], dict(task=["a", "b"], layer=[0, 6, 12])
    )
    said = describe(plots.layer_curves({"run": {"learning": values}}))
    assert "Run, learning: a rises from 0.00 at layer 0 to 0.46 at layer 12;" in said
    assert "b goes from 0.30 at layer 0 to 0.10 at layer 12, highest 0.90 at layer 6." in said
    values[0, 2] = 0.51
    assert "0.51" in describe(plots.layer_curves({"run": {"learning": values}}))


def test_of_many_lines_the_first_and_the_last_are_said():
    said = describe(plots.layer_curves({"": {"q": curves(task=list("abcdef"), layer=[0, 1])}}))
    assert "a rises" in said and "and 4 lines between" in said and "f rises" in said
    assert "c rises" not in said


@pytest.mark.parametrize(
    ("y", "said"),
    [
        ([0.4, 0.2, 0.1], "falls from 0.40 at 0 to 0.10 at 2"),
        ([0.0004, 0.01, 0.02], "rises from 0.0004 at 0 to 0.02 at 2"),
        ([np.nan, 0.3, np.nan], "is 0.30 at 1"),
        ([np.nan] * 3, "has no values"),
    ],
)
def test_how_a_line_runs(y, said):
    assert course(y, ["0", "1", "2"]) == said


def test_a_matrix_has_its_ends():
    matrix = xr.DataArray([[0.0, -0.2], [0.7, 0.1]], dict(ref_layer=[3, 4], layer=[5, 6]))
    said = describe(plots.flow_matrix({"classification": matrix}))
    assert "Classification: 2 rows, 2 columns, highest 0.70 at row 4, column 5" in said
    assert "lowest -0.20 at row 3, column 6" in said


def test_pictures_are_counted_with_what_stands_beside_them():
    said = describe(plots.image_rows({"plain": np.zeros((3, 8, 8, 3), np.uint8)}))
    assert said == "3 pictures; rows: plain."


def test_the_file_has_the_words_two_dots_a_pixel_and_the_size_of_its_smallest_text():
    fig = plots.layer_curves({"a": {"p": curves(layer=[0, 1]), "q": curves(layer=[0, 1])}})
    data, how = fig._repr_png_()
    with Image.open(io.BytesIO(data)) as file:
        assert file.text["Description"] == how["alt"] == describe(fig)
        assert file.size == (2 * how["width"], 2 * how["height"]) and how["width"] <= 672
        assert float(file.text["Smallest text"]) >= 10 and file.text["Columns"] == "2"
    data, _ = plots.image_rows({"plain": np.zeros((3, 8, 8, 3), np.uint8)})._repr_png_()
    with Image.open(io.BytesIO(data)) as file:
        assert file.text["Columns"] == "0"  # pictures are small
