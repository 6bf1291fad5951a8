"""What "Try it" proposes runs, and what it should show is computed from results."""

from __future__ import annotations

import json
import os
import re

import pytest

from invlib.paths import results_root
from invlib.results.netcdf import open_results
from papers.lessons.__main__ import trials
from papers.lessons.try_it import ANSWERS, answers, commands, kept
from papers.lessons.words import Trial
from papers.section import Section
from tests.workspace import ROOT

TRIALS = trials("smoke")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An empty place for results, so that each command really works."""
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("runs")
    patch.setattr("papers.section.runs_root", lambda scale: folder / scale)
    yield folder
    patch.undo()


def asked(name: str) -> str:
    notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"]]
    (text,) = [cell for cell in cells if cell.startswith("## Try it")]
    return text


@pytest.mark.parametrize("name", ANSWERS)
def test_each_question_has_its_answer(name):
    items = re.findall(r"^\d\. (.+)$", asked(name), re.M)
    assert len(items) == len(ANSWERS[name])
    for words, item in zip(items, ANSWERS[name], strict=True):
        assert ("python -m papers run " in words) == isinstance(item, Trial)


def test_every_page_that_asks_is_answered():
    pages = [file.stem for file in (ROOT / "notebooks").glob("*.ipynb")
             if "## Try it" in file.read_text(encoding="utf-8")]  # fmt: skip
    assert set(pages) == set(ANSWERS)


@pytest.mark.parametrize("command", TRIALS)
def test_what_is_proposed_runs(command, runs):
    item, plain, tried = TRIALS[command]
    assert isinstance(tried, Section) and tried != plain
    few = {"labels_epochs", "iterations"} & tried.model_dump().keys()
    tried = tried.model_copy(update=dict.fromkeys(few, 4))
    made = plain.output.is_file()  # by another command of the same page
    before = open_results(plain.output) if made else plain.dataset()
    said = item.say(item.measure(before), item.measure(tried.dataset()))
    assert re.search(r"\d\.\d", said) and "nan" not in said


def test_the_numbers_kept_are_those_of_the_commands_and_say_what_made_them():
    assert list(kept()) == list(TRIALS)
    for one in kept().values():
        assert list(one["made"]) == ["plain", "tried"]
        for made in one["made"].values():
            assert {"device", "git_commit", "versions"} <= made.keys() and not made["git_dirty"]


@pytest.mark.parametrize("name", [name for name in ANSWERS])
def test_answers_come_from_the_results(name):
    file = results_root("cifar") / f"{name}.nc"
    if not os.path.isfile(file):  # pages without reference results show the run's own
        assert name in ("your_models", "claims_ledger")
        return
    ds = open_results(file)
    text = answers(name, {"reference: cifar": ds}).data
    assert text.count("<li>") == len(ANSWERS[name]) and "nan" not in text
    assert text.count("(laptop scale)") == len(commands(name))


def test_another_result_gives_another_answer():
    ds = open_results(results_root("cifar") / "compression_expansion.nc")
    other = ds.assign(stir_pt_pt=ds["stir_pt_pt"] * 0)
    texts = {answers("compression_expansion", {"a": one}).data for one in (ds, other)}
    assert len(texts) == 2
