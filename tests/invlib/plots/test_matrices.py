"""Matrices side by side have one scale."""

import matplotlib as mpl
import numpy as np

from invlib import plots
from tests.invlib.plots.curves import curves

mpl.use("agg")


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
