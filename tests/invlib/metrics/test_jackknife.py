"""Intervals over images: known standard errors, and how fresh draws scatter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from invlib.metrics.cka import cka_from_grams, cka_leave_one_out
from invlib.metrics.grams import gram
from invlib.metrics.jackknife import interval, left_one_out
from tests.images_left_out import of_means


def test_of_a_mean_it_is_the_standard_error_of_a_mean():
    x = xr.DataArray(
        np.random.default_rng(0).normal(size=(2, 5, 40)), dims=("a", "seed", "left_out")
    )
    low, high = interval(x.mean("left_out"), (x.sum("left_out") - x) / 39)
    assert low.dims == high.dims == ("a",)
    error = np.sqrt((x.std("left_out", ddof=1) ** 2 / 40).sum("seed")) / 5
    np.testing.assert_allclose((low + high) / 2, x.mean(["seed", "left_out"]))
    np.testing.assert_allclose(high - low, 2 * 1.96 * error)


@pytest.mark.parametrize("debiased", [False, True], ids=["biased", "debiased"])
def test_it_is_as_wide_as_fresh_images_scatter(debiased):
    """CKA of what many fresh draws of images give, against the jackknife in each."""
    n, draws = 80, 150
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(draws, n, 6, generator=rng)
    y = x + torch.randn(draws, n, 6, generator=rng)
    k, l = (torch.stack([gram(one) for one in z]) for z in (x, y))  # noqa: E741
    values = cka_from_grams(k, l, debiased=debiased)
    without = cka_leave_one_out(k, l, debiased=debiased)
    low, high = interval(
        xr.DataArray(values[:, None], dims=("draw", "seed")),
        xr.DataArray(without[:, None], dims=("draw", "seed", "left_out")),
    )
    assert float(((high - low) / 2 / 1.96).mean()) == pytest.approx(float(values.std()), rel=0.2)


def test_a_missing_value_leaves_no_interval():
    ds, _ = of_means()
    value, without = ds.stir_pt_pt_diagonal, ds.stir_pt_pt_jackknife.copy(deep=True)
    without[0, 1, 2, 3] = np.nan  # estimator, seed, layer, left_out
    for end in interval(value, without):
        assert end.isnull().sum() == 1 and end.isnull().sel(estimator="biased", layer=2)
    one = ds.stir_pt_pt_diagonal.copy(deep=True)
    one[0, 1, 2] = np.nan  # of a seed, with all its images
    for end in interval(one, ds.stir_pt_pt_jackknife):
        assert end.isnull().sum() == 1 and end.isnull().sel(estimator="biased", layer=2)


def test_other_diagonals_without_each_image():
    ds, _ = of_means()
    names = ["stir_ft_pt", "stir_pt_pt"]
    without = left_one_out(
        ds.assign(stir_ft_pt_jackknife=ds.stir_ft_pt_jackknife.astype("f4")), names
    )
    assert set(without) == {"stir_ft_pt_diagonal", "stir_pt_pt_diagonal"}
    assert without.stir_ft_pt_diagonal.dtype == float  # so that the sums of squares keep digits
    matrices = ds.rename(stir_pt_pt_jackknife="stir_pt_pt_left_out")
    assert set(left_one_out(matrices, ["stir_pt_pt"], whole=True)) == {"stir_pt_pt"}
    assert left_one_out(ds, [*names, "test_loss"]) is None and left_one_out(ds, []) is None
