"""Table 1: each claim can hold, can fail and can be untestable, data set by data set."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from invlib.data.downloads import OFFICIAL
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.data import paper_of, reported
from papers.claims.settings import settings
from papers.merlin2023.accuracy import Accuracy
from papers.merlin2023.work.accuracy import correlations
from papers.merlin2023.work.accuracy import table as table_1
from papers.parameters import load_scale
from tests.synthetic import UNTESTABLE, everywhere, reasons, stamped, verdicts

SHOWN = paper_of("accuracy").datasets["accuracy"]
TABLE = CLAIMS["accuracy"]
REPORTED = reported("A")["test_accuracy"]
BEFORE = reported("A")["pretraining_accuracy"]


def table(dataset: str, **changes: float) -> xr.Dataset:
    """One data set's part of Table 1, with the holes that other data sets make in it."""
    accuracy = {start: of.get(dataset, np.nan) for start, of in REPORTED.items()} | changes
    before = {start: BEFORE.get(start, np.nan) for start in accuracy}
    grid = {"pretraining": list(accuracy)}
    ds = xr.Dataset(
        {
            "test_accuracy": ("pretraining", list(accuracy.values())),
            "pretraining_accuracy": ("pretraining", list(before.values())),
            "layer_correlation": everywhere(xr.DataArray([0.9], {"self_term": ["one"]})),
        },
        grid | {"dataset": dataset},
    )
    return stamped(ds, "accuracy")


IN_TABLE = {
    "A-B-accuracy-imagenet",
    "A-B-accuracy-cifar",
    "A-B-accuracy-scratch",
    "A-B-accuracy-pretraining-cifar",
}
IN_TABLE |= {"A-B-accuracy-cifar-above-imagenet", "A-B-accuracy-scratch-above-imagenet"}


@pytest.mark.parametrize("dataset", SHOWN)
def test_the_papers_own_table_is_reproduced(dataset):
    """The paper's claims of each data set: six of the two that it pretrains on, one of the rest."""
    of_cifar = dataset.startswith("cifar")
    holds = IN_TABLE if of_cifar else {"A-B-accuracy-imagenet"}
    why = "" if of_cifar else "the paper says this of cifar10, cifar100 only"
    found, said = verdicts(TABLE, table(dataset)), reasons(TABLE, table(dataset))
    assert set(found) == IN_TABLE
    for id in IN_TABLE:
        assert (found[id], said[id]) == (("reproduced", "") if id in holds else (UNTESTABLE, why))


@pytest.mark.parametrize(
    ("changes", "fall"),
    [
        (dict(imagenet=0.94), {"A-B-accuracy-imagenet"}),
        (dict(cifar100=0.96), {"A-B-accuracy-cifar", "A-B-accuracy-cifar-above-imagenet"}),
        (dict(none=0.95), {"A-B-accuracy-scratch", "A-B-accuracy-scratch-above-imagenet"}),
        (dict(imagenet=0.985), {"A-B-accuracy-scratch-above-imagenet"}),
        (dict(imagenet=0.96, cifar100=0.975, none=0.965), set()),  # a little below is as good
    ],
)
def test_a_row_that_is_not_reached(changes, fall):
    found = verdicts(TABLE, table("cifar10", **changes))
    assert {id for id, verdict in found.items() if verdict == "not reproduced"} == fall


def test_a_pretraining_that_got_nowhere():
    ds = table("cifar10")
    ds["pretraining_accuracy"].loc[dict(pretraining="cifar100")] = 0.5
    found = verdicts(TABLE, ds)
    assert {id for id, verdict in found.items() if verdict == "not reproduced"} == {
        "A-B-accuracy-pretraining-cifar"
    }


def test_rows_that_were_not_trained():
    why = reasons(TABLE, table("cifar10", none=np.nan))
    assert why["A-B-accuracy-scratch"] == "these results have no pretraining none"
    assert why["A-B-accuracy-scratch-above-imagenet"] == "these results have no pretraining none"
    assert why["A-B-accuracy-cifar-above-imagenet"] == ""
    of_digits = reasons(TABLE, table("cifar10").assign_coords(dataset="digits"))
    assert of_digits["A-B-accuracy-imagenet"] == (
        "the paper says this of cifar10, cifar100, eurosat, oxford_pets only"
    )


def test_every_data_set_of_the_paper_is_called_as_the_library_calls_it():
    """A value under another name would never be compared with anything."""
    named = {dataset for claim in TABLE for dataset in claim.paper_value}
    assert named == set(SHOWN) <= set(OFFICIAL)


# --- several trainings ----------------------------------------------------------------------------


def test_each_training_has_its_accuracy_and_its_correlation(tmp_path, monkeypatch):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    few = {"seeds": [0], "train_seeds": [0, 1], "datasets": ["digits", "shapes"]}
    section = Accuracy.from_parameters(load_scale("smoke") | few)
    assert list(section.runs())[-2:] == [
        "shapes from shapes, seed 0",
        "shapes from shapes, seed 1",
    ]
    first, second = list(section.runs().values())[-2:]
    assert (first.parent.seed, second.parent.seed) == (0, 1)
    ds = section.dataset()
    assert ds["test_accuracy"].dims == ("dataset", "pretraining", "train_seed")
    assert "train_seed" in ds["layer_correlation"].dims
    made = table_1(ds, {})
    assert made.index.tolist() == ["shapes → digits", "shapes → shapes", "none → digits"]
    assert (made["trainings"] == 2).all() and made["±"].notnull().all()
    ours = ds["test_accuracy"].sel(dataset="digits", pretraining="none")
    assert made.loc["none → digits", "accuracy"] == pytest.approx(float(ours.mean()))
    found = correlations(ds)
    assert set(found.index) == {("digits", "none"), ("digits", "shapes")}
    assert {len(part["train_seed"]) for _, part in settings(ds)} == {2}


def test_the_table_has_the_mean_and_interval_of_the_trainings_that_there_are():
    accuracy = xr.DataArray(
        [[[0.5, 0.6, 0.7]], [[0.9, 0.8, np.nan]]],
        {"dataset": ["cifar10", "eurosat"], "pretraining": ["imagenet"], "train_seed": range(3)},
    )
    ds = xr.Dataset({"test_accuracy": accuracy, "pretraining_accuracy": accuracy * np.nan})
    made = table_1(ds, REPORTED)
    assert made["accuracy"].tolist() == pytest.approx([0.6, 0.85])
    assert made["trainings"].tolist() == [3, 2]
    assert made["±"].tolist() == pytest.approx([4.303 * 0.1 / 3**0.5, 12.706 * 0.05], rel=1e-3)
    assert made["the paper's"].tolist() == [
        REPORTED["imagenet"][name] for name in ("cifar10", "eurosat")
    ]
    one = table_1(ds.isel(train_seed=0, drop=True), REPORTED)
    assert one["accuracy"].tolist() == [0.5, 0.9] and one["±"].isnull().all()
