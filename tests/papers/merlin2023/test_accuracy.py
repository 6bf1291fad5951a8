"""Table 1: each claim can hold, can fail and can be untestable, data set by data set."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from invlib.data.downloads import OFFICIAL
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.data import paper_of, reported
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
