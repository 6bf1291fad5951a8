"""The ledger of all claims: one for each data set and recipe, also for what was not run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import invlib.paths
from invlib.results.netcdf import open_results, save_results
from papers.__main__ import main
from papers.across.claims_ledger import ClaimsLedger
from papers.across.work.claims_ledger import (
    CLAIMS,
    at_a_glance,
    judged,
    open_questions,
    verdict_counts,
    verdicts_in_words,
    worked_example,
)
from papers.claims.data import paper_of
from papers.claims.tables import claims_table
from tests.papers.merlin2023 import test_accuracy as accuracy
from tests.papers.merlin2023 import test_compression_expansion as flow
from tests.papers.merlin2023 import test_dynamics as dynamics
from tests.papers.merlin2023 import test_finetuning_task as task
from tests.papers.merlin2023 import test_pretraining_dataset as pretraining
from tests.papers.merlin2023 import test_robustness as robustness
from tests.papers.merlin2023 import test_robustness_across_settings as across

ALL = [claim for claims in CLAIMS.values() for claim in claims]
PAPER_A = [claim for claim in ALL if claim.paper == "A"]  # whose results are made up here


def stacked(parts: dict[str, xr.Dataset], dim: str = "dataset") -> xr.Dataset:
    parts = {label: part.drop_vars(dim, errors="ignore") for label, part in parts.items()}
    ds = xr.concat(parts.values(), xr.Variable(dim, list(parts)), data_vars="all", join="outer")
    return ds.assign_attrs(next(iter(parts.values())).attrs)


def as_the_paper() -> dict[str, xr.Dataset]:
    """Results of every section, by its name: those that all claims hold on."""
    both = ("cifar10", "cifar100")
    of_flow = stacked(
        {"fast:50": flow.results(), "ngd:50": flow.results(cls={flow.DEEP: 0})}, "recipe"
    )
    trainings = dict(sgd_0p01={}, sgd_0p003={}, adam_0p001=robustness.NO_TREND)
    return {
        "finetuning_task": stacked({"cifar10": task.synthetic([task.as_the_paper()] * 3)}),
        "pretraining_dataset": stacked({name: pretraining.results(name) for name in both}),
        "compression_expansion": stacked({"cifar10": of_flow}),
        "dynamics": stacked({"cifar10": dynamics.results()}),
        "robustness": robustness.trainings(**trainings).assign_coords(dataset="cifar10"),
        "robustness_across_settings": across.as_the_paper(),
        "accuracy": stacked(
            {name: accuracy.table(name) for name in paper_of("accuracy").datasets["accuracy"]}
        ),
    }


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(invlib.paths, "project_root", lambda: tmp_path)
    monkeypatch.setattr("papers.__main__.project_root", lambda: tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with the results of every section."""
    folder = tmp_path_factory.mktemp("smoke")
    for section, ds in as_the_paper().items():
        save_results(ds, folder / f"{section}.nc")
    return folder


@pytest.fixture(scope="module")
def all_judged(saved):
    return list(judged(saved))


@pytest.fixture(scope="module")
def nothing_run():
    return list(judged(Path("nowhere")))


def test_every_claim_has_a_name_of_its_own():
    assert len({claim.id for claim in ALL}) == len(ALL) >= 40
    assert tuple(CLAIMS) == ClaimsLedger.uses


@pytest.mark.parametrize("claim", ALL, ids=lambda claim: claim.id)
def test_a_claim_says_what_its_number_is(claim):
    assert claim.id.startswith(f"{claim.paper}-{claim.section}-")
    assert claim.words.endswith(".") and not claim.number.endswith(".")
    assert claim.unit in {
        "STIR", "CKA", "ratio", "layers", "correlation", "share", "accuracy", "p", "nats", "depth"
    }  # fmt: skip
    assert claim.needs.get("variables") or claim.needs.get("matrices")


def test_a_ledger_for_each_data_set_and_recipe(all_judged):
    found = {
        section: (ledgers, rest) for section, path, ledgers, rest in all_judged if path.is_file()
    }
    assert {section: len(ledgers) for section, (ledgers, _) in found.items()} == {
        "finetuning_task": 1, "pretraining_dataset": 2, "compression_expansion": 2, "dynamics": 1,
        "robustness": 1, "robustness_across_settings": 1, "accuracy": 4,
    }  # fmt: skip
    assert {section: rest for section, (_, rest) in found.items()} == {
        "finetuning_task": ["cifar100", "eurosat", "oxford_pets"], "pretraining_dataset": [],
        "compression_expansion": ["cifar100"], "dynamics": ["cifar100"], "robustness": [],
        "robustness_across_settings": [], "accuracy": [],
    }  # fmt: skip
    by_recipe = {str(one["recipe"].values): one for one in found["compression_expansion"][0]}
    claim = by_recipe["ngd:50"].verdict.sel(claim="A-4.3-compression-classification")
    assert set(claim.values.ravel()) == {"not reproduced"}
    assert (by_recipe["fast:50"].verdict == "reproduced").all()

    counts = verdict_counts({section: ledgers for section, (ledgers, _) in found.items()})
    assert list(counts.index) == [*found, "all"]
    for way in ("debiased", "as the paper"):
        rows = counts[way]
        assert (rows.loc["all"] == rows.drop(index="all").sum()).all()
        sizes = [len(CLAIMS[s]) * len(found[s][0]) for s in found]
        assert rows.drop(index="all").sum(axis=1).tolist() == sizes
        flows = rows.loc["compression_expansion"].to_dict()
        assert (flows["reproduced"], flows["not reproduced"]) == (22, 2)
        assert rows.loc["accuracy", "not testable here"] == 10  # of EuroSAT and Pets one row each
    row = counts.loc["compression_expansion"]
    said = f"{row['debiased', 'reproduced']} ({row['as the paper', 'reproduced']})"
    assert at_a_glance(counts).loc["compression expansion", "reproduced"] == said


def test_the_ledger_in_words(all_judged):
    ledgers = [one for _, _, many, _ in all_judged for one in many]
    said = verdicts_in_words(ledgers)
    trusted = [one.verdict.sel(estimator="debiased", self_term="measured") for one in ledgers]
    for word in ("reproduced", "not reproduced", "undecided", "not testable here"):
        assert f" {sum(int((one == word).sum()) for one in trusted)} {word}" in said
    flat = {c.id for claims in CLAIMS.values() for c in claims if c.holds == "within"}
    tested = [one.where(one != "not testable here", drop=True) for one in trusted]  # all intervals
    error = sum(0.05 if id in flat else 0.025 for one in tested for id in one["claim"].values)
    (chance,) = re.findall(r"By chance ([\d.]+) false verdicts", said)
    assert chance == f"{error:.2g}"
    assert " 0 are undecided because" in said
    papers_way = [one.verdict.sel(estimator="biased", self_term="one") for one in ledgers]
    ours, theirs = (np.concatenate([one.values for one in way]) for way in (trusted, papers_way))
    pairs = [pair for pair in zip(ours, theirs, strict=True) if len(set(pair)) == 2]
    against = sum("undecided" not in pair and "not testable here" not in pair for pair in pairs)
    assert f"in the paper, {len(pairs)} are others, and {against} of these the opposite" in said
    example = worked_example(ledgers)
    assert "The 3 trainings give" in example and "The verdict is reproduced." in example
    assert worked_example([]).startswith("No result")


def test_nothing_was_run(nothing_run):
    for section, path, ledgers, rest in nothing_run:
        assert path == Path("nowhere") / f"{section}.nc" and rest == list(
            paper_of(section).datasets[section]
        )
        (one,) = ledgers
        assert set(one.verdict.values.ravel()) == {"not testable here"}
        assert set(one.reason.values) == {"not run"} and one.sizes["claim"] == len(CLAIMS[section])


def test_the_joined_ledger(project):
    """Every verdict of every section, and of those not run, in one file that stands by itself."""
    folder = project / "data" / "runs" / "smoke"
    results = as_the_paper()
    for section in ("compression_expansion", "robustness"):  # seeds that no other ledger has
        save_results(results[section].assign_coords(train_seed=[5, 6, 7]), folder / f"{section}.nc")
    section = ClaimsLedger.from_parameters({"scale": "smoke"})
    ds = section.dataset()
    xr.testing.assert_identical(ds, open_results(section.output))
    expected = [
        (" @ ".join([id, *words]), ledger.verdict.sel(claim=id).values.tolist())
        for name, _, ledgers, _ in judged(folder)
        for ledger in ledgers
        for words in [[str(ledger[d].values) for d in ("dataset", "recipe") if d in ledger.coords]]
        for id in (claim.id for claim in CLAIMS[name])
    ]
    assert ds["claim"].values.tolist() == [name for name, _ in expected]
    assert ds["verdict"].values.tolist() == [verdict for _, verdict in expected]
    assert "A-4.3-compression-classification @ cifar10 @ ngd:50" in ds["claim"]
    assert "A-4.4-sgd-trainings-agree @ cifar10" in ds["claim"]
    assert ds["reason"].sel(claim="A-B-accuracy-imagenet") == "not run"
    table = claims_table(ds)
    assert not table.map(lambda cell: "nan" in str(cell).lower().split("(")[-1][:3]).any().any()
    texts = json.loads(ds.attrs["claims"])
    assert [text["id"] for text in texts] == ds["claim"].values.tolist()


def test_the_command_prints_all_claims(project, saved, capsys):
    results = project / "data" / "results"
    results.mkdir(parents=True)
    (results / "smoke").symlink_to(saved)
    assert main(["claims", "--scale", "smoke"]) == 0
    out = capsys.readouterr().out
    printed = [claim.id for claim in ALL if f"\n{claim.id} " in out]
    assert printed == [claim.id for claim in PAPER_A] and len(printed) >= 40
    assert "unlearning: no results at scale smoke" in out
    assert "robustness: 2 claims, judged on data/results/smoke/robustness.nc" in out
    assert "not run: cifar100, eurosat, oxford_pets" in out and out.count("not run:") == 3
    assert "inverted by ngd:50" in out and "3 trainings" in out


def test_the_table_of_claims_is_read_without_torch():
    code = (
        "import sys, papers.across.claims_ledger as ledger; assert ledger.ClaimsLedger.uses; "
        "assert not {'torch', 'timm', 'xarray', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_open_question_without_results_is_not_answered(nothing_run):
    ledgers = {name: ledgers for name, _, ledgers, _ in nothing_run}
    text = open_questions(ledgers)
    assert text.count("none: not run yet") == 6 and "data_set_size.html" in text


def test_an_open_question_says_what_its_expectations_came_to(nothing_run):
    ledgers = {
        name: [one.copy(deep=True) for one in ledgers] for name, _, ledgers, _ in nothing_run
    }
    (one,) = ledgers["data_set_size"]
    one["verdict"][:] = "reproduced"
    one["verdict"][0] = "undecided"
    one["value"] = xr.ones_like(one["value"])
    text = open_questions(ledgers)
    count = one.sizes["claim"]
    assert f"Of {count} expectations: {count - 1} reproduced, 1 undecided." in text
    trainings = one.sizes["train_seed"]
    assert f">{trainings} training{'s' * (trainings > 1)} of a kind<" in text
