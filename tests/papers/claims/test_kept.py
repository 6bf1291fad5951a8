"""A ledger that was computed before is found again, and no other one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from invlib.paths import results_root
from invlib.results.netcdf import open_results
from papers.across.work.claims_ledger import CLAIMS
from papers.claims import kept
from papers.claims.claim import check_claims

SECTION = "robustness_across_settings"


@pytest.fixture
def results():
    return open_results(results_root("cifar") / f"{SECTION}.nc")


@pytest.fixture
def computed(tmp_path, monkeypatch):
    """How often ledgers were computed; they are kept in a place of this test."""
    times = []
    monkeypatch.setattr(kept, "runs_root", tmp_path.joinpath)
    judge = lambda *arguments: times.append(1) or check_claims(*arguments)  # noqa: E731
    monkeypatch.setattr(kept, "check_claims", judge)
    return times


def test_a_ledger_is_computed_once_and_is_the_same(results, computed):
    first, again = (kept.kept_ledger(CLAIMS[SECTION], results) for _ in range(2))
    assert len(computed) == 1
    xr.testing.assert_identical(first, again)
    wanted = check_claims(CLAIMS[SECTION], results)
    assert set(again.variables) == set(wanted.variables) and again.attrs == wanted.attrs
    for name, variable in wanted.variables.items():
        np.testing.assert_array_equal(again[name].values, variable.values)


def test_another_number_or_threshold_or_code_is_judged_anew(results, computed, monkeypatch):
    claims = CLAIMS[SECTION]
    kept.kept_ledger(claims, results)
    accuracy = results["test_accuracy"].copy(deep=True)
    accuracy[{dim: 0 for dim in accuracy.dims}] += 1e-6
    kept.kept_ledger(claims, results.assign(test_accuracy=accuracy))
    other = replace(claims[0], threshold=claims[0].threshold + 0.01)
    kept.kept_ledger([other, *claims[1:]], results)
    assert len(computed) == 3
    monkeypatch.setattr(kept, "code_digest", lambda: "another commit")
    kept.kept_ledger(claims, results)
    assert len(computed) == 4


def test_a_damaged_ledger_is_made_again(results, computed, tmp_path):
    first = kept.kept_ledger(CLAIMS[SECTION], results)
    (file,) = tmp_path.glob("ledgers/*.nc")
    file.write_bytes(file.read_bytes()[:-100])
    xr.testing.assert_identical(kept.kept_ledger(CLAIMS[SECTION], results), first)
    assert len(computed) == 2


def test_a_table_of_answers_is_computed_once_and_is_the_same(results, monkeypatch, tmp_path):
    monkeypatch.setattr(kept, "runs_root", tmp_path.joinpath)
    times = []

    def answers(ds, claims):
        times.append(len(ds))
        met = [[np.bool_(True), None, False]] * len(claims)
        table = pd.DataFrame(met, [one.id for one in claims], ["a", "b", "b"], dtype=object)
        return table.rename_axis("claim")

    first, again = (kept.kept_table(answers, results, CLAIMS[SECTION]) for _ in range(2))
    assert len(times) == 1
    pd.testing.assert_frame_equal(first, again)
    (file,) = tmp_path.glob("ledgers/*.json")
    file.write_text(file.read_text()[:-9])
    pd.testing.assert_frame_equal(kept.kept_table(answers, results, CLAIMS[SECTION]), first)
    kept.kept_table(answers, results, CLAIMS[SECTION][1:])
    assert len(times) == 3


def test_results_without_an_origin_are_judged_and_not_kept(computed, tmp_path):
    nothing = xr.Dataset(coords={"estimator": ["biased", "debiased"]})
    assert kept.kept_ledger(CLAIMS[SECTION], nothing)["claim"].size == len(CLAIMS[SECTION])
    assert not list(tmp_path.glob("ledgers/*.nc"))
