"""Figures of paper A: the reader's numbers are in them."""

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

from papers.claims.correlation import correlation_up_to
from papers.corruptions.corrupted_sets import CORRUPTIONS, corrupt
from papers.merlin2023 import figures as plots
from papers.merlin2023.hypotheses import QUANTITIES
from papers.merlin2023.robustness_scan import (
    correlation_scan,
    forgetting_spread,
    mean_corrupted_accuracy,
)
from tests.papers.merlin2023.random_walks import trajectory
from tests.published_corruptions import pictures

mpl.use("agg")

PAPER = "std of forgetting, layers 2-12"


@pytest.fixture
def ds():
    return trajectory()


def test_the_overview_rings_the_papers_hypothesis_and_fills_what_survives(ds):
    scan = correlation_scan(ds).sel(estimator="debiased")
    fig = plots.scan_overview(
        {"a": scan, "b": scan.isel(hypothesis=scan["quantity"] == "learning")}
    )
    dots = [c for c in fig.axes[0].collections if len(c.get_offsets()) and c.get_sizes().size]
    rings = [c for c in dots if c.get_sizes()[0] > 100]
    assert len(rings) == 1
    x, y = rings[0].get_offsets()[0]
    assert x == pytest.approx(float(scan.correlation.sel(hypothesis=PAPER)))
    assert round(y) == list(QUANTITIES).index("forgetting")
    small = [c for c in dots if c.get_sizes()[0] < 100]
    assert sum(len(c.get_offsets()) for c in small) == int(scan.correlation.notnull().sum())
    filled = sum(int((c.get_facecolor()[:, 3] > 0).sum()) for c in small)
    assert filled == int((scan["p_value_autocorrelation_bonferroni"] < 0.05).sum())
    with pytest.raises(ValueError, match="'estimator'"):
        plots.scan_overview({"all": correlation_scan(ds)})


def test_lines_are_the_readers_numbers(ds):
    x, y = forgetting_spread(ds).sel(estimator="debiased"), mean_corrupted_accuracy(ds)
    r = correlation_up_to(x, y)["correlation"]
    fig = plots.correlation_curves({"run": {"from epoch 0": r}}, reference=0.78)
    drawn = [line.get_ydata() for line in fig.axes[0].lines]
    assert any(len(line) == r.size and np.allclose(line, r) for line in drawn)
    assert any(np.allclose(line, 0.78) for line in drawn)

    fig = plots.accuracy_by_severity({"run": ds["corrupted_accuracy"]})
    curves = [line for line in fig.axes[0].lines if len(line.get_xdata()) > 1]
    assert [line.get_linestyle() for line in curves] == [":"] + ["-"] * 5
    np.testing.assert_allclose(
        curves[5].get_ydata(), ds["corrupted_accuracy"][..., 5].mean("corruption")
    )

    fig = plots.spread_and_accuracy(x, y)
    path = fig.axes[0].lines[0]
    np.testing.assert_allclose(path.get_xdata(), x)
    np.testing.assert_allclose(path.get_ydata(), y)
    assert f"{float(r[-1]):.2f}" in fig.axes[0].texts[0].get_text()


def test_a_panel_for_each_run(ds):
    both = xr.concat([ds, ds], xr.Variable("optimizer", ["sgd", "adam"]))
    spread = forgetting_spread(both).sel(estimator="debiased")
    fig = plots.spread_and_accuracy(spread, mean_corrupted_accuracy(ds))
    assert [ax.get_title() for ax in fig.axes[:2]] == ["sgd", "adam"]


def test_the_grid_shows_every_corruption_at_every_severity():
    image, names, severities = pictures(3)[0], CORRUPTIONS[:5], (0, 4)
    fig = plots.corruption_grid(image, corruptions=names, severities=severities, seed=2)
    assert [ax.get_title() for ax in fig.axes[:4]] == ["0", "4"] * 2
    assert len(fig.axes) == 5 * 2
    for first, severe in zip(fig.axes[::2], fig.axes[1::2], strict=True):
        name = first.get_ylabel().replace(" ", "_")
        for ax, severity in zip((first, severe), severities, strict=True):
            expected = corrupt(image[None], name, severity, seed=2)[0]
            np.testing.assert_array_equal(ax.images[0].get_array(), expected)
    left, right = ([ax.get_ylabel() for ax in fig.axes[i::4]] for i in (0, 2))
    assert left + right == [name.replace("_", " ") for name in names]
