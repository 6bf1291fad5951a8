"""The correlation scan: its count of hypotheses, its statistics against SciPy, its honesty."""

from collections import Counter

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from scipy import stats

from invlib.data.corruptions.corrupted_sets import CORRUPTIONS, corrupt
from invlib.metrics.invariance import forgetting, learning
from invlib.results.validation import ResultError, validate
from papers.claims.correlation import (
    correlate,
    correlation_up_to,
    critical_correlation,
    effective_size,
    p_value,
    pearson,
)
from papers.merlin2023 import figures as plots
from papers.merlin2023.hypotheses import AGGREGATES, QUANTITIES, Hypothesis, hypotheses
from papers.merlin2023.robustness_scan import (
    aggregate,
    correlation_scan,
    forgetting_spread,
    mean_corrupted_accuracy,
    quantity,
)
from tests.published_corruptions import pictures

mpl.use("agg")

PAPER = "std of forgetting, layers 2-12"
EPOCHS, LAYERS = np.arange(31), np.arange(13)


def walk(rng, *shape, low=0.2, high=0.8):
    """Random walks along the first axis, scaled into [low, high]."""
    values = rng.standard_normal(shape).cumsum(axis=0)
    values -= values.min()
    return low + (high - low) * values / values.max()


@pytest.fixture
def ds():
    rng = np.random.default_rng(0)
    own = ("estimator", "seed", "layer")
    shape = (2, 3, len(LAYERS))
    moving = {
        f"{name}_diagonal": (("epoch", *own), walk(rng, len(EPOCHS), *shape))
        for name in ("stir_ft_pt", "stir_pt_ft", "stir_ft_ft", "cka_ft_pt")
    }
    return xr.Dataset(
        moving
        | {
            "stir_pt_pt_diagonal": (own, rng.uniform(0.8, 0.9, shape)),
            "cka_pt_pt_diagonal": (own, np.ones(shape)),
            "subspace_ft_pt_diagonal": (("epoch", *own[1:]), walk(rng, len(EPOCHS), *shape[1:])),
            "corrupted_accuracy": (
                ("epoch", "corruption", "severity"),
                walk(rng, len(EPOCHS), 2, 6),
            ),
        },
        dict(
            epoch=EPOCHS,
            estimator=["biased", "debiased"],
            seed=range(3),
            layer=LAYERS,
            severity=range(6),
            corruption=["fog", "jpeg"],
        ),
    )


# --- the hypotheses -------------------------------------------------------------------------------


def test_the_papers_numbers_come_out_exactly():
    counts = Counter(QUANTITIES[h.quantity] for h in hypotheses())
    assert counts == {
        "learning and forgetting": 352,
        "CKA divergence": 88,
        "subspace similarity": 88,
    }
    assert len(set(hypotheses())) == 528
    assert len({str(h) for h in hypotheses()}) == 528
    assert len({(h.first, h.last) for h in hypotheses()}) == 22


def test_the_papers_own_hypotheses_are_among_them():
    found = hypotheses()
    assert Hypothesis("forgetting", 2, 12, "std") in found
    assert Hypothesis("CKA divergence", 1, 8, "std") in found
    assert str(Hypothesis("forgetting", 2, 12, "std")) == PAPER
    assert not any(h.first == 0 or (h.first, h.last) == (1, 12) for h in found)


def test_328_of_the_352_are_different(ds):
    """The rest hold by definition, whatever the data: single layers."""
    rng = np.random.default_rng(5)
    # long white noise: every layer is the largest, and the smallest, of all at some epoch
    ds = ds.isel(seed=[0], epoch=[0] * 300).assign_coords(epoch=range(300))
    ds = ds.map(lambda v: v.copy(data=rng.random(v.shape)))
    ours = [name for name, family in QUANTITIES.items() if family == "learning and forgetting"]
    scan = correlation_scan(ds, quantities=ours, self_term="one")
    r = scan.correlation.sel(estimator="debiased")
    assert r.size == 352
    assert int(r.isnull().sum()) == 8
    assert set(r["layers"].values[r.isnull()]) == {"1", "12"}
    assert len(np.unique(r.dropna("hypothesis").round(12))) == 328


def test_other_depths():
    assert len(hypotheses(["learning"], layers=range(1, 7))) == 10 * 4
    assert {h.layers for h in hypotheses(["learning"], layers=[1, 2, 3])} == {
        "1",
        "1-2",
        "2-3",
        "3",
    }


# --- what is correlated ---------------------------------------------------------------------------


def test_quantities_are_the_equations(ds):
    both = learning(ds), forgetting(ds)
    for name, expected in {
        "learning": both[0],
        "forgetting": both[1],
        "learning + forgetting": both[0] + both[1],
        "learning - forgetting": both[0] - both[1],
        "CKA divergence": 1 - ds["cka_ft_pt_diagonal"],
        "subspace similarity": ds["subspace_ft_pt_diagonal"],
    }.items():
        np.testing.assert_allclose(quantity(ds, name), expected.transpose(*quantity(ds, name).dims))


@pytest.mark.parametrize("how", AGGREGATES)
def test_aggregates_are_numpys_and_take_both_ends(ds, how):
    values = forgetting(ds).transpose(..., "layer")
    found = aggregate(values, how, first=2, last=12)
    np.testing.assert_allclose(found, getattr(np, how)(values.values[..., 2:13], axis=-1))
    assert "layer" not in found.dims


def test_the_spread_is_the_papers(ds):
    spread = forgetting_spread(ds)
    mean_first = (ds["stir_pt_pt_diagonal"] - ds["stir_ft_pt_diagonal"]).mean("seed")
    np.testing.assert_allclose(
        spread, mean_first.sel(layer=slice(2, 12)).std("layer").transpose(*spread.dims)
    )
    assert spread.attrs["long_name"] == PAPER
    each = forgetting_spread(ds, seeds="each").mean("seed")
    assert (each > spread).all()  # the spread of a mean is not the mean of the spreads


def test_corrupted_accuracy_leaves_the_clean_images_out(ds):
    values = ds["corrupted_accuracy"].values
    np.testing.assert_allclose(mean_corrupted_accuracy(ds), values[:, :, 1:].mean((1, 2)))
    gap = ds["corrupted_accuracy"].where((ds.epoch != 4) | (ds.severity != 3))
    found = mean_corrupted_accuracy(ds.assign(corrupted_accuracy=gap))
    assert found.isnull().sum() == 1 and np.isnan(found.sel(epoch=4))


# --- the statistics -------------------------------------------------------------------------------


def test_every_hypothesis_against_scipy(ds):
    scan = correlation_scan(ds)
    validate(scan, provenance=False)
    assert scan.sizes == {"estimator": 2, "hypothesis": 528}
    assert scan.correlation.attrs["long_name"] == "Pearson correlation over epochs"
    accuracy = mean_corrupted_accuracy(ds).values
    values = {name: quantity(ds, name).mean("seed") for name in QUANTITIES}
    for i, h in enumerate(hypotheses()):
        one = values[h.quantity]
        one = one.sel(estimator="debiased") if "estimator" in one.dims else one
        series = getattr(one.sel(layer=slice(h.first, h.last)), h.aggregate)("layer").values
        found = scan.isel(hypothesis=i).sel(estimator="debiased")
        assert str(found["hypothesis"].values) == str(h)
        if series.std() == 0:
            assert np.isnan(found["correlation"]) and np.isnan(found["p_value"])
            continue
        expected = stats.pearsonr(series, accuracy)
        np.testing.assert_allclose(found["correlation"], expected.statistic, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found["p_value"], expected.pvalue, rtol=1e-6)


def test_a_planted_correlation_is_found_and_nothing_else_beats_it(ds):
    spread = forgetting_spread(ds).sel(estimator="debiased")
    planted = (0.5 + spread).broadcast_like(ds["corrupted_accuracy"])
    scan = correlation_scan(ds.assign(corrupted_accuracy=planted)).sel(estimator="debiased")
    best = scan["hypothesis"].values[int(np.abs(scan.correlation).argmax("hypothesis"))]
    assert best == PAPER
    assert float(scan.correlation.sel(hypothesis=PAPER)) == pytest.approx(1)
    opposite = correlation_scan(ds.assign(corrupted_accuracy=1 - planted))
    found = opposite.correlation.sel(estimator="debiased", hypothesis=PAPER)
    assert float(found) == pytest.approx(-1)


def test_bonferroni_counts_the_family(ds):
    scan = correlation_scan(ds)
    for quantity_, tests in {
        "learning": 352,
        "CKA divergence": 88,
        "subspace similarity": 88,
    }.items():
        one = scan.isel(hypothesis=scan["quantity"].values == quantity_)
        assert set(one["n_hypotheses"].values) == {tests}
        for name in ("p_value", "p_value_autocorrelation"):
            expected = np.minimum(one[name] * tests, 1)
            np.testing.assert_allclose(one[f"{name}_bonferroni"], expected)
    only = correlation_scan(ds, quantities=["forgetting"])
    assert set(only["n_hypotheses"].values) == {88}
    assert (only["p_value_bonferroni"].dropna("hypothesis") < 1).any()


def test_p_values_invert_and_reach_below_what_1_minus_r_squared_resolves():
    r = np.array([-0.9, 0.0, 0.3, 0.999999])
    np.testing.assert_allclose(
        p_value(r, 50), 2 * stats.t.sf(np.abs(r) * np.sqrt(48 / (1 - r**2)), 48), rtol=1e-8
    )
    for tests in (1, 352):
        assert p_value(critical_correlation(40, tests=tests), 40) * tests == pytest.approx(0.05)
    np.testing.assert_array_equal(p_value([1.0, 0.5, np.nan], [2, 1.3, 5]), [1, 1, np.nan])


def test_the_paper_reports_p_values_of_fewer_than_100_epochs():
    """What book/replication_notes.md says about the two pairs; r is rounded, so it has a range."""
    n = np.arange(3, 101)
    for r, half, p, fits, nearest in [
        (0.78, 0.005, 3.52e-18, [82, 83, 84], 83),
        (0.877, 0.0005, 2.51e-16, [], 48),
    ]:
        inside = (p_value(r + half, n) <= p) & (p <= p_value(r - half, n))
        assert n[inside].tolist() == fits
        assert n[np.abs(np.log(p_value(r, n) / p)).argmin()] == nearest
        assert p_value(r - half, 100) < p / 100


def autoregressive(rng, phi, runs, n):
    x = rng.standard_normal((runs, n))
    x[:, 0] /= np.sqrt(1 - phi**2) if phi < 1 else 1
    for t in range(1, n):
        x[:, t] += phi * x[:, t - 1]
    return x


@pytest.mark.parametrize(("phi", "naive_above"), [(0.0, 0.03), (0.5, 0.09), (0.9, 0.4), (1.0, 0.6)])
def test_independent_series_are_called_correlated_one_time_in_twenty(phi, naive_above):
    rng = np.random.default_rng(1)
    x, y = (autoregressive(rng, phi, 2000, 60) for _ in "xy")
    r = pearson(x, y)
    naive = (p_value(r, 60) < 0.05).mean()
    aware = (p_value(r, effective_size(x, y)) < 0.05).mean()
    assert naive > naive_above
    assert 0.03 < aware < 0.07  # three standard errors of 2000 draws are 0.015


def test_the_aware_p_value_is_never_the_smaller(ds):
    scan = correlation_scan(ds).dropna("hypothesis", subset=["correlation"])
    assert (scan["p_value_autocorrelation"] >= scan["p_value"] - 1e-15).all()
    assert (scan["n_epochs_effective"] <= scan["n_epochs"]).all()
    # random walks: far fewer independent epochs than there are
    assert float(scan["n_epochs_effective"].median()) < len(EPOCHS) / 2


def test_missing_points_count_for_nothing_wherever_they_are():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 20)).cumsum(axis=1)
    gap = x.copy()
    gap[[0, 7, 8, 19]] = np.nan
    kept = ~np.isnan(gap)
    for function in (pearson, effective_size):
        np.testing.assert_allclose(function(gap, y), function(x[kept], y[kept]))
    dims = {"epoch": range(20)}
    found = correlate(xr.DataArray(gap, dims), xr.DataArray(y, dims))
    assert int(found["n_epochs"]) == 16
    fewer = xr.DataArray(x, dims).isel(epoch=np.flatnonzero(kept))  # absent, not NaN
    xr.testing.assert_allclose(correlate(fewer, xr.DataArray(y, dims)), found)


@pytest.mark.parametrize("constant", [0.0, 0.7, 1e6])
def test_a_constant_series_has_no_correlation_and_no_warning(constant):
    y = np.random.default_rng(3).standard_normal(50)
    rounded = np.full(50, constant) * (1 + 1e-15 * y)
    for x in (np.full(50, constant), rounded):
        assert np.isnan(pearson(x, y)) and np.isnan(effective_size(x, y))
        assert np.isnan(p_value(pearson(x, y), effective_size(x, y)))
    assert np.isnan(pearson([1.0, 2.0], [1.0, 2.0])), "two points always lie on a line"
    assert np.isnan(pearson([np.nan] * 4, y[:4]))


def test_one_point_far_away_makes_a_correlation(ds):
    """Epoch 0 is such a point: leaving it out must undo what it did."""
    rng = np.random.default_rng(4)
    noise = rng.uniform(0, 0.01, (len(EPOCHS), len(LAYERS)))
    at_zero = (EPOCHS == 0)[:, None] * np.linspace(0, 0.6, len(LAYERS))
    spread = xr.DataArray(noise + at_zero, dict(epoch=EPOCHS, layer=LAYERS))
    accuracy = 0.3 + 0.5 * (EPOCHS == 0) + rng.uniform(0, 0.01, len(EPOCHS))
    leveraged = (
        ds.drop_vars(["seed", "severity", "corruption", "corrupted_accuracy"])
        .isel(seed=0)
        .assign(
            stir_ft_pt_diagonal=ds["stir_pt_pt_diagonal"].isel(seed=0) - spread,
            corrupted_accuracy=xr.DataArray(accuracy, {"epoch": EPOCHS}).expand_dims(severity=[1]),
        )
    )
    r = [
        float(
            correlation_scan(leveraged, quantities=["forgetting"], epochs=epochs)
            .correlation.sel(hypothesis=PAPER)
            .isel(estimator=0)
        )
        for epochs in (None, slice(1, None), EPOCHS[1:].tolist())
    ]
    assert r[0] > 0.95 and abs(r[1]) < 0.5
    assert r[1] == r[2]


# --- seeds, epochs, runs --------------------------------------------------------------------------


def test_seeds_are_averaged_or_kept(ds):
    each = correlation_scan(ds, seeds="each")
    validate(each, provenance=False)
    assert each.correlation.dims == ("estimator", "seed", "hypothesis")
    xr.testing.assert_allclose(
        each.sel(seed=[1]).squeeze("seed", drop=True), correlation_scan(ds.sel(seed=[1]))
    )
    own = correlate(forgetting_spread(ds), mean_corrupted_accuracy(ds))
    scan = correlation_scan(ds).sel(hypothesis=PAPER)
    for name in own:
        np.testing.assert_allclose(own[name], scan[name])


def test_runs_stay_apart(ds):
    other = ds.assign(corrupted_accuracy=1 - ds["corrupted_accuracy"])
    both = xr.concat([ds, other], xr.Variable("optimizer", ["sgd", "adam"]))
    scan = correlation_scan(both)
    validate(scan, provenance=False)
    r = scan.correlation
    np.testing.assert_allclose(r.sel(optimizer="adam"), -r.sel(optimizer="sgd"), atol=1e-12)


def test_a_trajectory_without_learning_is_scanned_for_the_rest(ds):
    less = ds.drop_vars(["stir_pt_ft_diagonal", "stir_ft_ft_diagonal"])
    scan = correlation_scan(less)
    assert set(scan["quantity"].values) == {"forgetting", "CKA divergence", "subspace similarity"}
    ones = correlation_scan(ds.drop_vars("stir_ft_ft_diagonal"), self_term="one")
    assert set(ones["quantity"].values) == set(QUANTITIES)


def test_whole_matrices_beside_the_diagonals_do_not_hide_them(ds):
    matrix = xr.full_like(ds["stir_ft_pt_diagonal"], np.nan).expand_dims(ref_layer=LAYERS)
    whole = ds.assign(stir_ft_pt=matrix)  # kept at no epoch
    xr.testing.assert_equal(forgetting_spread(whole), forgetting_spread(ds))


def test_the_correlation_up_to_each_epoch(ds):
    x, y = forgetting_spread(ds), mean_corrupted_accuracy(ds)
    found = correlation_up_to(x, y)
    assert found["epoch"].values.tolist() == list(range(2, 31))
    for n in (2, 11, 30):
        direct = stats.pearsonr(x.sel(estimator="biased")[: n + 1], y[: n + 1])
        one = found.sel(epoch=n, estimator="biased")
        np.testing.assert_allclose(one["correlation"], direct.statistic)
        np.testing.assert_allclose(one["p_value"], direct.pvalue, rtol=1e-6)
    later = correlation_up_to(x.sel(epoch=slice(1, None)), y)
    assert later["epoch"].values.tolist() == list(range(3, 31))
    direct = stats.pearsonr(x.sel(estimator="biased")[1:11], y[1:11])
    at = later["correlation"].sel(epoch=10, estimator="biased")
    np.testing.assert_allclose(at, direct.statistic)


# --- refusals -------------------------------------------------------------------------------------


def test_refusals(ds):
    with pytest.raises(ValueError, match="did you mean 'forgetting'"):
        correlation_scan(ds, quantities=["forgeting"])
    with pytest.raises(ValueError, match="seeds='all'"):
        correlation_scan(ds, seeds="all")
    with pytest.raises(ValueError, match="did you mean 'measured'"):
        correlation_scan(ds, self_term="mesured")
    with pytest.raises(ValueError, match="did you mean 'std'"):
        aggregate(forgetting(ds), "sdt")
    with pytest.raises(ValueError, match="last=14 is not one of"):
        forgetting_spread(ds, last=14)
    with pytest.raises(KeyError, match="corrupted_accuracy"):
        correlation_scan(ds.drop_vars("corrupted_accuracy"))
    with pytest.raises(ValueError, match="none above 0"):
        mean_corrupted_accuracy(ds.sel(severity=[0]))
    with pytest.raises(KeyError, match="no variable of learning"):
        correlation_scan(ds[["corrupted_accuracy"]])
    with pytest.raises(ValueError, match="x has no dim 'epoch'"):
        correlate(forgetting_spread(ds.isel(epoch=0)), mean_corrupted_accuracy(ds))
    with pytest.raises(ValueError, match="share 2 points"):
        correlation_up_to(forgetting_spread(ds), mean_corrupted_accuracy(ds.isel(epoch=[3, 4])))


def test_the_schema_refuses_an_impossible_scan(ds):
    scan = correlation_scan(ds)
    with pytest.raises(ResultError, match="correlation: values from"):
        validate(scan.assign(correlation=scan.correlation + 1), provenance=False)
    with pytest.raises(ResultError, match="unexpected dim 'layer'"):
        validate(
            scan.assign(correlation=scan.correlation.expand_dims("layer", -1)), provenance=False
        )


# --- figures --------------------------------------------------------------------------------------


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
