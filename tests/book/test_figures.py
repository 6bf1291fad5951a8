"""The index of figures: complete, and every page and dataset it names exists."""

from __future__ import annotations

import re

import pytest
import yaml

from papers.sections import SECTIONS
from tests.workspace import ROOT

PAGE = (ROOT / "book" / "figures.md").read_text(encoding="utf-8")
PAPERS = dict(zip("ABC", re.split(r"^## Paper [ABC]", PAGE, flags=re.MULTILINE)[1:], strict=False))

# How many figures each paper has. Paper A has one table besides.
FIGURES = {"A": 15, "B": 5, "C": 6}


@pytest.mark.parametrize("paper", FIGURES)
def test_every_figure_is_listed(paper):
    found = {int(n) for n in re.findall(r"^\| Figure (\d+)", PAPERS[paper], flags=re.MULTILINE)}
    assert found == set(range(1, FIGURES[paper] + 1))


def test_the_table_is_listed():
    assert "| Table 1 |" in PAPERS["A"]


def test_every_page_is_in_the_book():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    pages = {chapter["file"] for part in toc["parts"] for chapter in part["chapters"]}
    named = set(re.findall(r"\{doc\}`/([^`]+)`", PAGE))
    assert named and named <= pages


def test_every_dataset_is_that_of_a_section():
    named = set(re.findall(r"`(\w+)\.nc`", PAGE))
    assert named and named <= set(SECTIONS)


def test_every_page_of_a_section_is_named():
    """But those that draw no figure of a paper."""
    ours = {"what_is_an_inversion", "how_inverted", "convergence", "what_it_costs", "claims_ledger"}
    ours |= {"known_invariances", "one_lens_on_three_papers", "your_models"}
    named = set(re.findall(r"\{doc\}`/notebooks/([^`]+)`", PAGE))
    assert set(SECTIONS) - ours <= named
