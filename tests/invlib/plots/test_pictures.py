"""Pictures say how far each inversion got."""

import matplotlib as mpl
import numpy as np
import xarray as xr

from invlib import plots

mpl.use("agg")


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
