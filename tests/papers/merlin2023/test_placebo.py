"""The placebo: which trainings are compared, and margins that come from the results."""

from __future__ import annotations

import pytest

from invlib.results.netcdf import open_results
from papers.merlin2023.placebo import Placebo
from papers.merlin2023.work.placebo import (
    MARGINS,
    curves,
    greatest_between_twins,
    rounded_up,
    table,
)
from papers.parameters import ParameterError, load_scale
from papers.sections import SECTIONS

OVERRIDE = "notebooks/scales/overrides/cpu_trainings.yaml"


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
    largest = greatest_between_twins(reference())
    margins = table({})["margin"].groupby(level=0)
    assert (margins.nunique() == 1).all()  # a margin is one number, whatever the claim
    wanted = {name.removeprefix("placebo_"): rounded_up(value) for name, value in largest.items()}
    assert margins.first().to_dict() == wanted


def test_a_larger_difference_of_one_pair_is_a_larger_margin():
    ds = reference().load()
    before = greatest_between_twins(ds)
    ds["stir_ft_pt"].loc[dict(train_seed=3)] -= 0.2
    after = greatest_between_twins(ds)
    assert after["placebo_level"] > before["placebo_level"]
    assert after["placebo_cka"] == before["placebo_cka"]


def test_the_table_has_every_claim_beside_its_margin():
    shown = table({"reference": reference()})
    assert [claim for _, claim in shown.index] == [id for ids in MARGINS.values() for id in ids]
    assert (shown["twins, reference"] <= shown["margin"]).all()


def test_curves_stand_beside_those_against_the_start():
    tuned = open_results(SECTIONS["finetuning_task"]().reference)
    rows = curves({"reference": reference()}, {"reference": tuned})
    assert list(rows) == ["reference, classification", "reference, reconstruction"]
    start, twin = rows["reference, classification"]["learning"].mean("seed")
    assert float(start[-1]) > 2 * float(twin[-1]) > 0  # as the figure shows
