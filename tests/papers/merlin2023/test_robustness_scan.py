"""The correlation scan: every hypothesis against SciPy, its families, its honesty."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from invlib.metrics.invariance import forgetting, learning
from invlib.results.validation import ResultError, validate
from papers.claims.correlation import correlate
from papers.merlin2023.hypotheses import AGGREGATES, QUANTITIES, hypotheses
from papers.merlin2023.robustness_scan import (
    aggregate,
    correlation_scan,
    forgetting_spread,
    mean_corrupted_accuracy,
    quantity,
)
from tests.papers.merlin2023.random_walks import EPOCHS, LAYERS, trajectory

PAPER = "std of forgetting, layers 2-12"


@pytest.fixture
def ds():
    return trajectory()


# --- the hypotheses -------------------------------------------------------------------------------


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


def test_the_aware_p_value_is_never_the_smaller(ds):
    scan = correlation_scan(ds).dropna("hypothesis", subset=["correlation"])
    assert (scan["p_value_autocorrelation"] >= scan["p_value"] - 1e-15).all()
    assert (scan["n_epochs_effective"] <= scan["n_epochs"]).all()
    # random walks: far fewer independent epochs than there are
    assert float(scan["n_epochs_effective"].median()) < len(EPOCHS) / 2


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
        aggregate(forgetting(ds), "std", last=14)
    with pytest.raises(KeyError, match="corrupted_accuracy"):
        correlation_scan(ds.drop_vars("corrupted_accuracy"))
    with pytest.raises(ValueError, match="none above 0"):
        mean_corrupted_accuracy(ds.sel(severity=[0]))
    with pytest.raises(KeyError, match="no variable of learning"):
        correlation_scan(ds[["corrupted_accuracy"]])


def test_the_schema_refuses_an_impossible_scan(ds):
    scan = correlation_scan(ds)
    with pytest.raises(ResultError, match="correlation: values from"):
        validate(scan.assign(correlation=scan.correlation + 1), provenance=False)
    with pytest.raises(ResultError, match="unexpected dim 'layer'"):
        validate(
            scan.assign(correlation=scan.correlation.expand_dims("layer", -1)), provenance=False
        )
