"""The claims as data: what is wrong in a file is said in one line, and numbers stand once."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml

from invlib.paths import project_root
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.data import (
    ClaimData,
    Paper,
    covered,
    filled,
    paper_of,
    read_paper,
    read_papers,
    reported,
    statements,
)
from papers.claims.measures import claim_of
from papers.claims.shapes import SHAPES
from papers.merlin2023.claims import compression_expansion
from papers.section import section_class
from tests.forked import run_module
from tests.workspace import ROOT, environment

CLAIM = {
    "id": "A-4.1-small-early",
    "words": "CKA divergence is small in layers {early}.",
    "number": "mean CKA divergence of layers {early}",
    "measure": "greatest_level",
    "with": {"curves": [["CKA divergence", "classification"]], "layers": "{early}"},
    "below": 0.1,
    "because": "a tenth of the range",
    "unit": "CKA",
}
PAPER = {
    "paper": "A",
    "facts": {
        "seen": {"value": {"cifar10": 0.9}, "place": "Section 4", "about": "a number"},
        "layers": {"value": [0, 1, 2, 3], "place": "Section 3", "about": "of the network"},
    },
    "choices": {"early": {"value": [0, 3], "because": "before the valley"}},
    "datasets": {"dynamics": ["cifar10"]},
}


def paper_with(claim: dict, **parts: object) -> Paper:
    text = yaml.safe_dump(PAPER | {"claims": {"dynamics": [claim]}} | parts)
    return read_paper(text, "test.yaml")


def read(claim: dict, **parts: object) -> tuple[ClaimData, ...]:
    return paper_with(claim, **parts).claims["dynamics"]


def test_names_in_braces_are_values_alone_and_words_in_a_text():
    (claim,) = read(CLAIM)
    assert claim.words == "CKA divergence is small in layers 0–3."
    assert claim.arguments["layers"] == [0, 3]
    assert filled({"a": ["{x}", "{x[1]}: {y}", 1]}, {"x": [2, 4], "y": 0.50}) == {
        "a": [[2, 4], "4: 0.5", 1]
    }


def test_a_threshold_may_differ_between_the_columns_of_the_ledger():
    margin = {"debiased": {"measured": 0.021, "one": 0.018}, "biased": 0.037}
    choices = PAPER["choices"] | {"margin": {"value": margin, "because": "of a placebo"}}
    change = {"below": "{margin}", "number": "what is below {margin}"}
    (claim,) = read(CLAIM | change, choices=choices)
    assert claim.threshold == margin and claim.holds == "below"
    assert claim.number == "what is below 0.021 (debiased, self term 1: 0.018; biased: 0.037)"


def test_an_entry_makes_a_claim_for_each_of_its_values():
    tasks = [{"task": "classification"}, {"task": "reconstruction"}]
    claims = read(
        CLAIM
        | {"for": tasks, "id": "A-4.1-small-{task}"}
        | {"with": {"curves": [["CKA divergence", "{task}"]], "layers": "{early}"}}
    )
    assert [claim.id for claim in claims] == [
        "A-4.1-small-classification", "A-4.1-small-reconstruction"
    ]  # fmt: skip
    assert claims[1].arguments["curves"] == [["CKA divergence", "reconstruction"]]


@pytest.mark.parametrize(
    ("paper", "value"),
    [
        ("{seen}", {"cifar10": 0.9}),
        ({"difference": ["{seen}", {"cifar10": 0.7, "cifar100": 0.1}]}, {"cifar10": 0.2}),
        ({"product": ["{seen}", 2]}, {"cifar10": 1.8}),
        ({"difference": [5, 3]}, 2),
    ],
)
def test_the_papers_value(paper, value):
    assert read(CLAIM | {"paper": paper})[0].paper == value


WRONG = [
    ({"abov": 0.5}, r"claim A-4\.1-small-early: unknown field 'abov'; did you mean 'above'\?"),
    ({"because": None}, "claim A-4.1-small-early: because=None is null where text is wanted"),
    ({"because": ...}, "claim A-4.1-small-early: 'because' is missing"),
    ({"above": 0.5}, "one of above, below and within"),
    ({"below": ...}, "one of above, below and within"),
    ({"below": "low"}, "below='low' is text where a number is wanted"),
    ({"below": {"debiased": 0.1}}, "below=.*: allowed is a number, or one for each of biased, de"),
    ({"below": {"debiased": 0.1, "biased": "0.1"}}, "below=.*: allowed is a number, or one for"),
    ({"below": {"debiased": 0.1, "biased": {"one": 0.1}}}, "stand one for each of measured, one"),
    ({"below": {"debiased": 0.1, "biased": float("nan")}}, "below=.* finite number"),
    ({"below": None, "within": {"debiased": 0.1, "biased": 0}}, "within=.* greater than 0"),
    ({"number": "more than {seen}"}, "small-early: allowed is a number, or one for each of biased"),
    ({"words": "In layers {erly}."}, r"claim A-4\.1-small-early: \{erly\}.*did you mean 'early'\?"),
    ({"paper": "{seen[cifar100]}"}, "{seen.cifar100.} names no fact"),
    ({"words": "No full stop"}, "words='No full stop'"),
    ({"unit": "CKAs"}, "unit='CKAs'.*; did you mean 'CKA'"),
    ({"figure": 2}, "figure=2 is a number where text is wanted"),
    ({"id": "A-small"}, "id='A-small'"),
    ({"id": "B-4.1-small-early"}, "claim B-4.1-small-early is not one of paper A"),
    ({"paper": "high"}, "paper='high': allowed is a number, a number for each data set"),
    ({"paper": {"difference": ["a", "b"]}}, "difference takes two values, each a number or"),
    ({"paper": {"difference": [1]}}, "difference takes two values"),
    ({"paper": {"product": 3}}, "product takes two values"),
    ({"words": "In {layers[a]}."}, r"\{layers\[a\]\} names no fact; layers is \[0, 1, 2, 3\]"),
    ({"words": "In {layers[9]}."}, r"\{layers\[9\]\} names no fact"),
    ({"words": "In {layers.foo}."}, r"\{layers\.foo\} names no fact"),
    ({"words": "In {layers.sort}."}, r"\{layers\.sort\} names no fact"),
    ({"id": "A-4.1-Small"}, r"string should match pattern '\^\[A-Z\]-"),
    ({"with": "layers"}, "with='layers' is text where a mapping is wanted$"),
    ({"needs": {"layer": 1.5}}, "needs.layer=1.5 is a number where a list is wanted$"),
    ({"for": []}, r"small-early: for=\[\]: a list of mappings is wanted, at least one"),
    ({"for": "task"}, "for='task': a list of mappings"),
    ({"for": 3}, "for=3: a list of mappings"),
    ({"for": None}, "for=None: a list of mappings"),
    ({"for": {"task": "x"}}, "for={'task': 'x'}: a list of mappings"),
    ({"for": ["x"]}, r"for=\['x'\]: a list of mappings"),
    (
        {"for": [{"a": 1}, {"a": 1, "b": 2}]},
        "small-early: the mappings of for differ in their keys",
    ),
    ({"for": [{"a": 1}, {"a": 2}]}, "claim A-4.1-small-early stands there twice"),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_what_is_wrong_is_said_in_one_line(change, said):
    claim = {name: value for name, value in (CLAIM | change).items() if value is not ...}
    with pytest.raises(ValueError, match=f"^test.yaml: .*{said}") as error:
        read(claim)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fact": {}}, "unknown field 'fact'; did you mean 'facts'"),
        ({"facts": {"seen": {"value": 1, "about": "x"}}}, "'facts.seen.place' is missing"),
        ({"choices": {"early": {"value": 1}}}, "'choices.early.because' is missing"),
        (
            {"choices": {"early": {"value": 1, "becuase": "x"}}},
            "'choices.early.becuase'; did you mean 'because'",
        ),
        ({"datasets": {}}, "dynamics is not in both datasets and claims"),
        ({"facts": {"seen": 1.0}}, "facts.seen=1.0 is a number where a mapping is wanted"),
        (
            {"claims": {"dynamics": [CLAIM, "hello"]}},
            r"claims.dynamics\[1\]='hello' is text where a mapping is wanted",
        ),
        ({"claims": {"dynamics": "hello"}}, "claims.dynamics='hello' is .* a list is wanted$"),
        ({"claims": {"dynamics": []}}, r"claims.dynamics=\[\]: list should have at least 1 item"),
    ],
)
def test_so_is_what_is_wrong_with_a_paper(change, said):
    with pytest.raises(ValueError, match=f"^test.yaml: .*{said}") as error:
        read(CLAIM, **change)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"measure": "greatest_levl"}, "no measure is called.*did you mean 'greatest_level'"),
        ({"measure": "mean_flwo"}, "no measure.* 'mean_flow'.*papers/<paper>/claims/<sec"),
        ({"with": CLAIM["with"] | {"layer": [1, 2]}}, "takes no 'layer'; did you mean 'layers'"),
        (
            {"measure": "valley_depth", "with": {"left": [0], "floor": [1], "right": [2]}},
            "no curves",
        ),
        (
            {"with": {"curves": [["learning", "classification"]]}},
            "greatest_level: missing.*'layers'",
        ),
        ({"with": {"curves": [["learning"]] * 2, "layers": [0]}, "measure": "early_peak"}, "many"),
        ({"with": {"curves": [["lerning"]], "layers": [0]}}, "did you mean 'learning'"),
        ({"with": {"curves": [["learning", "cifr"]], "layers": [0]}}, "did you mean 'cifar'"),
        ({"needs": {"severty": [1]}}, "no results have 'severty'; did you mean 'severity'"),
        ({"needs": {"variables": ["cka_pt_tp"]}}, "no results have 'cka_pt_tp'; did you mean"),
        ({"measure": "mean_flow", "with": {}}, "mean_flow: missing a required.*'task'"),
        (
            {"needs": {"variables": 1}},
            "needs variables=1: epochs is a number, all others are lists",
        ),
        ({"needs": {"epochs": [1]}}, "needs epochs=.1.: epochs is a number"),
        (
            {"measure": "compressed_pairs", "with": {"task": "classification"}},
            "needs has neither variables nor matrices",
        ),
        ({"with": {"curves": 7, "layers": [0]}}, "curves=7: a list of curves is wanted"),
        ({"with": {"curves": ["learning"], "layers": [0]}}, "curves='learning': a curve is "),
        ({"with": {"curves": [[]], "layers": [0]}}, r"curves=\[\]: a curve is \[quantity\] or"),
    ],
)
def test_a_measure_that_does_not_exist_or_is_given_something_else(change, said):
    paper = paper_with(CLAIM | change)
    (data,) = paper.claims["dynamics"]
    with pytest.raises(ValueError, match=f"^test.yaml: claim A-4.1-small-early: .*{said}"):
        claim_of(data, paper, compression_expansion)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([3, 99], "allowed are layers 0 to 3"),
        (7, "allowed is a list of whole numbers, rising"),
        ("abc", "allowed is a list of whole numbers, rising"),
        ([1.5, 2.5], "allowed is a list of whole numbers, rising"),
        ([3, 1], "allowed is a list of whole numbers, rising"),
        ([], "allowed is a list of whole numbers, rising"),
    ],
)
def test_layers_that_the_network_does_not_have(layers, said):
    paper = paper_with(CLAIM | {"with": CLAIM["with"] | {"layers": layers}})
    (data,) = paper.claims["dynamics"]
    with pytest.raises(ValueError) as error:
        claim_of(data, paper)
    assert str(error.value) == f"test.yaml: claim {CLAIM['id']}: layers={layers!r}: {said}"


def test_a_shape_needs_the_layers_of_the_network():
    paper = paper_with(CLAIM | {"with": CLAIM["with"] | {"layers": [0]}}, facts={})
    (data,) = paper.claims["dynamics"]
    with pytest.raises(
        ValueError, match="^test.yaml: claim A-4.1-small-early: .* no fact 'layers'"
    ):
        claim_of(data, paper)


def test_the_layers_of_the_network_are_numbers():
    fact = {"value": "all", "place": "x", "about": "y"}
    paper = paper_with(CLAIM, facts={"layers": fact})
    (data,) = paper.claims["dynamics"]
    with pytest.raises(
        ValueError, match="early: the fact layers='all': allowed is a list of whole"
    ):
        claim_of(data, paper)


@pytest.mark.parametrize("section", CLAIMS)
def test_claims_are_their_data(section):
    """Section and paper come from the id, the threshold has a direction and a reason."""
    for data, claim in zip(paper_of(section).claims[section], CLAIMS[section], strict=True):
        assert claim.id == data.id == f"{claim.paper}-{claim.section}-{data.id.split('-', 2)[2]}"
        assert claim.threshold == getattr(data, claim.holds)
        assert data.because


def test_no_measure_is_without_a_claim():
    named = {data.measure for section in CLAIMS for data in paper_of(section).claims[section]}
    own = {name for s in CLAIMS for name in getattr(section_class(s).measures(), "__all__", ())}
    assert named == own | set(SHAPES)


def test_a_file_that_is_no_yaml():
    with pytest.raises(ValueError, match="^test.yaml: .*line 2") as error:
        read_paper("paper: A\nfacts: {a: [1}", "test.yaml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "null", "- a\n- b", "hello", "3"])
def test_a_file_that_is_no_mapping(text):
    with pytest.raises(ValueError, match="^test.yaml: a mapping is wanted, with paper, facts"):
        read_paper(text, "test.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("paper: A\nfacts: {}\npaper: B", "line 3: 'paper' stands in line 1 already"),
        ("facts:\n  a: {place: x,\n      place: y}", "line 3: 'place' stands in line 2 already"),
        ("claims: {s: [{id: x},\n  {id: y, id: z}]}", "line 2: 'id' stands in line 2 already"),
        ("paper: 2020-13-45", "month must be in"),
    ],
)
def test_a_key_that_stands_twice_and_a_date_that_does_not_exist(text, said):
    with pytest.raises(ValueError, match=f"^test.yaml: {said}"):
        read_paper(text, "test.yaml")


def test_an_alias_may_be_used_twice():
    text = yaml.safe_dump(PAPER | {"claims": {"dynamics": [CLAIM]}})
    twice = text.replace("datasets:", "choices_: &a {x: 1}\nother: [*a, *a]\ndatasets:")
    with pytest.raises(ValueError, match="unknown field 'choices_'"):  # which comes after the keys
        read_paper(twice, "test.yaml")


def write(folder, name: str, letter: str, section: str) -> None:
    paper = PAPER | {"paper": letter, "datasets": {section: ["cifar10"]}}
    claims = {section: [CLAIM | {"id": f"{letter}-4.1-x"}]}
    (folder / name).write_text(yaml.safe_dump(paper | {"claims": claims}))


def test_papers_come_in_the_order_of_their_letters(tmp_path):
    write(tmp_path, "a.yaml", "B", "dynamics")
    write(tmp_path, "b.yaml", "A", "accuracy")
    assert list(read_papers(tmp_path)) == ["A", "B"]


@pytest.mark.parametrize(
    ("letter", "section", "said"),
    [
        ("A", "accuracy", "paper A stands in two files, a.yaml and b.yaml"),
        ("B", "dynamics", "section dynamics stands in two files, a.yaml and b.yaml"),
    ],
)
def test_what_stands_in_two_files(letter, section, said, tmp_path):
    write(tmp_path, "b.yaml", letter, section)
    write(tmp_path, "a.yaml", "A", "dynamics")
    with pytest.raises(ValueError, match=f"^{said}$"):
        read_papers(tmp_path)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ValueError, match="^a.yaml: this is not UTF-8 text"):
        read_papers(tmp_path)


def test_a_fact_that_is_not_there():
    with pytest.raises(ValueError, match="no fact 'layer'; did you mean 'layers'"):
        paper_with(CLAIM).facts["layer"]


@pytest.fixture
def copy(tmp_path):
    """A copy of the project's code and claims, which may be broken."""
    for folder in ("invlib", "papers", "data/papers", "notebooks/scales"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy2(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def command(folder, *words: str) -> subprocess.CompletedProcess:
    return run_module(["papers", *words], cwd=folder, env=environment(folder))


def test_a_broken_file_stops_the_ledger_and_no_other_command(copy):
    (copy / "data/papers/goerttler2022.yaml").write_text("paper: [")
    ledger = command(copy, "claims", "--scale", "cifar")
    assert ledger.returncode == 2 and ledger.stdout == ""
    assert ledger.stderr.startswith("papers: error: goerttler2022.yaml: ")
    assert ledger.stderr.count("\n") == 1
    for words in (["--help"], ["train", "--help"], ["train", "--scale", "smoke"]):
        other = command(copy, *words)
        assert other.returncode == 0 and other.stderr == "", other.stderr


def test_a_measure_and_a_fact_that_are_gone_are_one_line(copy):
    path = copy / "data/papers/goerttler2022.yaml"
    text = path.read_text("utf-8")
    path.write_text(text.replace("\n  randomness:\n", "\n  randomnes:\n"), "utf-8")
    ledger = command(copy, "claims", "--scale", "cifar")
    assert ledger.returncode == 2 and ledger.stderr.count("\n") == 1
    assert "goerttler2022.yaml: " in ledger.stderr and "did you mean 'randomnes'" in ledger.stderr


def test_measures_are_found_by_the_name_of_the_section(copy):
    """`finetuning_task` has no measures of its own; here it gets a module, and nothing else."""
    (copy / "papers/merlin2023/claims/finetuning_task.py").write_text(
        '"""Measures."""\n\n__all__ = ["planted"]\n\n\ndef planted(ds):\n    return ds.planted\n'
    )
    path = copy / "data/papers/merlin2023.yaml"
    data = yaml.safe_load(path.read_text("utf-8"))
    claim = CLAIM | {"id": "A-4.1-planted", "measure": "planted", "with": {}}
    claim["needs"] = {"variables": ["stir_pt_pt"]}
    data["claims"]["finetuning_task"].append(claim)
    path.write_text(yaml.safe_dump(data), "utf-8")
    ledger = command(copy, "claims", "--scale", "cifar")
    assert ledger.returncode == 0, ledger.stderr


def test_claims_of_a_section_that_does_not_exist(copy):
    path = copy / "data/papers/merlin2023.yaml"
    path.write_text(re.sub(r"^  dynamics:", "  dynamic:", path.read_text("utf-8"), flags=re.M))
    ledger = command(copy, "claims", "--scale", "cifar")
    assert ledger.returncode == 2 and ledger.stderr.count("\n") == 1
    assert "error: merlin2023.yaml: section='dynamic' is not one of" in ledger.stderr
    assert "did you mean 'dynamics'?" in ledger.stderr


def test_choices_agree_with_the_facts_they_are_about():
    """What is next to a number of the paper, or at an end of its network, moves with it."""
    files = (project_root() / "data" / "papers").glob("*.yaml")
    papers = {p["paper"]: p for p in (yaml.safe_load(f.read_text("utf-8")) for f in files)}
    facts, ours = (
        {name: one["value"] for name, one in papers["A"][part].items()}
        for part in ("facts", "choices")
    )
    turn = facts["turning_layer_classification"]
    assert ours["valley"] == [turn - 1, turn + 1]
    assert ours["late"] == [facts["layers"][-3], facts["layers"][-1]]
    assert ours["early"] == [0, facts["forgetting_rises_from_reconstruction"]]
    layers = reported("B")["layers"]
    ours = {name: one["value"] for name, one in papers["B"]["choices"].items()}
    assert ours["early"] == layers[:2] and ours["late"] == layers[-2:]
    assert [*range(ours["blocks"][0], ours["blocks"][1] + 1), ours["logits"]] == layers


def test_no_words_are_left_unfilled():
    for section in CLAIMS:
        for data in paper_of(section).claims[section]:
            assert not re.search(r"[{}]", f"{data.id}{data.words}{data.number}{data.figure}")


def test_what_the_paper_reports():
    assert reported("A")["correlation_classification"] == {"cifar10": 0.97, "cifar100": 0.97}
    with pytest.raises(ValueError, match="paper='Z' is not one of"):
        reported("Z")


def test_every_statement_has_a_claim_or_a_reason_and_every_claim_a_statement():
    said = [statement for of_paper in statements().values() for statement in of_paper]
    assert len(said) == 95 and all(bool(s.claims) != bool(s.open) for s in said)
    named = {id for statement in said for id in statement.claims}
    assert named == {claim.id for claims in CLAIMS.values() for claim in claims}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("claims: [A-1-hihg]", "statement 1: no claim is 'A-1-hihg'; did you mean 'A-1-high'"),
        ("claims: ['B-*']", "statement 1: no claim is 'B-"),
        ("claims: []", "either claims, or open"),
        ("open: why, claims: [A-1-high]", "either claims, or open"),
        ("opne: why", "unknown field 'opne'; did you mean 'open'"),
    ],
)
def test_a_statement_without_claim_or_reason_is_named(entry, message):
    text = f"""
paper: A
facts: {{layers: {{value: [0, 1], place: x, about: y}}}}
datasets: {{toy: [digits]}}
claims:
  toy:
    - {{id: A-1-high, words: It is high., number: the value, unit: STIR, measure: lowest,
       with: {{curves: [[learning]]}}, above: 0, because: any}}
statements:
  - {{place: "1", says: It is high., {entry}}}
"""
    with pytest.raises(ValueError, match=re.escape(message)):
        read_paper(text, "test.yaml")
    good = read_paper(text.replace(entry, "claims: ['A-1-*']"), "test.yaml")
    assert good.statements[0].claims == ("A-1-high",)


def test_readme_says_how_many_statements_have_a_claim():
    assert covered() in (project_root() / "README.md").read_text(encoding="utf-8")
