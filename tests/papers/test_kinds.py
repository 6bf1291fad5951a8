"""The papers' own kinds of results: their tables agree, and each has a valid example."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from invlib.results.netcdf import open_results, save_results
from invlib.results.schema import COORDS, KINDS, STACKING
from invlib.results.validation import conform
from papers import kinds
from tests.invlib.results.datasets import ATTRS, assert_agrees, refused


def small(kind: str) -> xr.Dataset:
    """A valid Dataset of one of the kinds that have few obligations."""
    verdict = ("claim", ["reproduced", "not testable here"])
    variables = {
        "robustness": ({"corrupted_accuracy": ("severity", [0.9, 0.5])}, {"severity": [0, 5]}),
        "claims": (
            {"verdict": verdict, "value": ("claim", [0.3, np.nan])},
            {"claim": ["a1", "a2"]},
        ),
    }[kind]
    return xr.Dataset(*variables, attrs=ATTRS | {"kind": kind})


def test_the_tables_agree_with_themselves():
    assert kinds and {"claims", "drift", "lens", "tasks"} < set(KINDS)
    for kind in KINDS.values():
        assert_agrees(kind)
    assert set(STACKING) <= set(COORDS)


@pytest.mark.parametrize("kind", ["robustness", "claims"])
def test_each_kind_has_a_valid_example(kind, tmp_path):
    path = save_results(small(kind), tmp_path / f"{kind}.nc")
    xr.testing.assert_identical(open_results(path), conform(small(kind)))


def test_a_verdict_is_one_of_four_words():
    ds = small("claims").assign(verdict=("claim", ["undecided", "true"]))
    assert "verdict='true' is not one of 'reproduced', 'not reproduced', 'undecided'" in refused(ds)
