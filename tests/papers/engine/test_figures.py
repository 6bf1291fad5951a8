"""Figures of the pages about the engine."""

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from papers.engine import figures

mpl.use("agg")


@pytest.mark.parametrize("draw", [figures.loss_race, figures.recipe_grid])
def test_the_race_is_drawn_for_every_layer(draw):
    ds = xr.Dataset(
        {
            "race_loss": (("recipe", "race_layer", "evaluation"), np.full((2, 3, 4), 0.5)),
            "race_best": (("recipe", "race_layer"), np.full((2, 3), 0.4)),
            "race_images": (
                ("recipe", "race_layer", "example", "y", "x", "channel"),
                np.zeros((2, 3, 1, 4, 4, 3), "uint8"),
            ),
        },
        dict(recipe=["fast:2", "ngd:3"], race_layer=[0, 1, 2], evaluation=range(4)),
    )
    fig = draw(ds)
    assert isinstance(fig, Figure)
    assert sum("layer" in ax.get_title() for ax in fig.axes) == 3
