"""Figures of paper C: the reader's numbers are in them."""

from __future__ import annotations

import numpy as np

from papers.claims.settings import by_training, settings
from papers.masarczyk2023 import figures as task_plots
from papers.masarczyk2023.task_logs import accuracy_lost
from tests.papers.masarczyk2023.results import EPOCHS, ERODE, LEARN, PAPER, RELEARN, synthetic


def test_figures_draw_what_they_are_given():
    ((_, one),) = settings(synthetic([PAPER, PAPER]))
    one = by_training(one)
    fig = task_plots.task_curves({"this run": one})
    (ax,) = fig.axes
    blue = [line.get_ydata() for line in ax.get_lines() if line.get_color() == "#0072B2"]
    np.testing.assert_allclose(blue, [LEARN, ERODE, RELEARN])
    assert ax.get_xlim()[1] >= 3 * EPOCHS
    (ax,) = task_plots.ratio_curves({"this run": accuracy_lost(one)}).axes
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), PAPER["lost"])
    cka = one["cka_ft_pt"].sel(estimator="biased")
    (ax, _) = task_plots.cka_matrices({"biased": cka}).axes
    np.testing.assert_allclose(np.diag(ax.images[0].get_array()), PAPER["cka"])
    (ax,) = task_plots.relearning_curves({"this run": one}).axes
    np.testing.assert_allclose(ax.get_lines()[1].get_ydata(), RELEARN)
