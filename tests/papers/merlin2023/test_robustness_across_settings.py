"""Across settings: a planted relation is found, and one through clean accuracy alone is none."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.special import expit, logit
from scipy.stats import t as student

from invlib.results.netcdf import open_results
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import check_claims
from papers.claims.correlation import fisher_interval, pearson
from papers.claims.settings import settings
from papers.merlin2023.claims.robustness_across_settings import (
    by_setting,
    correlation,
    effective_robustness,
    interval_by_pair,
    reliability,
    without_pairs,
)
from papers.merlin2023.robustness_across_settings import RobustnessAcrossSettings
from papers.merlin2023.work.robustness_across_settings import dots, findings
from papers.parameters import ParameterError, load_scale
from papers.sections import SECTIONS
from tests.synthetic import LAYERS, comparison, everywhere, reasons, verdicts

NAMES = [
    f"sgd:{lr}:{how}" for lr in (0.1, 0.2, 0.3, 0.4, 0.5) for how in ("merlin", "crop", "none")
]
CLEAN = np.linspace(0.6, 0.95, 15)
ANGLES = 2 * np.pi * np.arange(15) / 15
# neither goes with clean accuracy, nor with the other
OWN = np.cos(4 * ANGLES) - np.polyval(np.polyfit(CLEAN, np.cos(4 * ANGLES), 1), CLEAN)
NOISE = np.sin(4 * ANGLES) - np.polyval(np.polyfit(CLEAN, np.sin(4 * ANGLES), 1), CLEAN)


def results(spread: np.ndarray, corrupted: np.ndarray, names: list[str] = NAMES) -> xr.Dataset:
    """Settings in three trainings, with that spread of forgetting, and a mean that goes with it."""
    grid = {"setting": names, "train_seed": range(3)}
    alternating = xr.DataArray(np.where(LAYERS % 2, 1, -1), {"layer": LAYERS}, ["layer"])

    def of_setting(values: np.ndarray) -> xr.DataArray:
        return xr.DataArray(values, {"setting": names}, ["setting"])

    between = xr.DataArray([-1.0, 0.0, 1.0], {"train_seed": range(3)}, ["train_seed"])
    lost = 0.3 + 0.1 * of_setting(spread) + (0.2 + 0.05 * of_setting(spread)) * alternating
    severity = xr.DataArray(np.ones(5), {"severity": range(1, 6)}, ["severity"])
    accuracy = of_setting(corrupted) * severity + 0.01 * between
    half = xr.DataArray([-0.01, 0.01], {"half": [0, 1]}, ["half"])
    made = {
        "stir_ft_pt_diagonal": everywhere(1 - lost),
        "stir_pt_pt_diagonal": everywhere(1.0 + 0 * alternating),
    }
    made |= {"corrupted_accuracy": accuracy, "half_accuracy": accuracy + half}
    made |= {"test_accuracy": of_setting(CLEAN[: len(names)]) + 0.0 * between}
    assert set(grid) <= set(xr.Dataset(made).dims)
    return comparison(made).assign_coords(dataset="cifar10").assign_attrs(kind="settings")


def line(extra: np.ndarray) -> np.ndarray:
    """Corrupted accuracy that follows clean accuracy on the logit scale, and `extra`."""
    return expit(0.8 * logit(CLEAN) - 1 + extra)


# A relation of its own, one through clean accuracy alone, and none at all.
PLANTED = results(OWN, line(0.5 * OWN + 0.1 * NOISE))
THROUGH_CLEAN = results(4 * (CLEAN - 0.8) + 0.3 * OWN, line(0.3 * NOISE))


def as_the_paper() -> xr.Dataset:
    """Forgetting tells clean accuracy, and robustness beyond it."""
    return results(OWN + 3 * (CLEAN - 0.8), line(0.5 * OWN + 0.05 * NOISE))


def found(ds: xr.Dataset, quantity: str = "spread") -> dict[str, float]:
    means = by_setting(ds.sel(estimator="debiased"))
    kinds = ("corrupted", "given clean", "effective")
    return {kind: float(correlation(means, quantity, kind)) for kind in kinds}


def judged(ds: xr.Dataset) -> dict[str, str]:
    said = verdicts(CLAIMS["robustness_across_settings"], ds)
    return {id.removeprefix("A-4.4-settings-"): verdict for id, verdict in said.items()}


def test_a_planted_relation_is_found():
    r = found(PLANTED)
    assert r["given clean"] > 0.9 and r["effective"] > 0.9
    said = judged(PLANTED)
    assert said["spread-beyond-clean-accuracy"] == "reproduced"
    assert said["spread-effective-robustness"] == "reproduced"
    assert said["clean-goes-with-robustness"] == "reproduced"
    assert findings(PLANTED)[-1].endswith("tells something that clean accuracy does not.")


def test_all_claims_hold_on_what_the_paper_says():
    assert set(judged(as_the_paper()).values()) == {"reproduced"} and len(judged(PLANTED)) == 7


def test_a_relation_through_clean_accuracy_alone_is_none_beyond_it():
    r = found(THROUGH_CLEAN)
    assert r["corrupted"] > 0.6
    assert abs(r["given clean"]) < 0.15 and abs(r["effective"]) < 0.15
    said = judged(THROUGH_CLEAN)
    assert said["spread-goes-with-robustness"] == "reproduced"
    assert said["spread-beyond-clean-accuracy"] == "undecided"
    assert said["spread-effective-robustness"] == "undecided"
    assert "nothing beyond clean accuracy is seen" in findings(THROUGH_CLEAN)[-1]


def test_the_opposite_is_not_reproduced():
    ds = results(-OWN, line(0.5 * OWN + 0.1 * NOISE))
    assert judged(ds)["spread-beyond-clean-accuracy"] == "not reproduced"
    assert "the opposite" in findings(ds)[-1]
    nothing = results(OWN, line(0.3 * NOISE))
    assert "nothing that 15 settings can show" in findings(nothing)[-1]


def test_the_partial_correlation_is_that_of_residuals():
    means = by_setting(THROUGH_CLEAN.sel(estimator="debiased"))

    def residual(y: np.ndarray) -> np.ndarray:
        return y - np.polyval(np.polyfit(CLEAN, y, 1), CLEAN)

    want = np.corrcoef(residual(means["spread"].values), residual(means["corrupted"].values))[0, 1]
    assert found(THROUGH_CLEAN)["given clean"] == pytest.approx(want)


def test_effective_robustness_is_measured_from_a_line_through_the_others():
    rng = np.random.default_rng(0)
    clean, corrupted = rng.uniform(0.5, 0.95, 8), rng.uniform(0.2, 0.8, 8)
    got = effective_robustness(clean, corrupted)
    for i in range(8):
        other = np.arange(8) != i
        fit = np.polyfit(logit(clean[other]), logit(corrupted[other]), 1)
        assert got[i] == pytest.approx(logit(corrupted[i]) - np.polyval(fit, logit(clean[i])))
    assert np.isnan(effective_robustness([0.5] * 4, [0.1, 0.2, 0.3, 0.4])).all()
    assert np.isfinite(effective_robustness([0.5, 0.7, 1.0], [0.0, 0.2, 0.3])).all()


def test_the_noise_ceiling_is_that_of_planted_noise():
    rng = np.random.default_rng(0)
    truth = rng.normal(0.5, 0.1, 20_000)  # variance 0.01, and as much noise in each half
    halves = truth + rng.normal(0, 0.1, (2, truth.size))
    ds = xr.Dataset({"half_accuracy": (("half", "severity", "setting"), halves[:, None])})
    assert reliability(ds) == pytest.approx(2 / 3, abs=0.01)  # of the mean of both halves


def test_the_interval_has_the_setting_as_its_unit():
    ledger = check_claims(CLAIMS["robustness_across_settings"], THROUGH_CLEAN)
    one = ledger.sel(estimator="debiased", self_term="measured")
    plain, partial = one.isel(claim=0), one.isel(claim=1)
    half = 1.959964 / np.sqrt(15 - 3)
    assert float(plain["value_low"]) == pytest.approx(
        np.tanh(np.arctanh(float(plain["value_mean"])) - half)
    )
    assert float(plain["detectable"]) == pytest.approx(0.65, abs=0.005)
    assert float(partial["detectable"]) == pytest.approx(0.67, abs=0.005)  # a point less
    fewer = THROUGH_CLEAN.sel(train_seed=[1])  # nor does the interval need several trainings
    again = check_claims(CLAIMS["robustness_across_settings"], fewer).isel(claim=0)
    assert float(
        again["value_low"].sel(estimator="debiased", self_term="measured")
    ) == pytest.approx(float(plain["value_low"]))


def test_dots_of_one_learning_rate_share_a_colour():
    panels = dots({"a": PLANTED, "b": PLANTED.isel(setting=[0, 1, 14])})
    first, last = (list(row.values())[0] for row in panels)
    assert dict(first.sizes) == {"setting": 5, "train_seed": 3}
    x = first["clean accuracy"].values
    np.testing.assert_allclose(np.sort(x.ravel()), CLEAN)
    assert int(last["clean accuracy"].notnull().sum()) == 3
    assert float(last["clean accuracy"].sel(setting="sgd:0.5", train_seed=0)) == pytest.approx(0.95)


def test_three_settings_say_nothing():
    few = results(OWN[:3], CLEAN[:3], NAMES[:3])
    assert all(np.isnan(r) for r in found(few).values())
    said = findings(few)
    assert len(said) == 2 and "3 settings say nothing" in said[-1]
    assert "With 15 settings, four tests of five find a true correlation of 0.65" in said[-1]
    why = reasons(CLAIMS["robustness_across_settings"], few)
    assert set(why.values()) == {"settings in these results: 3, the claim needs 15"}


def test_trainings_are_shared_with_other_pages():
    laptop, robustness = RobustnessAcrossSettings(), SECTIONS["robustness"]()
    assert list(laptop.trainings().values()) == list(robustness.runs().values())
    parameters = load_scale("cifar", "notebooks/scales/overrides/cpu_questions.yaml")
    runs = RobustnessAcrossSettings.from_parameters(parameters).trainings()
    pool = SECTIONS["adversarial_robustness"].from_parameters(parameters).trainings()
    shared = [key for key in pool if key in runs]
    assert len(runs) == 15 and len(shared) == 4
    assert all(runs[key] == pool[key] for key in shared)
    assert laptop.own_trainings and not laptop.to_invert()
    section = RobustnessAcrossSettings.from_parameters(parameters)
    assert not section.own_trainings and len(section.to_invert()) == len(section.seeds)
    (run, *_) = runs.values()
    assert (run.n_train, run.epochs) == (2000, 8)
    paper = load_scale("paper")
    paper_runs = RobustnessAcrossSettings.from_parameters(paper).trainings().values()
    assert set(SECTIONS["robustness"].from_parameters(paper).runs().values()) <= set(paper_runs)


def test_what_is_refused():
    with pytest.raises(ParameterError, match="is not optimiser:learning rate"):
        RobustnessAcrossSettings.from_parameters({"many_settings": ["sgd"]})
    with pytest.raises(ParameterError, match="many_corrupted_n=20"):
        RobustnessAcrossSettings.from_parameters({"many_corrupted_n": 20})


def test_the_section_at_toy_size(tmp_path, monkeypatch):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    section = RobustnessAcrossSettings.from_parameters(
        load_scale("smoke") | {"seeds": [0], "many_train_seeds": [0, 1]}
    )
    ds = section.dataset()
    xr.testing.assert_identical(ds, open_results(section.output))
    assert dict(ds["half_accuracy"].sizes) == {
        "setting": 3,
        "train_seed": 2,
        "half": 2,
        "severity": 5,
    }
    np.testing.assert_allclose(ds["half_accuracy"].mean("half"), ds["corrupted_accuracy"])
    ((_, part),) = settings(ds)
    assert len(findings(part)) == 2 and "with 2 trainings each" in findings(part)[0]
    table = section.work.table(ds)
    assert list(table.columns) == ["spread", "forgetting", "clean", "corrupted", "effective"]
    assert list(table.index) == ds["setting"].values.tolist()


def test_an_interval_by_pairs_does_not_take_repeats_for_new_points():
    rng = np.random.default_rng(0)
    x, y = (np.repeat(rng.normal(size=5), 3) for _ in range(2))  # three copies of five points
    means = xr.Dataset({"spread": ("setting", x), "corrupted": ("setting", y)})
    pairs = np.repeat(np.arange(5), 3)
    without = [means.isel(setting=pairs != pair) for pair in range(5)]
    low, high = interval_by_pair(means, without, "spread", "corrupted")
    once = means.isel(setting=slice(None, None, 3))
    z = np.arctanh([pearson(*(part[k] for k in ("spread", "corrupted"))) for part in
                    (once, *(once.isel(setting=np.arange(5) != i) for i in range(5)))])  # fmt: skip
    half = student.ppf(0.975, 4) * np.sqrt(4 / 5 * ((z[1:] - z[1:].mean()) ** 2).sum())
    np.testing.assert_allclose([low, high], np.tanh([z[0] - half, z[0] + half]))
    wide = fisher_interval(float(np.tanh(z[0])), 15)
    assert high - low > wide[1] - wide[0]


def test_pairs_are_left_out_one_by_one_and_too_few_have_no_interval():
    without = without_pairs(PLANTED.sel(estimator="debiased"))
    assert [part.sizes["setting"] for part in without] == [12] * 5
    assert all(not set(NAMES[3 * i : 3 * i + 3]) & set(part["setting"].values)
               for i, part in enumerate(without))  # fmt: skip
    means = by_setting(PLANTED.sel(estimator="debiased"))
    assert np.isnan(interval_by_pair(means, without[:2], "spread", "corrupted")).all()
