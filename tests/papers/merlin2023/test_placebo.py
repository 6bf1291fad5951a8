"""The placebo: which trainings are compared, and margins that come from the results."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from invlib.results.netcdf import open_results
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.columns import COLUMNS, in_column, in_words
from papers.claims.data import paper_of
from papers.merlin2023.placebo import Placebo
from papers.merlin2023.work.placebo import (
    MARGIN,
    MARGINS,
    curves,
    greatest_between_twins,
    rounded_up,
    table,
)
from papers.parameters import ParameterError, load_scale
from papers.sections import SECTIONS

OVERRIDE = "notebooks/scales/overrides/cpu_trainings.yaml"
BY_ID = {claim.id: claim for claims in CLAIMS.values() for claim in claims}


def reference():
    return open_results(Placebo().reference)


def test_two_trainings_are_one_pair():
    assert Placebo().pairs() == [(0, 1)]


def test_a_single_training_has_no_twin():
    with pytest.raises(ParameterError, match="placebo_seeds"):
        Placebo.from_parameters({"placebo_seeds": [0]})


def test_the_trainings_are_those_of_section_4_1():
    theirs = SECTIONS["finetuning_task"].from_parameters(load_scale("cifar", OVERRIDE)).runs()
    mine = Placebo.from_parameters(load_scale("cifar", OVERRIDE))
    assert set(mine.runs().values()) == set(theirs.values())
    assert len(mine.to_invert()) == 10 * len(mine.seeds)


def test_the_margins_of_the_claims_are_those_of_the_reference_results():
    """In every column of the ledger, by one rule."""
    largest = greatest_between_twins(reference())
    for name, ids in MARGINS.items():
        for estimator, term in COLUMNS.values():
            value = float(largest[name].sel(estimator=estimator, self_term=term))
            margins = {in_column(BY_ID[id].threshold, estimator, term) for id in ids}
            assert margins == {rounded_up(value)}, (name, estimator, term)


def test_the_margins_that_were_there_before_are_the_same():
    """Debiased, with the measured self term: committed before the comparisons with the start."""
    before = dict(placebo_trend=0.021, placebo_level=0.073, placebo_cka=0.014, placebo_flow=0.051)
    for name, ids in MARGINS.items():
        assert in_column(BY_ID[ids[0]].threshold, *COLUMNS["debiased"]) == before[name]


def test_a_level_that_a_curve_crosses_is_the_margin():
    """It is an argument of its measure, and the claim's words have it, with all columns."""
    level = BY_ID[MARGINS["placebo_level"][0]].threshold
    (data,) = (one for one in paper_of("finetuning_task").claims["finetuning_task"]
               if one.id == "A-4.1-forgetting-rises-earlier-by-level")  # fmt: skip
    assert data.arguments["value"] == level
    assert f"lies by {in_words(level)} above its minimum" in data.number


def test_a_larger_difference_of_one_pair_is_a_larger_margin():
    ds = reference().load()
    before = greatest_between_twins(ds)
    ds["stir_ft_pt"].loc[dict(train_seed=3)] -= 0.2
    after = greatest_between_twins(ds)
    assert (after["placebo_level"] > before["placebo_level"]).all()
    xr.testing.assert_equal(after["placebo_cka"], before["placebo_cka"])


def test_the_table_has_every_claim_beside_its_margin():
    shown = table(reference())
    assert list(shown) == list(COLUMNS)
    rows = [id for ids in MARGINS.values() for id in [*ids, MARGIN]]
    assert [claim for _, claim in shown.index] == rows
    for _, of_margin in shown.groupby(level=0, sort=False):
        *claims, margin = of_margin.to_numpy()
        assert (np.array(claims) <= margin).all() and not np.isnan(claims).any()
        assert (margin - np.max(claims, axis=0) < 0.0011).all()  # both are rounded


def test_curves_stand_beside_those_against_the_start():
    tuned = open_results(SECTIONS["finetuning_task"]().reference)
    rows = curves({"reference": reference()}, {"reference": tuned})
    assert list(rows) == ["reference, classification", "reference, reconstruction"]
    start, twin = rows["reference, classification"]["learning"].mean("seed")
    assert float(start[-1]) > 2 * float(twin[-1]) > 0  # as the figure shows
