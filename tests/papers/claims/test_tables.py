"""The tables of verdicts: which numbers they show, and that they fit their columns."""

from __future__ import annotations

import pytest
import xarray as xr

from invlib.results.netcdf import open_results, save_results
from papers.claims.claim import Claim, check_claims
from papers.claims.tables import claims_html, claims_table, claims_text
from tests.images_left_out import of_means
from tests.papers.merlin2023.test_finetuning_task import (
    BY_ID,
    CLAIMS_4_1,
    CLS,
    RISING,
    as_the_paper,
    first_layers,
    synthetic,
)


def test_tables():
    yes, no = as_the_paper(), as_the_paper(learning={CLS: RISING})
    ds = synthetic([yes, no]).assign_coords(dataset="cifar10")
    out = check_claims(CLAIMS_4_1, ds)
    full, compact = claims_table(out), claims_table(out, compact=True)
    assert list(compact) == ["claim", "debiased", "biased", "biased, self term 1 (as the paper)"]
    assert list(full.index) == list(compact.index) == list(BY_ID)
    assert full.loc["A-C.1-correlation-classification", "paper"] == "0.97"
    assert full.loc["A-4.1-forgetting-rises-earlier", "paper"] == "2"
    row = full.loc["A-4.1-u-shape-learning"]
    values = out.value.sel(claim="A-4.1-u-shape-learning", estimator="biased", self_term="one")
    low, mean, high = (f"{x:.3g}" for x in (values.min(), values.mean(), values.max()))
    assert row["biased, self term 1 (as the paper)"] == f"mixed ({mean}; {low} to {high})"
    assert row["holds when"].endswith("(STIR) > 0") and row["figure"] == "1a"
    assert compact.loc["A-4.1-u-shape-learning", "biased"] == f"mixed ({mean})"
    for id, claim in BY_ID.items():
        assert compact.loc[id, "claim"] == claim.words


def test_tables_say_why_a_claim_is_not_testable():
    out = check_claims(CLAIMS_4_1, first_layers(synthetic([as_the_paper()]), 3))
    compact = claims_table(out, compact=True)
    assert compact["claim"].str.endswith("4 layers, 0–3.)").all()
    assert (compact["biased"] == "not testable here").all()
    assert claims_table(out)["reason"].str.contains("layers 0–12").all()


def test_a_page_shows_whole_statements():
    ds = synthetic([as_the_paper()] * 2).assign_coords(dataset="<cifar10>")
    page = claims_html(check_claims(CLAIMS_4_1, ds))
    for claim in CLAIMS_4_1:
        assert claim.words in page
    assert "<caption>scale smoke, data set &lt;cifar10&gt;, 2 seeds</caption>" in page
    assert page.count("<tr") == len(CLAIMS_4_1) + 1


@pytest.mark.parametrize(("debiased", "cells"), [(0.9, 1), (0.8, 2)])
def test_a_page_says_once_what_no_estimator_changes(debiased, cells):
    claim = Claim(
        id="A-0-high", paper="A", section="0", figure="", words="High.", number="the score",
        measure=lambda ds, self_term: ds.score, threshold=0.5,
    )  # fmt: skip
    scores = (("estimator", "seed"), [[0.9], [debiased]])
    ds = xr.Dataset({"score": scores}, {"estimator": ["biased", "debiased"], "seed": [0]})
    page = claims_html(check_claims([claim], ds))
    assert page.count("reproduced (") == cells and f'<td colspan="{4 - cells}">' in page


def test_text_fits_its_columns():
    text = claims_text(check_claims(CLAIMS_4_1, synthetic([as_the_paper()])))
    assert max(map(len, text.splitlines())) <= 58 + 3 * 26
    for id in BY_ID:
        assert text.count(f"\n{id} ") == 1


# --- with an interval -----------------------------------------------------------------------------


def test_tables_show_it(tmp_path):
    ds, _ = of_means()
    out = check_claims(CLAIMS_4_1, ds)
    id = "A-4.1-cka-early-near-zero"
    one = out.sel(claim=id, estimator="debiased", self_term="measured")
    bracket = f"[{float(one.value_low):.3g},\N{NO-BREAK SPACE}{float(one.value_high):.3g}]"
    verdict, mean = one.verdict.item(), f"{float(one.value.mean()):.3g}"
    spread = f"{float(one.value.min()):.3g} to {float(one.value.max()):.3g}"
    assert claims_table(out).loc[id, "debiased"] == f"{verdict} ({mean} {bracket}; {spread})"
    assert claims_table(out, compact=True).loc[id, "debiased"] == f"{verdict} ({mean})"
    assert f"<td>{verdict} ({mean})<br><small>{bracket}</small></td>" in claims_html(out)
    assert f"<td>{verdict} ({mean} {bracket}; {spread})</td>" in claims_html(out, compact=False)
    text = claims_text(out)
    block = text[text.index(id) :].split("\n\n")[0]
    assert bracket in " ".join(line[60:84].strip() for line in block.splitlines())
    assert "3 seeds, in brackets the 95 % interval over images</caption>" in claims_html(out)
    assert "in brackets the 95 %" in text
    read = open_results(save_results(out, tmp_path / "claims.nc"))
    assert claims_html(read) == claims_html(out)


def test_tables_without_it_say_nothing_of_it():
    ds, _ = of_means()
    out = check_claims(CLAIMS_4_1, ds.drop_vars([n for n in ds if str(n).endswith("_jackknife")]))
    older = out.drop_vars(["value_low", "value_high"])  # a ledger written before there were any
    for one in (out, older):
        page = claims_html(one) + claims_html(one, compact=False) + claims_text(one)
        assert "bracket" not in page and "<small>" not in page
        assert claims_table(one).equals(claims_table(older))
