"""Settings: each data set and recipe by itself, and repeats of a training in place of draws."""

from __future__ import annotations

import xarray as xr

from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import check_claims
from papers.claims.settings import by_training, settings
from tests.papers.masarczyk2023.results import PAPER, synthetic


def test_settings_are_data_sets_and_recipes():
    ds = xr.Dataset(coords={"dataset": ["a", "b"], "recipe": ["r:1", "r:2"], "epoch": [0]})
    assert [words for words, _ in settings(ds)] == [
        ["a", "r:1"], ["a", "r:2"], ["b", "r:1"], ["b", "r:2"]
    ]  # fmt: skip
    _, last = list(settings(ds))[-1]
    assert (last["dataset"].item(), last["recipe"].item(), last.sizes) == ("b", "r:2", {"epoch": 1})
    assert [words for words, _ in settings(ds.isel(dataset=0, recipe=0))] == [[]]


def test_figures_show_trainings_and_average_draws_of_images():
    ds = synthetic([PAPER, PAPER, PAPER])
    ds["cka_ft_pt"] = ds["cka_ft_pt"].copy()
    ds["cka_ft_pt"].loc[{"seed": 1}] = 0
    ((_, one),) = settings(ds)
    assert one.sizes["train_seed"] == 3 and one.sizes["seed"] == 2
    one = by_training(one)
    assert one.sizes["seed"] == 3 and "train_seed" not in one.dims
    averaged = ds["cka_ft_pt"].isel(seed=0, dataset=0, drop=True).rename(train_seed="seed") / 2
    xr.testing.assert_allclose(one["cka_ft_pt"].transpose(*averaged.dims).reset_coords(drop=True),
                               averaged.reset_coords(drop=True), rtol=1e-7)  # fmt: skip
    # without CKA there is no estimator, and yet a verdict under each
    ((_, one),) = settings(ds.drop_dims("estimator"))
    assert check_claims(CLAIMS["feature_erosion"], one).sizes["estimator"] == 2
