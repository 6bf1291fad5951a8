"""Intervals over trainings: they cover as they say, and fall back to the textbooks."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from papers.claims.statistics import EQUIVALENT, interval_over_trainings, verdict

IMAGES = 64


def simulated(trainings, draws, spreads, rng, repeats=2000):
    """Means over images, (repeat, train_seed, seed), and with each image left out.

    Trainings, images (which all trainings share) and the two together vary by `spreads`. Images
    have a skewed distribution, as single images do that carry a similarity.
    """
    a, b, both = spreads
    shape = (repeats, trainings, draws, IMAGES)
    training = a * rng.normal(size=(repeats, trainings, 1, 1))
    image = b * (rng.exponential(size=(repeats, 1, draws, IMAGES)) - 1)
    x = training + image + both * rng.normal(size=shape)
    dims = ("repeat", "train_seed", "seed")
    without = (x.sum(-1, keepdims=True) - x) / (IMAGES - 1)
    return xr.DataArray(x.mean(-1), dims=dims), xr.DataArray(without, dims=(*dims, "left_out"))


@pytest.mark.parametrize("draws", [1, 2, 3])
@pytest.mark.parametrize(
    "spreads", [(0.1, 0.2, 0.2), (0.1, 0.8, 0.2), (0.01, 1.0, 0.1), (0.3, 0.1, 1.0)]
)
def test_the_interval_covers_the_truth(draws, spreads):
    """The issue of the design: 5 trainings, 1 to 3 draws, 64 images; the truth is 0."""
    rng = np.random.default_rng(draws)
    found = interval_over_trainings(*simulated(5, draws, spreads, rng))
    covered = float(((found.low < 0) & (found.high > 0)).mean())
    assert 0.93 <= covered <= 0.995, covered


def test_draws_that_only_some_trainings_have_do_not_enter():
    rng = np.random.default_rng(0)
    values, without = simulated(5, 3, (0.1, 0.5, 0.2), rng, repeats=3)
    some = values.copy()
    some[:, 1:, 1:] = np.nan
    left = without.copy()
    left[:, 1:, 1:] = np.nan
    found = interval_over_trainings(some, left)
    xr.testing.assert_allclose(
        found, interval_over_trainings(values.isel(seed=[0]), without.isel(seed=[0]))
    )


def test_trainings_alone_are_a_t_interval():
    x = np.random.default_rng(1).normal(size=6)
    found = interval_over_trainings(xr.DataArray(x, dims="train_seed"))
    low, high = stats.t.interval(0.95, 5, x.mean(), stats.sem(x))
    np.testing.assert_allclose([found.low, found.high, found.df], [low, high, 5])


def test_one_training_has_no_interval():
    rng = np.random.default_rng(0)
    found = interval_over_trainings(*simulated(1, 3, (0.1, 0.5, 0.2), rng, repeats=2))
    assert found["mean"].notnull().all() and found.low.isnull().all() and found.df.isnull().all()
    assert (verdict(found.low, found.high, 0.0) == "undecided").all()


def test_draws_without_a_jackknife_show_their_own_spread():
    values = xr.DataArray([[1.0, 3.0], [1.0, 3.0]], dims=("train_seed", "seed"))
    found = interval_over_trainings(values)
    np.testing.assert_allclose([found["mean"], found.error, found.df], [2, 1, 1])
    assert interval_over_trainings(values.isel(seed=[0])).low.isnull()


def test_what_is_detectable_is_detected_four_times_in_five():
    rng = np.random.default_rng(5)
    values, without = simulated(5, 1, (0.2, 0.3, 0.2), rng, repeats=4000)
    effect = float(interval_over_trainings(values, without).detectable.mean())
    found = interval_over_trainings(values + effect, without)
    assert float((found.low > 0).mean()) == pytest.approx(0.8, abs=0.04)


def test_no_difference_is_claimed_only_within_the_margin():
    """Two one-sided tests are wrong at most once in twenty where the truth is at the margin."""
    rng = np.random.default_rng(6)
    values, without = simulated(5, 2, (0.1, 0.3, 0.2), rng, repeats=4000)
    found = interval_over_trainings(values + 0.3, without, level=EQUIVALENT)
    wrong = (verdict(found.low, found.high, 0.3, holds="within") == "reproduced").mean()
    assert 0.02 < float(wrong) < 0.065
    near = interval_over_trainings(values, without, level=EQUIVALENT)
    right = (verdict(near.low, near.high, 0.3, holds="within") == "reproduced").mean()
    assert float(right) > 0.9
    far = interval_over_trainings(values - 1, without, level=EQUIVALENT)
    assert (verdict(far.low, far.high, 0.3, holds="within") == "not reproduced").mean() > 0.99


def test_no_spread_at_all_is_an_interval_of_length_0():
    found = interval_over_trainings(xr.DataArray([2.0, 2.0], dims="train_seed"))
    assert float(found.low) == float(found.high) == 2
