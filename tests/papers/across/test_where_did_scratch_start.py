"""What "from scratch" started from: predictions that can come out and fail under each reading."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from invlib import forgetting
from papers.across.claims.where_did_scratch_start import printed
from papers.across.where_did_scratch_start import PLAIN, READINGS, REPOSITORY, WhereDidScratchStart
from papers.across.work.claims_ledger import CLAIMS
from papers.across.work.where_did_scratch_start import (
    STARTED,
    accuracies,
    by_reading,
    distances,
    findings,
    neither,
    orders,
    plan,
    score,
    tables,
)
from papers.claims.data import paper_of
from papers.parameters import ParameterError, load_scale
from papers.sections import SECTIONS
from tests.papers.merlin2023 import test_pretraining_dataset as pretraining
from tests.synthetic import stamped, verdicts

CLAIMED = paper_of("where_did_scratch_start").claims["where_did_scratch_start"]
BY_READING = {reading: [c for c in CLAIMED if c.arguments["reading"] == reading] for reading in
              READINGS}  # fmt: skip
CPU_QUESTIONS = load_scale("cifar", "notebooks/scales/overrides/cpu_questions.yaml")
TABLE = {"imagenet": 0.97, "cifar100": 0.99, "none": 0.98}  # of the paper, on CIFAR-10
ELSEWHERE = {"imagenet": 0.86, "cifar100": np.nan, "none": 0.92}  # and on CIFAR-100


def as_printed(accuracy: dict = TABLE, elsewhere: dict = ELSEWHERE, **curves: dict) -> xr.Dataset:
    """The paper's numbers in three trainings, some of them changed."""
    ds = pretraining.results(**curves).sel(pretraining=list(accuracy))
    grid = {"pretraining": ds["pretraining"].values, "train_seed": ds["train_seed"].values}
    for name, of in {"test_accuracy": accuracy, "other_accuracy": elsewhere}.items():
        values = [[of[start]] * 3 for start in grid["pretraining"]]
        ds[name] = xr.DataArray(values, grid, list(grid))
    return ds


def results(plain: xr.Dataset, repository: xr.Dataset) -> xr.Dataset:
    """Both readings in one Dataset, as the section writes it."""
    both = xr.Variable("reading", list(READINGS))
    return stamped(xr.concat([plain, repository], both, data_vars="all"), "readings")


# For every order one thing that refutes it, as the test of the paper's own claims has it.
REFUTED = {
    f"Q-6-{name}": pretraining.REFUTED[claim][0]
    for name, claim in {
        c.id.removesuffix("-plain").removeprefix("Q-6-"): c.arguments["claim"]
        for c in BY_READING[PLAIN]
    }.items()
    if claim in pretraining.REFUTED
} | {
    "Q-6-scratch-accuracy": dict(accuracy=TABLE | {"none": 0.38}),
    "Q-6-scratch-accuracy-elsewhere": dict(elsewhere=ELSEWHERE | {"none": 0.10}),
    "Q-6-cifar-accuracy": dict(accuracy=TABLE | {"cifar100": 0.37}),
}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """What the page says where both readings give the paper's numbers."""
    return orders(results(as_printed(), as_printed()))


def test_where_the_numbers_are_the_papers_every_order_comes_out(table):
    assert set(table.index) == set(REFUTED) and len(table) == 17
    for reading in READINGS:
        assert set(table[f"{reading}, found"]) == {"comes out"}
    expected = {r: sum(c.holds == "above" for c in BY_READING[r]) for r in READINGS}
    counted = score(table)
    for reading in READINGS:
        row = counted.loc[STARTED[reading]]
        assert (row["comes out"], row["predicted so"]) == (17, expected[reading])
        assert row["predicted otherwise"] == 17 - expected[reading] > 0
    assert expected[REPOSITORY] > expected[PLAIN]


@pytest.mark.parametrize("order", REFUTED)
def test_an_order_fails_under_the_one_reading_that_contradicts_it(order):
    """Its prediction then fails or holds, as the reading has it; under the other it is as before.

    So every prediction can hold and can fail.
    """
    claims = [c for c in CLAIMS["where_did_scratch_start"] if c.id.rpartition("-")[0] == order]
    refuted, right = as_printed(**REFUTED[order]), as_printed()
    for at, reading in enumerate(READINGS):
        both = [right, right]
        both[at] = refuted
        for claim in claims:
            said = verdicts([claim], results(*both))[claim.id]
            comes_out = not claim.id.endswith(f"-{reading}")
            assert (said == "reproduced") == (comes_out == (claim.holds == "above"))
            assert said != "undecided"


def test_trainings_that_disagree_and_a_single_one_decide_nothing():
    yes, no = as_printed(), as_printed(**REFUTED["Q-6-scratch-accuracy"])
    mixed = xr.concat(
        [yes.isel(train_seed=[0]), no.isel(train_seed=[1])], "train_seed", data_vars="minimal"
    )
    row = orders(results(mixed, yes.isel(train_seed=[0, 1]))).loc["Q-6-scratch-accuracy"]
    assert row[f"{PLAIN}, found"] == "undecided" and row[f"{REPOSITORY}, found"] == "comes out"
    alone = orders(results(yes.isel(train_seed=[0]), yes.isel(train_seed=[0])))
    assert set(alone[f"{PLAIN}, found"]) == {"undecided"}


# --- what was written beforehand ------------------------------------------------------------------


def test_every_prediction_names_its_place_and_each_order_has_both_readings():
    orders_of = {r: [c.id.removesuffix(f"-{r}") for c in BY_READING[r]] for r in READINGS}
    assert orders_of[PLAIN] == orders_of[REPOSITORY] and len(CLAIMED) == 34
    for claim in CLAIMED:
        of_paper = printed()[claim.arguments["claim"]]
        where = "Appendix C.1" if of_paper.section == "C.1" else of_paper.figure
        assert claim.figure == where and claim.because
        assert claim.threshold == 0 and claim.unit == of_paper.unit
        says = "it comes out" if claim.holds == "above" else "it does not come out"
        assert says in claim.words
        assert claim.words.startswith(
            {PLAIN: "From random weights", REPOSITORY: "From ImageNet weights"}[
                claim.arguments["reading"]
            ]
        )


def test_the_readings_predict_different_things_of_some_orders_and_the_same_of_others():
    holds = [[c.holds for c in BY_READING[r]] for r in READINGS]
    apart = sum(a != b for a, b in zip(*holds, strict=True))
    assert 3 < apart < len(BY_READING[PLAIN]) - 3


def test_the_table_says_what_the_paper_printed_and_where(table):
    words, where = table["the paper prints"], table["where"]
    assert "from scratch minus ImageNet: 0.01" in words["Q-6-scratch-accuracy"].replace(
        "test accuracy, ", ""
    )
    assert words["Q-6-scratch-accuracy-elsewhere"].endswith(": 0.06)")
    assert ": 0.83)" in words["Q-6-correlation-scratch"]
    assert where["Q-6-cka-early"] == "Figure 3" and where["Q-6-cifar-accuracy"] == "Table 1"
    text = tables({"reference": results(as_printed(), as_printed())}).data
    assert text.count("<caption>") == 2 and "nan" not in text.lower()


# --- trainings ------------------------------------------------------------------------------------


def test_the_laptop_trains_nothing_that_the_page_on_pretraining_does_not():
    theirs = SECTIONS["pretraining_dataset"]().runs().values()
    mine = WhereDidScratchStart().runs().values()
    assert set(mine) == {run for one in theirs for run in (one, one.parent) if run}


def test_the_plain_reading_has_the_trainings_of_section_4_2():
    parameters = CPU_QUESTIONS | {"targets": ["cifar10", "cifar100"], "train_seeds": [0]}
    parameters |= {"pretrainings": ["imagenet", "cifar100", "cifar10", "none"]}
    section = WhereDidScratchStart.from_parameters(parameters)
    plain = {run for label, run in section.trainings().items() if label[-1] == PLAIN}
    theirs = SECTIONS["pretraining_dataset"].from_parameters(parameters)
    assert plain == set(theirs.runs().values())


def test_what_each_reading_starts_from():
    section = WhereDidScratchStart.from_parameters(CPU_QUESTIONS)
    runs, weights = section.trainings(), CPU_QUESTIONS["weights"]
    for seed in CPU_QUESTIONS["train_seeds"]:
        label = ("cifar10", seed)
        plain, other = (runs[*label, "none", reading] for reading in READINGS)
        assert plain.weights is None and other.weights == weights
        assert (plain.n_train, plain.epochs) == (other.n_train, other.epochs) == (6000, 4)
        plain, other = (runs[*label, "cifar100", reading].parent for reading in READINGS)
        assert plain == section.from_scratch("cifar100", seed, PLAIN) and plain.weights is None
        assert other == section.from_scratch("cifar100", seed, REPOSITORY)
        assert other.weights == weights and other.seed == seed
        assert runs[*label, "imagenet", PLAIN] == runs[*label, "imagenet", REPOSITORY]
        for reading in READINGS:  # Figure 2: from scratch is compared with random weights
            assert section.compared_with((*label, "none", reading)).weights is None
    others = {run.dataset for run in section.elsewhere().values()}
    assert others == {"cifar100"} and len(section.to_invert()) == 25


@pytest.mark.parametrize("pretrainings", [["imagenet"], ["none"], ["cifar100", "cifar10"]])
def test_a_page_without_its_two_starts_is_refused(pretrainings):
    with pytest.raises(ParameterError, match="allowed is imagenet and none, and data sets"):
        WhereDidScratchStart.from_parameters(CPU_QUESTIONS | {"pretrainings": pretrainings})
    with pytest.raises(ParameterError, match="allowed is shapes and none"):
        WhereDidScratchStart.from_parameters({"pretrainings": ["imagenet", "none"]})


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> tuple[WhereDidScratchStart, xr.Dataset]:
    """The section at the smoke scale, with a third start so that every kind of row is there."""
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("runs")
    patch.setattr("papers.section.runs_root", lambda scale: Path(folder, scale))
    more = {"pretrainings": ["shapes", "shapes_by_form", "none"], "train_seeds": [0]}
    section = WhereDidScratchStart.from_parameters(load_scale("smoke") | more)
    yield section, section.dataset().load()
    patch.undo()


def test_the_section_runs_and_its_readings_share_what_they_should(toy):
    section, ds = toy
    assert ds["pretraining"].values.tolist() == list(section.pretrainings)
    plain, other = (ds.sel(reading=reading, drop=True) for reading in READINGS)
    same = {start: plain.sel(pretraining=start).equals(other.sel(pretraining=start))
            for start in section.pretrainings}  # fmt: skip
    assert same == {"shapes": True, "shapes_by_form": False, "none": False}
    scratch = [one["stir_pt_pt_diagonal"].sel(pretraining="none") for one in (plain, other)]
    assert scratch[0].equals(scratch[1])  # both are compared with the same random weights
    known = ds["other_accuracy"].isel(dataset=0, train_seed=0).notnull()
    assert known.sel(reading=PLAIN).values.tolist() == [True, False, True]
    assert ds.sizes["seed"] == 1
    assert "<td>random weights, then shapes_by_form (64 images × 1); adamw" in plan(section).data
    assert accuracies({"this run": ds}).shape == (3, 3)


def test_stand_ins_decide_nothing_and_show_their_numbers(toy):
    _, ds = toy
    table = orders(ds.isel(dataset=0))
    for reading in READINGS:
        assert set(table[f"{reading}, found"]) == {"not testable here"}
        assert table.loc["Q-6-scratch-accuracy", f"{reading}, number"].startswith("stand-in: ")
        assert table.loc["Q-6-cka-early", f"{reading}, number"] == ""  # it has other layers
    assert all("17 not testable here" in said for said in findings(ds))


def test_sentences_say_the_score():
    broken = as_printed(**REFUTED["Q-6-scratch-accuracy"])
    first, second, apart = findings(results(broken, as_printed()).expand_dims(dataset=["cifar10"]))
    assert re.match(
        r"\*cifar10\*, random start: of the 17 orders .* 16 come out and 1 does not", first
    )
    assert (
        "17 come out and 0 do not; 0 are undecided" in second
        and "Of the 17 that are decided" in second
    )
    assert "on 7 orders the readings predict different things; 6 of them" in apart
    assert "7 of them come out from a pretrained start. 0 orders come out under neither" in apart


def test_orders_that_fail_under_both_readings_come_out_under_neither():
    broken = as_printed(**REFUTED["Q-6-scratch-accuracy"])
    both, one = (orders(results(broken, other)) for other in (broken, as_printed()))
    assert neither(both).index.tolist() == ["Q-6-scratch-accuracy"] and neither(one).empty


def test_the_distance_left_is_that_of_the_start_and_of_the_trained_model():
    ds = results(as_printed(), as_printed()).expand_dims(dataset=["cifar10"]).copy(deep=True)
    ds["inversion_loss_pt"] = ds["inversion_loss_pt"] * xr.where(ds["reading"] == PLAIN, 1, 2)
    table = distances({"reference": ds})
    assert table.index.tolist()[0] == ("reference", "imagenet → cifar10")
    assert set(table[STARTED[PLAIN]]) == {"0.30 and 0.30"}
    assert set(table[STARTED[REPOSITORY]]) == {"0.60 and 0.30"}


def test_the_readings_stand_side_by_side_in_the_figure():
    ds = results(as_printed(), as_printed(**REFUTED["Q-6-scratch-highest-forgetting"]))
    ((title, panels),) = by_reading(iter([("run", ds)]), {"forgetting": forgetting}).items()
    assert title == "run"
    assert list(panels) == ["forgetting, random start", "forgetting, pretrained start"]
    plain, other = panels.values()
    assert plain.equals(forgetting(ds.sel(reading=PLAIN))) and not plain.equals(other)
