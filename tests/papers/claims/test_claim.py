"""Claims judged: a verdict is nothing but its number, in each seed, estimator and self term."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from invlib.metrics.invariance import diagonal
from invlib.results.netcdf import open_results, save_results
from invlib.results.validation import validate
from papers.claims.claim import Claim, check_claims
from papers.claims.columns import COLUMNS, in_column
from papers.claims.correlation import detectable_correlation
from papers.claims.tables import claims_table
from tests.images_left_out import SEEDS, N, of_means
from tests.papers.merlin2023.test_finetuning_task import (
    ATTRS,
    BY_ID,
    CLAIMS_4_1,
    CLS,
    as_the_paper,
    judge,
    synthetic,
    untestable,
)
from tests.synthetic import trainings


def test_estimators_and_self_terms_are_judged_apart():
    ds = synthetic([as_the_paper(self=np.full(13, 0.9), learning={CLS: np.zeros(13)})] * 2)
    ds["stir_pt_ft"].loc[dict(estimator="debiased")] -= 0.2
    ds["stir_ft_ft"].loc[dict(estimator="debiased", task=CLS)] -= 0.3
    out = check_claims([BY_ID["A-4.1-both-tasks-learn"]], ds).isel(claim=0, train_seed=0, seed=0)
    verdicts = out.verdict.to_series().to_dict()
    assert verdicts == {
        ("biased", "measured"): "not reproduced",  # 0.9 - 0.9
        ("biased", "one"): "reproduced",  # 1 - 0.9
        ("debiased", "measured"): "not reproduced",  # 0.6 - 0.7
        ("debiased", "one"): "reproduced",  # 1 - 0.7
    }
    assert out.value.sel(estimator="debiased", self_term="one").item() == pytest.approx(0.3)


# --- not testable here ----------------------------------------------------------------------------


def test_a_task_that_was_not_run():
    ds = synthetic([as_the_paper()] * 2).sel(task=[CLS])
    reason = untestable(ds, "A-4.1-forgetting-rises-earlier")
    assert reason == "these results have no task reconstruction"
    out = check_claims([BY_ID["A-4.1-u-shape-learning"]], ds)
    assert set(out.verdict.values.ravel()) == {"reproduced"}  # which needs classification only


def test_a_variable_that_was_not_computed():
    ds = synthetic([as_the_paper()] * 2)
    names = [name for name in ds if str(name).startswith("stir")]
    without = ds.drop_vars(names)
    assert untestable(without, "A-4.1-u-shape-learning") == "these results have no stir_ft_ft"
    out = check_claims([BY_ID["A-4.1-cka-early-near-zero"]], without)
    assert set(out.verdict.values.ravel()) == {"reproduced"}


# --- the ledger -----------------------------------------------------------------------------------


def test_a_ledger_is_a_valid_result(tmp_path):
    ds = synthetic([as_the_paper()] * SEEDS).assign_coords(dataset="cifar10")
    out = check_claims(CLAIMS_4_1, ds)
    validate(out)
    assert out.value.dims == ("claim", "estimator", "self_term", "train_seed", "seed")
    assert out.verdict.dims == ("claim", "estimator", "self_term")
    assert {k: v for k, v in out.attrs.items() if k not in ("kind", "claims")} == {
        k: v for k, v in ds.attrs.items() if k != "kind"
    }
    read = open_results(save_results(out, tmp_path / "claims.nc"))
    xr.testing.assert_identical(read.value, out.value)
    assert (read.verdict == out.verdict).all() and read["dataset"].item() == "cifar10"
    assert claims_table(read).equals(claims_table(out))  # it needs nothing but the file


def test_the_papers_value_depends_on_the_data_set():
    ds = synthetic([as_the_paper()])
    claim = BY_ID["A-C.1-correlation-reconstruction"]
    for dataset, expected in [("cifar10", 0.86), ("cifar100", 0.88), ("digits", math.nan)]:
        out = check_claims([claim], ds.assign_coords(dataset=dataset))
        np.testing.assert_equal(out.paper_value.item(), expected)
    np.testing.assert_equal(check_claims([claim], ds).paper_value.item(), math.nan)


def test_all_data_sets_at_once_are_refused():
    ds = synthetic([as_the_paper()])
    both = xr.concat([ds, ds], xr.Variable("dataset", ["cifar10", "cifar100"]))
    with pytest.raises(ValueError, match=r"for each of dataset; .*ds.sel\(dataset="):
        check_claims(CLAIMS_4_1, both)


@pytest.mark.parametrize(
    ("claims", "options", "said"),
    [
        ([], {}, "at least one of each"),
        (CLAIMS_4_1[:1] * 2, {}, "each once"),
        (CLAIMS_4_1, {"self_terms": ()}, "at least one of each"),
        (CLAIMS_4_1, {"self_terms": ["mesured"]}, "did you mean 'measured'"),
    ],
)
def test_what_cannot_be_asked(claims, options, said):
    with pytest.raises(ValueError, match=said):
        check_claims(claims, synthetic([as_the_paper()]), **options)
    with pytest.raises(ValueError, match="no dim 'estimator'"):
        check_claims(CLAIMS_4_1, synthetic([as_the_paper()]).isel(estimator=0))


def test_one_self_term_alone():
    ds = synthetic([as_the_paper()])
    out = check_claims(CLAIMS_4_1, ds, self_terms=["one"])
    whole = check_claims(CLAIMS_4_1, ds)
    xr.testing.assert_identical(out.value, whole.value.sel(self_term=["one"]))
    assert list(claims_table(out, compact=True)) == ["claim", "biased, self term 1 (as the paper)"]


def test_a_number_without_seeds_counts_for_all_of_them():
    claim = Claim(
        id="A-0-x", paper="A", section="0", figure="", words="Words.", number="a number",
        measure=lambda ds, self_term: xr.DataArray(2.0), threshold=1.0, holds="below",
    )  # fmt: skip
    out = judge(*[as_the_paper()] * 2, claims=[claim])
    assert (out.value == 2).all() and set(out.verdict.values.ravel()) == {"not reproduced"}
    with pytest.raises(ValueError, match="threshold=inf"):
        Claim(**{**vars(claim), "threshold": math.inf})


def test_an_infinite_number_is_undefined():
    claim = Claim(
        id="A-0-x", paper="A", section="0", figure="", words="Words.", number="a number",
        measure=lambda ds, self_term: ds.stir_pt_pt.mean(["layer", "ref_layer"]) + math.inf,
        threshold=1.0,
    )  # fmt: skip
    out = judge(as_the_paper(), claims=[claim])
    validate(out)
    assert set(out.verdict.values.ravel()) == {"not testable here"}


# --- with an interval -----------------------------------------------------------------------------


def claim(measure, **needs) -> Claim:
    return Claim(
        id="A-0-x", paper="A", section="0", figure="", words="Words.", number="a number",
        measure=measure, threshold=0.5, needs=needs,
    )  # fmt: skip


def pretrained(ds, self_term):
    return diagonal(ds, "stir_pt_pt").mean("layer")


def test_the_interval_over_images_is_known():
    ds, images = of_means()
    out = check_claims([claim(pretrained, variables=("stir_pt_pt",))], ds).isel(claim=0)
    of_image = images["stir_pt_pt"].mean("layer")  # the number is its mean over images
    error = np.sqrt((of_image.std("left_out", ddof=1) ** 2 / N).sum("seed")) / SEEDS
    for term in ("measured", "one"):
        here = out.sel(self_term=term)
        np.testing.assert_allclose(here.value.isel(train_seed=0), of_image.mean("left_out"))
        middle = here.value.isel(train_seed=0).mean("seed").values
        np.testing.assert_allclose(here.value_mean, middle)
        np.testing.assert_allclose(here.images_low, middle - 1.96 * error)
        np.testing.assert_allclose(here.images_high, middle + 1.96 * error)


def test_every_claim_of_the_paper_is_computed_without_each_image():
    """Against whole ledgers, each of results that have an image less."""
    ds, _ = of_means()
    out = check_claims(CLAIMS_4_1, ds)
    names = [str(name) for name in ds if str(name).endswith("_jackknife")]
    ledgers = []
    for i in range(N):
        less = {name.replace("jackknife", "diagonal"): ds[name].sel(left_out=i) for name in names}
        ledgers.append(check_claims(CLAIMS_4_1, ds.drop_vars(names).assign(less)).value)
    theta = np.stack(ledgers)  # (left_out, claim, estimator, self_term, train_seed, seed)
    error = np.sqrt((theta.var(0) * (N - 1)).sum((-1, -2))) / SEEDS
    assert not out.value.isnull().any() and (error > 0).any((1, 2)).sum() > len(CLAIMS_4_1) - 2
    np.testing.assert_allclose(out.images_high - out.images_low, 2 * 1.96 * error, atol=1e-12)
    middle = (out.images_low + out.images_high) / 2
    np.testing.assert_allclose(middle, out.value_mean, atol=1e-12)


def test_a_single_training_decides_nothing():
    ds, _ = of_means()
    out = check_claims(CLAIMS_4_1, ds)
    assert (out.verdict == "undecided").all() and out.value_low.isnull().all()
    assert (check_claims(CLAIMS_4_1, trainings(ds)).verdict != "undecided").any()


def test_images_widen_the_interval_over_trainings():
    """Trainings that agree to the last digit are still measured on images that were drawn."""
    ds, _ = of_means()
    one = ds.isel(seed=[0])
    twins = xr.concat([one, one], xr.Variable("train_seed", [0, 1]))
    out = check_claims([claim(pretrained, variables=("stir_pt_pt",))], twins).isel(claim=0)
    # two twins have the error of the images alone, with Student's quantile of N - 1
    ratio = (out.value_high - out.value_low) / (out.images_high - out.images_low)
    np.testing.assert_allclose(ratio, stats.t.ppf(0.975, N - 1) / 1.96)


def test_claims_without_their_values_have_none_and_others_do():
    ds, _ = of_means()
    out = check_claims(CLAIMS_4_1, ds.drop_vars("cka_ft_pt_jackknife"))
    lost = [one.id for one in CLAIMS_4_1 if "cka_ft_pt" in one.needs["variables"]]
    assert 0 < len(lost) < len(CLAIMS_4_1)
    missing = out.images_low.isnull().all(["estimator", "self_term"])
    assert out.claim[missing].values.tolist() == lost
    assert out.images_low.notnull().sel(claim=~out.claim.isin(lost)).all()


def test_what_is_not_made_of_images_is_judged_by_trainings_alone():
    ds, _ = of_means()
    ds["test_accuracy"] = ("train_seed", [0.9, 0.91, 0.92])
    accuracy = claim(lambda ds, term: ds.test_accuracy, variables=("test_accuracy",))
    out = check_claims([accuracy], ds)
    assert (out.verdict == "reproduced").all() and out.images_low.isnull().all()
    low, high = stats.t.interval(0.95, 2, 0.91, stats.sem([0.9, 0.91, 0.92]))
    np.testing.assert_allclose([out.value_low[0, 0, 0], out.value_high[0, 0, 0]], [low, high])


def test_a_whole_matrix_that_is_not_stored():
    ds, _ = of_means()
    whole = claim(lambda ds, term: ds.stir_pt_pt.mean(["ref_layer", "layer"]),
                  variables=("stir_pt_pt",), matrices=("stir_pt_pt",))  # fmt: skip
    out = check_claims([whole], ds)
    assert out.reason.item() == "these results have no whole stir_pt_pt"


@pytest.mark.parametrize(
    ("holds", "spread", "verdict"),
    [
        ("within", 0.01, "reproduced"),
        ("within", 0.4, "undecided"),
        ("above", 0.01, "not reproduced"),
        ("below", 0.01, "reproduced"),
    ],
)
def test_a_claim_of_no_difference_has_a_margin(holds, spread, verdict):
    ds = xr.Dataset(
        {"test_accuracy": ("train_seed", [-spread, 0.0, spread])}, {"estimator": ["debiased"]}
    )
    one = claim(lambda ds, term: ds.test_accuracy, variables=("test_accuracy",))
    one = dataclasses.replace(one, threshold=0.3, holds=holds)
    assert set(check_claims([one], ds).verdict.values.ravel()) == {verdict}
    assert one.condition == {"within": "within ±0.3", "above": "> 0.3", "below": "< 0.3"}[holds]


@pytest.mark.parametrize("holds", ["above", "below", "within"])
def test_a_threshold_may_differ_between_columns(holds):
    """Each column is judged by its own, as if there were no other."""
    names = ["debiased", "biased"]
    numbers = xr.DataArray([0.2, 0.3, 0.4], dims="train_seed")
    ds = xr.Dataset({"test_accuracy": numbers.expand_dims(estimator=names)}, attrs=ATTRS)
    one = claim(lambda ds, term: ds.test_accuracy, variables=("test_accuracy",))
    by_column = {"debiased": {"measured": 0.9, "one": 0.3}, "biased": 0.01}
    out = check_claims([dataclasses.replace(one, threshold=by_column, holds=holds)], ds)
    validate(out)
    for estimator, term in COLUMNS.values():
        threshold = in_column(by_column, estimator, term)
        alone = check_claims([dataclasses.replace(one, threshold=threshold, holds=holds)], ds)
        at = dict(estimator=estimator, self_term=term)
        xr.testing.assert_equal(out.verdict.sel(at), alone.verdict.sel(at))
        assert out.threshold.sel(at).item() == threshold
    said = set(out.verdict.values.ravel())
    assert said == {"reproduced", "undecided", "not reproduced"}
    words = "0.9 (debiased, self term 1: 0.3; biased: 0.01)"
    (text,) = json.loads(out.attrs["claims"])
    assert text["condition"].endswith(words)
    assert words in claims_table(out)["holds when"].item()


def test_what_is_seen_of_a_correlation_is_that_beyond_the_threshold_of_the_column():
    r = xr.DataArray([0.4, 0.4], {"estimator": ["debiased", "biased"]}, ["estimator"])
    ds = xr.Dataset({"test_accuracy": r})
    by_column = {"debiased": 0.0, "biased": 0.3}
    one = claim(lambda ds, term: r.assign_coords(points=15), variables=("test_accuracy",))
    out = check_claims([dataclasses.replace(one, threshold=by_column)], ds)
    for estimator, threshold in by_column.items():
        seen = detectable_correlation(15, threshold=threshold) - threshold
        assert out.detectable.sel(estimator=estimator).values == pytest.approx(seen)


def test_a_similarity_without_a_threshold_has_no_verdict():
    """A margin that was measured for CKA says nothing of another similarity."""
    numbers = xr.DataArray([0.2, 0.21, 0.22], dims="train_seed")
    ds = xr.Dataset({"test_accuracy": numbers.expand_dims(estimator=["debiased", "procrustes"])})
    one = claim(lambda ds, term: ds.test_accuracy, variables=("test_accuracy",))
    one = dataclasses.replace(one, threshold={"debiased": 0.1, "biased": 0.1})
    out = check_claims([one], ds)
    said = out.verdict.isel(claim=0, self_term=0).to_series().to_dict()
    assert said == {"debiased": "reproduced", "procrustes": "not testable here"}
    assert out.reason.item() == "the threshold is known for biased and debiased CKA only"
    assert one.met(0.2, "debiased", "one") is True and one.met(0.2, "procrustes", "one") is None


def test_the_distance_left_is_that_of_the_models_inverted():
    ds, _ = of_means()
    ds["inversion_loss_pt"] = ds["inversion_loss_pt"] + 0.1 * ds["ref_layer"]
    for name, expected in [("stir_ft_pt", (0.3, 1.5)), ("stir_pt_ft", (0.3, 0.3))]:
        out = check_claims([claim(lambda ds, term: xr.DataArray(1.0), variables=(name,))], ds)
        np.testing.assert_allclose([out.distance_low[0], out.distance_high[0]], expected)
    out = check_claims([claim(lambda ds, term: xr.DataArray(1.0), variables=("cka_pt_pt",))], ds)
    assert out.distance_low.isnull().all()


def test_a_number_for_each_image_is_no_number():
    ds, _ = of_means()
    with pytest.raises(ValueError, match="a number for each of left_out"):
        check_claims([claim(lambda ds, term: ds.stir_pt_pt_jackknife.mean("layer"))], ds)
    with pytest.raises(ValueError, match="a number for each of layer"):
        check_claims([claim(lambda ds, term: ds.stir_pt_pt_diagonal)], ds)
