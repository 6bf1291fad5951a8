"""Correlations of series: against SciPy, and honest about neighbours that depend on each other."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from papers.claims.correlation import (
    correlate,
    correlation_up_to,
    critical_correlation,
    detectable_correlation,
    effective_size,
    fisher_interval,
    p_value,
    partial,
    pearson,
)
from papers.merlin2023.robustness_scan import forgetting_spread, mean_corrupted_accuracy
from tests.papers.merlin2023.random_walks import trajectory


@pytest.fixture
def ds():
    return trajectory()


def test_p_values_invert_and_reach_below_what_1_minus_r_squared_resolves():
    r = np.array([-0.9, 0.0, 0.3, 0.999999])
    np.testing.assert_allclose(
        p_value(r, 50), 2 * stats.t.sf(np.abs(r) * np.sqrt(48 / (1 - r**2)), 48), rtol=1e-8
    )
    for tests in (1, 352):
        assert p_value(critical_correlation(40, tests=tests), 40) * tests == pytest.approx(0.05)
    np.testing.assert_array_equal(p_value([1.0, 0.5, np.nan], [2, 1.3, 5]), [1, 1, np.nan])


def test_a_partial_correlation_is_that_of_what_is_left():
    given, own, other = np.random.default_rng(0).normal(size=(3, 4, 30))
    x, y = given + own, 2 * given + 0.5 * own + other

    def left(series: np.ndarray) -> np.ndarray:
        pairs = zip(series, given, strict=True)
        return np.array([s - np.polyval(np.polyfit(g, s, 1), g) for s, g in pairs])

    np.testing.assert_allclose(partial(x, y, given), pearson(left(x), left(y)))
    assert np.isnan(partial(given, y, given)).all()  # nothing is left of x


def test_the_interval_is_scipys():
    x, y = np.random.default_rng(0).normal(size=(2, 15))
    y += x
    ends = stats.pearsonr(x, y).confidence_interval(0.9)
    np.testing.assert_allclose(fisher_interval(pearson(x, y), 15, level=0.9), ends)
    low, high = fisher_interval([1.0, -1.0], 15).T
    assert (low > [0.99, -1.001]).all() and (high < [1.001, -0.99]).all()


@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_a_detectable_correlation_is_detected_four_times_in_five(threshold):
    rho, rng = detectable_correlation(15, threshold=threshold), np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 20_000, 15))
    low = fisher_interval(pearson(x, rho * x + np.sqrt(1 - rho**2) * noise), 15)[:, 0]
    assert (low > threshold).mean() == pytest.approx(0.8, abs=0.01)
    assert np.isnan(detectable_correlation(3))


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


def test_series_that_share_too_little_are_refused(ds):
    with pytest.raises(ValueError, match="x has no dim 'epoch'"):
        correlate(forgetting_spread(ds.isel(epoch=0)), mean_corrupted_accuracy(ds))
    with pytest.raises(ValueError, match="share 2 points"):
        correlation_up_to(forgetting_spread(ds), mean_corrupted_accuracy(ds.isel(epoch=[3, 4])))
