"""Figures: the right panels, one colour for one thing, and the reader's numbers in them."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.colors import to_hex

from invlib import plots
from invlib.plots.panels import grid, line

mpl.use("agg")


def curves(**dims):
    sizes = {name: len(values) for name, values in dims.items()}
    values = np.arange(np.prod(list(sizes.values()))).reshape(tuple(sizes.values())) / 10
    return xr.DataArray(values, dims, tuple(dims))


def drawn(ax):
    """Mean lines only: the seeds are drawn without a line."""
    return [line for line in ax.lines if line.get_linewidth() == 1.5 and line.get_marker() != "."]


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
    assert len(fig.axes) == 3 and fig.axes[-1].get_ylabel() == "b"


def test_flow_has_one_symmetric_scale_and_pretrained_rows():
    small, large = (
        curves(ref_layer=[0, 1], layer=[0, 1]),
        -5 * curves(ref_layer=[0, 1], layer=[0, 1]),
    )
    fig = plots.flow_matrix({"a": small, "b": large.transpose("layer", "ref_layer")})
    images = [ax.images[0] for ax in fig.axes[:2]]
    assert {image.get_clim() for image in images} == {(-1.5, 1.5)}
    np.testing.assert_allclose(images[1].get_array(), large)
    assert "pretrained" in fig.axes[0].get_ylabel()


def test_the_grid_shows_the_distance_left_below_each_layer():
    rng = np.random.default_rng(0)
    ds = xr.Dataset(
        {
            "example_images": (
                ("example", "y", "x", "channel"),
                rng.integers(0, 255, (2, 4, 4, 3)).astype("uint8"),
            ),
            "example_inverted_pt": (
                ("ref_layer", "example", "y", "x", "channel"),
                rng.integers(0, 255, (3, 2, 4, 4, 3)).astype("uint8"),
            ),
            "inversion_loss_pt": (("seed", "ref_layer"), [[0.1, 0.25, 0.5]]),
        },
        dict(ref_layer=[0, 1, 2]),
    )
    fig = plots.inversion_grid(ds, count=5, layers=[1, 2])
    assert len(fig.axes) == 2 * 3
    assert [ax.get_xlabel() for ax in fig.axes[-2:]] == ["0.25", "0.50"]


def test_a_figure_is_shown_once_and_leaves_the_readers_settings_alone():
    before = dict(mpl.rcParams)
    plots.layer_curves({"run": {"p": curves(layer=[0, 1])}})
    assert dict(mpl.rcParams) == before and not plt.get_fignums()


def test_a_line_has_the_range_of_the_seeds_or_the_error_of_their_mean():
    values = curves(seed=[0, 1, 2], layer=[0, 1])
    error = plots.standard_error(values)
    with grid([3], size=(2, 2)) as (_, [axes]):
        line(axes[0], values, "layer", dots=True, color="k")
        line(axes[1], values, "layer", error=error, color="k")
        many = curves(seed=[0, 1], layer=range(13))
        line(axes[2], many, "layer", error=plots.standard_error(many), color="k")
    (band,) = axes[0].collections
    assert band.get_datalim(axes[0].transData).intervaly.tolist() == [0.0, 0.5]
    assert [len(one.get_xdata()) for one in axes[0].lines] == [2] * 4  # three seeds and the mean
    bars = axes[1].collections[0].get_segments()
    np.testing.assert_allclose([bar[1, 1] - bar[0, 1] for bar in bars], 2 * error)
    assert len(axes[2].lines) == len(axes[2].collections) == 1
