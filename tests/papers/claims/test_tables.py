"""The tables of verdicts: which numbers they show, and that they fit their columns."""

from __future__ import annotations

import pytest
import xarray as xr

from invlib.results.netcdf import open_results, save_results
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import Claim, check_claims
from papers.claims.tables import claims_html, claims_table, claims_text
from papers.sections import SECTIONS
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
from tests.synthetic import trainings


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
    one = out.sel(claim="A-4.1-u-shape-learning", estimator="biased", self_term="one")
    low, mean, high = (f"{float(one[f'value_{x}']):.3g}" for x in ("low", "mean", "high"))
    seen = f"{float(one.detectable):.2g}"
    expected = f"undecided ({mean} [{low},\N{NO-BREAK SPACE}{high}], sees {seen})"
    assert row["biased, self term 1 (as the paper)"] == expected
    assert row["distance left"] == "0.30 to 0.30"
    assert row["holds when"].endswith("(STIR) > 0") and row["figure"] == "1a"
    assert compact.loc["A-4.1-u-shape-learning", "biased"] == f"undecided ({mean})"
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
    assert (
        "<caption>scale smoke, data set &lt;cifar10&gt;, 2 trainings, 2 draws of images, " in page
    )
    assert page.count("<tr") == len(CLAIMS_4_1) + 1


@pytest.mark.parametrize(("debiased", "cells"), [(0.9, 1), (0.8, 2)])
def test_a_page_says_once_what_no_estimator_changes(debiased, cells):
    claim = Claim(
        id="A-0-high", paper="A", section="0", figure="", words="High.", number="the score",
        measure=lambda ds, self_term: ds.score, threshold=0.5,
    )  # fmt: skip
    scores = (("estimator", "train_seed"), [[0.9] * 2, [debiased] * 2])
    ds = xr.Dataset({"score": scores}, {"estimator": ["biased", "debiased"]})
    page = claims_html(check_claims([claim], ds))
    assert page.count("reproduced (") == cells and f'<td colspan="{4 - cells}">' in page


def test_text_fits_its_columns():
    text = claims_text(check_claims(CLAIMS_4_1, synthetic([as_the_paper()])))
    assert max(map(len, text.splitlines())) <= 58 + 3 * 26
    for id in BY_ID:
        assert text.count(f"\n{id} ") == 1


# --- with an interval -----------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["trainings", "images"])
def test_tables_show_it(tmp_path, over):
    ds, _ = of_means()
    out = check_claims(CLAIMS_4_1, trainings(ds) if over == "trainings" else ds)
    id, prefix = "A-4.1-cka-early-near-zero", "value" if over == "trainings" else "images"
    one = out.sel(claim=id, estimator="debiased", self_term="measured")
    low, high = (float(one[f"{prefix}_{end}"]) for end in ("low", "high"))
    bracket = f"[{low:.3g},\N{NO-BREAK SPACE}{high:.3g}]"
    bracket = (
        f"{bracket}, sees {float(one.detectable):.2g}" if prefix == "value" else f"images {bracket}"
    )
    verdict, mean = one.verdict.item(), f"{float(one.value_mean):.3g}"
    assert verdict == ("not reproduced" if over == "trainings" else "undecided")
    assert claims_table(out).loc[id, "debiased"] == f"{verdict} ({mean} {bracket})"
    assert claims_table(out, compact=True).loc[id, "debiased"] == f"{verdict} ({mean})"
    assert f"<td>{verdict} ({mean})<br><small>{bracket}</small></td>" in claims_html(out)
    text = claims_text(out)
    block = text[text.index(id) :].split("\n\n")[0]
    assert bracket.split()[-1] in " ".join(line[60:84].strip() for line in block.splitlines())
    said = {
        "trainings": "3 trainings, 2 draws of images, in brackets the interval over trainings",
        "images": "1 training, 3 draws of images, one training decides nothing; in brackets",
    }
    assert said[over] in claims_html(out) and said[over][:40] in text
    read = open_results(save_results(out, tmp_path / "claims.nc"))
    assert claims_html(read) == claims_html(out)


def test_a_correlation_over_settings_is_not_said_to_be_undecided():
    """It has one training of each setting, and an interval all the same."""
    name = "robustness_across_settings"
    out = check_claims(CLAIMS[name], open_results(SECTIONS[name]().reference))
    assert "reproduced" in out["verdict"]
    said = claims_html(out)
    assert "interval over settings, which have a training each" in said
    assert "decides nothing" not in said
