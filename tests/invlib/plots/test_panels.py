"""Lines in panels: their mean, and what they vary by."""

import matplotlib as mpl
import numpy as np

from invlib import plots
from invlib.plots.panels import grid, line
from tests.invlib.plots.curves import curves

mpl.use("agg")


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
