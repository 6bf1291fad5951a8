"""Figures: the right panels, one colour for one thing, and the reader's numbers in them."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.colors import to_hex

from invlib import plots
from invlib.plots.curves import error_curves, standard_error
from tests.invlib.plots.curves import curves, drawn

mpl.use("agg")


def test_a_task_keeps_its_colour_over_panels_that_do_not_all_have_it():
    both = curves(task=["classification", "reconstruction"], seed=[0, 1], layer=[0, 1, 2])
    fig = plots.layer_curves(
        {"run": {"without": both.isel(task=0, drop=True), "one": both.isel(task=[1]), "two": both}}
    )
    without, one, two = fig.axes
    colours = [[to_hex(line.get_color()) for line in drawn(ax)] for ax in (without, one, two)]
    assert colours[1][0] == colours[2][1] and colours[0][0] not in colours[2]
    np.testing.assert_allclose(drawn(two)[0].get_ydata(), both.isel(task=0).mean("seed"))
    labels = {text.get_text() for text in fig.legends[0].get_texts()}
    assert labels == {"classification", "reconstruction"}


def test_rows_may_have_fewer_panels_and_other_layers():
    fig = plots.layer_curves(
        {"a": {"p": curves(layer=[0, 1]), "q": curves(layer=[0, 1])}, "b": {"p": curves(layer=[3])}}
    )
    assert len(fig.axes) == 3
    assert [ax.get_gid() for ax in fig.axes] == ["a, p", "b, p", "a, q"]


def test_a_figure_is_shown_once_and_leaves_the_readers_settings_alone():
    before = dict(mpl.rcParams)
    plots.layer_curves({"run": {"p": curves(layer=[0, 1])}})
    assert dict(mpl.rcParams) == before and not plt.get_fignums()


def test_the_figure_draws_means_errors_and_no_line_for_what_was_not_run():
    values = np.stack([np.zeros((2, 5)), np.full((2, 5), 2.0)])  # (seed, randomness, layer)
    values[:, 1] = np.nan
    coords = dict(seed=[0, 1], randomness=[0, 9], layer=range(1, 6))
    curves = xr.DataArray(values, coords, list(coords))
    curves = curves.assign_coords(layer_name=("layer", list("abcd") + ["logits"]))
    fig = error_curves({"run": {"CKA": curves}}, hue="randomness")
    (ax,) = fig.axes
    (line, *_), (bars,) = ax.lines, ax.containers
    np.testing.assert_allclose(line.get_ydata(), 1.0)
    assert bars.lines[2][0].get_segments()[0][:, 1].tolist() == [0.0, 2.0]  # 1 ± √2/√2
    assert [label.get_text() for label in ax.get_xticklabels()][-1] == "logits"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["0", "9"]


def test_a_single_training_has_no_error():
    one = xr.DataArray([[1.0, 2.0]], dims=("seed", "layer"))
    assert standard_error(one).isnull().all()
