"""Recipes of a result on convergence agree or not, and the book counts what hangs on them."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict

import pytest
import xarray as xr

import invlib.paths
from invlib.names import SIMILARITIES
from invlib.paths import results_root
from invlib.results.netcdf import open_results
from papers import explorers
from papers.across.work.claims_ledger import (
    CLAIMS,
    judged,
    standings,
    standings_at_a_glance,
    standings_in_words,
)
from papers.claims.agreement import DECIDED, EVERY, HANGS, ONE, STANDINGS, WITHOUT, agreements
from papers.claims.settings import settings
from papers.engine.agreement import READ, agreement_about, by_recipe
from papers.engine.work.convergence import common_distance, findings, shared_distance
from papers.pages import verdicts
from papers.sections import SECTIONS
from tests.papers.claims.test_ledger import FILE
from tests.papers.engine.test_convergence import RECIPES, followed

OURS = [claim for name in READ for claim in CLAIMS[name]]
MORE = "A-4.1-reconstruction-learns-more"


def test_the_recipes_of_a_result_agree():
    holds = by_recipe(followed(), OURS)
    # at the ends and at two distances; fast has a schedule, so it is read at its end alone
    assert sorted(holds.columns) == sorted([*RECIPES, *[RECIPES[0], RECIPES[2]] * 2])
    found = agreements(OURS, holds)[MORE]
    assert found.same and (found.holds, found.fails, found.recipes) == (
        6,
        0,
        3,
    )  # ngd did not reach the nearer one


def test_one_recipe_that_says_otherwise_is_found():
    ds = followed()
    other = (ds["recipe"] == RECIPES[1]) & (ds["task"] == "reconstruction")
    ds["stir_pt_ft"] = ds["stir_pt_ft"] + 0.5 * other  # it has learnt less there, by fast alone
    found = agreements(OURS, by_recipe(ds, OURS))[MORE]
    assert found.same is False and (found.holds, found.fails) == (5, 1)


def test_other_similarities_and_driven_images_are_no_recipes():
    ds, driven = followed(), f"{RECIPES[0]} +0.3"
    more = ds.sel(recipe=[*RECIPES, RECIPES[0]], estimator=["biased", "debiased", "biased"])
    names = ["biased", "debiased", "procrustes"]
    more = more.assign_coords(recipe=[*RECIPES, driven], estimator=names)
    plain = (more["recipe"] != driven) & (more["estimator"] == "debiased")
    more["stir_ft_pt"] = more["stir_ft_pt"].where(plain, 0)
    assert by_recipe(more, OURS).equals(by_recipe(ds, OURS))


def test_a_layer_that_was_not_inverted_is_not_read():
    ds = followed()
    for name in ("stir_ft_ft", "stir_pt_ft", "stir_ft_pt", "stir_pt_pt"):
        ds[name] = ds[name].where(ds["recipe"] == RECIPES[0])
    found = agreements(OURS, by_recipe(ds, OURS))
    assert found[MORE].recipes == 1 and found[MORE].same is None
    assert found[MORE].standing("reproduced") == ONE
    some = by_recipe(followed().sel(layer=[0, 6, 12], ref_layer=[0, 6, 12]), OURS)
    assert agreements(OURS, some)[MORE].words == "not read"


# --- beside the verdicts --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference():
    return {name: ledgers for name, _, ledgers, _ in judged(results_root("cifar"))}


@pytest.fixture(scope="module")
def agreement(reference):
    return {name: agreement_about(name, CLAIMS[name], of[0]) for name, of in reference.items()}


def test_only_the_sections_of_the_same_models_were_read(agreement):
    for name, of_claims in agreement.items():
        assert list(of_claims) == [claim.id for claim in CLAIMS[name]]
        assert any(one.recipes > 1 for one in of_claims.values()) == (name in READ)


def test_pages_are_made_again_with_the_results_that_they_read_agreement_from():
    for name in (*READ, "claims_ledger"):
        assert "convergence" in SECTIONS[name].beside


def test_results_of_another_network_were_not_read(reference):
    ledger = reference["finetuning_task"][0]
    claims = CLAIMS["finetuning_task"]
    assert agreement_about("finetuning_task", claims, ledger)[MORE].recipes > 1
    made = json.loads(ledger.attrs["parameters"])
    for other in ({"img_size": 96}, {"model": "vit_nano_patch8_32"}, {"scale": "laptop"}):
        changed = ledger.assign_attrs(parameters=json.dumps(made | other))
        assert agreement_about("finetuning_task", claims, changed) == agreements(claims)
    assert agreement_about("finetuning_task", claims, xr.Dataset()) == agreements(claims)


def test_other_runs_of_the_same_network_are_read_too(reference, tmp_path, monkeypatch):
    ledger, claims = reference["finetuning_task"][0], CLAIMS["finetuning_task"]
    found = {}
    for folders in (["cifar"], ["cifar", "cifar_64images"], ["cifar", "cifar_96px"]):
        place = tmp_path / str(len(found))
        for name in folders:
            (place / name).mkdir(parents=True)
            (place / name / "convergence.nc").symlink_to(results_root(name) / "convergence.nc")
        with monkeypatch.context() as here:
            here.setattr("papers.engine.agreement.results_root", lambda name, at=place: at / name)
            found[tuple(folders)] = agreement_about("finetuning_task", claims, ledger)[MORE]
    alone, with_64, with_96 = found.values()
    assert with_64.recipes == alone.recipes + 1  # lbfgs with 800 steps
    assert with_64.holds + with_64.fails > alone.holds + alone.fails
    assert with_96 == alone  # its network has another size


def test_without_results_of_convergence_nothing_was_read(reference, tmp_path, monkeypatch):
    monkeypatch.setattr(invlib.paths, "project_root", lambda: tmp_path)
    claims = CLAIMS["finetuning_task"]
    found = agreement_about("finetuning_task", claims, reference["finetuning_task"][0])
    assert found == agreements(claims)


@pytest.fixture(scope="module")
def counted():
    """What `standings` counts, from the findings on all similarities and the ledger's file."""
    answers_of = defaultdict(list)  # (recipe, answer) of every reading of a claim
    for folder in ("cifar", "cifar_64images"):
        ds = open_results(results_root(folder) / "convergence.nc")
        distances = sorted({common_distance(ds), shared_distance(ds)})  # those of the page
        _, holds = findings(ds, OURS, *distances)
        for name in holds:
            recipe = name.split(", ")[0]
            if not name.endswith((*SIMILARITIES, "steps")) and " " not in recipe:
                for id, answer in holds[name].dropna().items():
                    answers_of[id].append((recipe, answer))
    counts = Counter()
    for name, row in json.loads(FILE.read_text(encoding="utf-8")).items():
        id, verdict = name.split(" @ ")[0], row["debiased, measured"][0]
        if id not in {claim.id for claim in OURS} or verdict not in DECIDED:
            continue
        answers = answers_of[id]
        (claim,) = (claim for claim in OURS if claim.id == id)
        if not claim.inverted:
            counts[WITHOUT, verdict] += 1
        elif len({recipe for recipe, _ in answers}) < 2:
            counts[ONE, verdict] += 1
        else:
            every = all(answer == (verdict == "reproduced") for _, answer in answers)
            counts[EVERY if every else HANGS, verdict] += 1
    return counts


def test_the_ledger_counts_what_the_readings_say(reference, agreement, counted):
    table = standings(reference, agreement)
    together = table.loc[list(READ)].sum()
    assert {key: together[key] for key in counted} == dict(counted)
    assert together.sum() == sum(counted.values())
    others = table.drop(index=list(READ))[[EVERY, HANGS]]
    assert (others == 0).all(axis=None)
    written = json.loads(FILE.read_text(encoding="utf-8")).values()
    decided = Counter(row["debiased, measured"][0] for row in written)
    for verdict in DECIDED:
        assert table.xs(verdict, axis=1, level=1).to_numpy().sum() == decided[verdict]
    first, second = standings_in_words(table, agreement).split(". Of ")
    each = [sum(counted[name, verdict] for verdict in DECIDED) for name in STANDINGS]
    assert [int(n) for n in re.findall(r"\d+", first)] == [sum(each), *filter(None, each)]
    assert f"{each[STANDINGS.index(HANGS)]} hang" in first
    alone = table.drop(index=list(READ))[ONE].to_numpy().sum()
    assert f" all other sections, {alone} were read by one recipe" in second
    shown = standings_at_a_glance(table).loc["finetuning task", EVERY]
    row = table.loc["finetuning_task", EVERY]
    assert shown == f"{row['reproduced']} ({row['not reproduced']})"


def test_the_page_of_a_section_marks_as_many_verdicts(counted):
    marked = 0
    for name in READ:
        shown = {"reference": open_results(results_root("cifar") / f"{name}.nc")}
        page = verdicts(name, shown).data
        marked += page.count(f"<em>{HANGS}</em>")
        tables = len(list(settings(shown["reference"])))
        assert page.count("<small>same by every recipe: ") == tables * len(CLAIMS[name])
    assert marked == sum(counted[HANGS, verdict] for verdict in DECIDED) > 0
    dynamics = {"reference": open_results(results_root("cifar") / "dynamics.nc")}
    assert "every recipe" not in verdicts("dynamics", dynamics).data


def test_the_cards_of_the_ledger_say_it(counted):
    all_judged = list(judged(results_root("cifar")))
    page = explorers.ledger(all_judged).data
    said = page.count(" Same by every recipe: ")
    assert said == sum(one.sizes["claim"] for name, _, of, _ in all_judged if name in READ
                       for one in of)  # fmt: skip
    hangs = page.split("data-hangs='")[1:]
    marked = ["recipe" in one.partition("'")[0] for one in hangs]
    assert sum(marked) == sum(counted[HANGS, verdict] for verdict in DECIDED)
    assert page.count(" Read by one recipe.") > 0 and page.count(" Needs no inversion.") > 0
