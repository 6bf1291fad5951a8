"""Whether recipes agree about a claim: counts of readings, and what stands beside a verdict."""

from __future__ import annotations

import pandas as pd
import pytest

from papers.across.work.claims_ledger import CLAIMS
from papers.claims.agreement import EVERY, HANGS, ONE, STANDINGS, WITHOUT, Agreement, agreements
from papers.claims.claim import check_claims
from papers.claims.tables import claims_html, claims_table, claims_text
from tests.papers.merlin2023.test_finetuning_task import (
    CLAIMS_4_1,
    CLS,
    RISING,
    as_the_paper,
    synthetic,
)

INVERTED = [claim for claim in CLAIMS_4_1 if claim.inverted]
FIRST, SECOND, THIRD, FOURTH = (claim.id for claim in INVERTED[:4])
RECIPES = ["lbfgs:400", "lbfgs:400", "anytime:200", "tv:100"]  # the first was read twice
READINGS = pd.DataFrame(
    {0: [True, True, False, True], 1: [True, False, False, None],
     2: [True, True, False, None], 3: [None, True, False, None]},
    index=[FIRST, SECOND, THIRD, FOURTH], dtype=object,
)  # fmt: skip
READINGS.columns = RECIPES


@pytest.fixture(scope="module")
def agreement() -> dict[str, Agreement]:
    return agreements(CLAIMS_4_1, READINGS)


def test_readings_are_counted_for_each_claim(agreement):
    assert list(agreement) == [claim.id for claim in CLAIMS_4_1]
    assert agreement[FIRST] == Agreement(holds=3, fails=0, recipes=2)
    assert agreement[SECOND] == Agreement(holds=3, fails=1, recipes=3)
    assert agreement[THIRD] == Agreement(holds=0, fails=4, recipes=3)
    assert agreement[FOURTH] == Agreement(holds=1, fails=0, recipes=1)
    assert agreement[INVERTED[4].id] == Agreement()  # it has no row


def test_agreement_in_words(agreement):
    words = [agreement[id].words for id in (FIRST, SECOND, THIRD, FOURTH, INVERTED[4].id)]
    assert words == [
        "yes (holds in all 3 readings)", "no (holds in 3 of 4 readings)",
        "yes (holds in none of 4 readings)", "not read", "not read",
    ]  # fmt: skip


def test_a_verdict_stands_by_every_recipe_if_all_readings_answer_as_it_does(agreement):
    for verdict, expected in {
        "reproduced": [EVERY, HANGS, HANGS, ONE],
        "not reproduced": [HANGS, HANGS, EVERY, ONE],
        "undecided": [""] * 4,
        "not testable here": [""] * 4,
    }.items():
        stands = [agreement[id].standing(verdict) for id in (FIRST, SECOND, THIRD, FOURTH)]
        assert stands == expected, verdict


def test_what_needs_no_inversion_hangs_on_no_recipe():
    told = {claim.id for claims in CLAIMS.values() for claim in claims if not claim.inverted}
    assert {id for id in told if id.startswith(("A-3", "A-4.1", "A-4.3"))} == {
        claim.id for claim in CLAIMS_4_1
        if {*claim.needs["variables"]} <= {"cka_pt_pt", "cka_ft_pt"}
    }  # fmt: skip
    for part in ("B-", "C-", "Q-1-vit-cka-early", "A-4.4-settings-clean", "Q-4-clean", "Q-6-cka"):
        assert any(id.startswith(part) for id in told), part
    inverted = {claim.id for claims in CLAIMS.values() for claim in claims} - told
    assert not any(id.startswith(("B-", "C-", "A-B-")) for id in inverted)
    for part in ("A-4.3", "A-4.4-early-peak", "Q-1-vit-u-shape", "Q-5-compression", "Q-6-early"):
        assert any(id.startswith(part) for id in inverted), part
    (cka, *_) = (claim for claim in CLAIMS_4_1 if not claim.inverted)
    (found,) = agreements([cka], READINGS).values()
    assert found.same and found.standing("reproduced") == WITHOUT


# --- in tables ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ledger():
    """Decided verdicts of both kinds."""
    ds = synthetic([as_the_paper(learning={CLS: RISING})] * 3).assign_coords(dataset="cifar10")
    return check_claims(CLAIMS_4_1, ds)


def stands(ledger, agreement) -> dict[str, str]:
    column = ledger["verdict"].sel(estimator="debiased", self_term="measured").to_series()
    return {id: agreement[id].standing(verdict) for id, verdict in column.items()}


def test_the_ledger_has_verdicts_of_every_standing(ledger, agreement):
    assert set(stands(ledger, agreement).values()) >= set(STANDINGS)


def test_a_table_says_it_of_every_claim_and_marks_the_debiased_verdict(ledger, agreement):
    marked = {id for id, standing in stands(ledger, agreement).items() if standing == HANGS}
    full = claims_table(ledger, agreement=agreement)
    compact = claims_table(ledger, agreement=agreement, compact=True)
    assert full["same by every recipe"].to_dict() == {
        id: one.words for id, one in agreement.items()
    }
    for table in (full, compact):
        hangs = table["debiased"].str.endswith(f", {HANGS}")
        assert set(table.index[hangs]) == marked and marked
        others = table.drop(columns="debiased").astype(str)
        assert not others.map(lambda cell: HANGS in cell).any(axis=None)
    assert list(compact) == list(claims_table(ledger, compact=True))  # no wider than before


def test_a_page_says_it_under_the_statement(ledger, agreement):
    page = claims_html(ledger, agreement=agreement)
    for claim in CLAIMS_4_1:
        words = f"{claim.words}<br><small>same by every recipe: {agreement[claim.id].words}</small>"
        assert words in page
    marked = list(stands(ledger, agreement).values()).count(HANGS)
    assert page.count(f"<br><em>{HANGS}</em></td>") == page.count(HANGS) == marked
    assert page.count("<th>") == claims_html(ledger).count("<th>")
    whole = claims_html(ledger, compact=False, agreement=agreement)
    assert whole.count("<th>same by every recipe</th>") == 1


def test_text_says_it_and_fits_its_columns(ledger, agreement):
    text = claims_text(ledger, agreement=agreement)
    assert max(map(len, text.splitlines())) <= 58 + 3 * 26
    said = [one.words for one in agreement.values()]
    assert text.count("  same by every recipe: ") == len(said)
    assert f"same by every recipe: {agreement[SECOND].words}" in text


@pytest.mark.parametrize("nothing", [None, {}, agreements(CLAIMS_4_1)])
def test_where_nothing_was_read_a_table_is_as_before(ledger, nothing):
    assert claims_html(ledger, agreement=nothing) == claims_html(ledger)
    assert claims_text(ledger, agreement=nothing) == claims_text(ledger)
    assert claims_table(ledger, agreement=nothing).equals(claims_table(ledger))
