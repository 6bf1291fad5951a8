"""The claims as data: what is wrong in a file is said in one line, and numbers stand once."""

from __future__ import annotations

import re

import pytest
import yaml

from invlib.paths import project_root
from papers.across.work.claims_ledger import CLAIMS, MEASURES
from papers.claims.data import ClaimData, Paper, filled, paper_of, read_paper, reported
from papers.claims.measures import claim_of
from papers.claims.shapes import SHAPES
from papers.merlin2023.claims import compression_expansion

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
    ({"above": 0.5}, "either above or below"),
    ({"below": ...}, "either above or below"),
    ({"words": "In layers {erly}."}, r"claim A-4\.1-small-early: \{erly\}.*did you mean 'early'\?"),
    ({"paper": "{seen[cifar100]}"}, "{seen.cifar100.} names no fact"),
    ({"words": "No full stop"}, "words='No full stop'"),
    ({"unit": "CKAs"}, "unit='CKAs'.*; did you mean 'CKA'"),
    ({"figure": 2}, "figure=2 is a number where text is wanted"),
    ({"id": "A-small"}, "id='A-small'"),
    ({"id": "B-4.1-small-early"}, "claim B-4.1-small-early is not one of paper A"),
    ({"paper": "high"}, "paper"),
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
        ({"measure": "mean_flwo"}, "no measure is called.*did you mean 'mean_flow'"),
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
    ],
)
def test_a_measure_that_does_not_exist_or_is_given_something_else(change, said):
    paper = paper_with(CLAIM | change)
    (data,) = paper.claims["dynamics"]
    with pytest.raises(ValueError, match=f"^test.yaml: claim A-4.1-small-early: .*{said}"):
        claim_of(data, paper, compression_expansion)


@pytest.mark.parametrize("section", CLAIMS)
def test_claims_are_their_data(section):
    """Section and paper come from the id, the threshold has a direction and a reason."""
    for data, claim in zip(paper_of(section).claims[section], CLAIMS[section], strict=True):
        assert claim.id == data.id == f"{claim.paper}-{claim.section}-{data.id.split('-', 2)[2]}"
        assert (claim.threshold, claim.above) in ((data.above, True), (data.below, False))
        assert data.because


def test_no_measure_is_without_a_claim():
    named = {data.measure for section in CLAIMS for data in paper_of(section).claims[section]}
    own = {name for module in MEASURES.values() for name in module.__all__}
    assert named == own | set(SHAPES)


def test_a_file_that_is_no_yaml():
    with pytest.raises(ValueError, match="^test.yaml: .*line 2") as error:
        read_paper("paper: A\nfacts: {a: [1}", "test.yaml")
    assert "\n" not in str(error.value)


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
