"""The files of a scale: what is wrong with one is named."""

from __future__ import annotations

import pytest
import yaml

from papers.parameters import ParameterError, _is_plain, load_scale
from papers.sections import SECTIONS
from tests.workspace import ROOT


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1", "a mapping of parameters is wanted"),
        ("a: [", "while parsing"),
        ("scale: laptop", "an override leaves the scale as it is"),
    ],
)
def test_an_override_of_no_use_is_named(tmp_path, text, said):
    file = tmp_path / "over.yaml"
    file.write_text(text)
    with pytest.raises(ParameterError, match=said) as caught:
        load_scale("cifar", file)
    assert "over.yaml" in str(caught.value)


def test_an_override_that_is_not_there_is_named():
    with pytest.raises(ParameterError, match=r"nowhere\.yaml"):
        load_scale("cifar", "nowhere.yaml")


def test_an_override_that_is_misspelt_names_the_nearest(monkeypatch):
    monkeypatch.chdir(ROOT)
    for name in ("cpu", "notebooks/scales/overrides/cup.yaml"):
        with pytest.raises(
            ParameterError, match=r"no such file; did you mean notebooks/.*/cpu.yaml"
        ):
            load_scale("cifar", name)


def test_yaml_that_holds_itself_or_billions_of_values_is_refused_at_once():
    """Nine lines with nine aliases each stand for 9⁹ values."""
    lines = ["a0: &a0 [0]"]
    lines += [f"a{k}: &a{k} [{', '.join(9 * [f'*a{k - 1}'])}]" for k in range(1, 10)]
    bomb = yaml.safe_load("\n".join(lines))["a9"]
    itself = yaml.safe_load("&a [1, *a]")
    for value in (bomb, itself, {"deep": bomb}):
        with pytest.raises(ParameterError, match="seeds=.* at most 10,000") as refused:
            SECTIONS["dynamics"].from_parameters({"seeds": value})
        assert len(str(refused.value)) < 500
    shared = [1, 2]
    assert _is_plain([shared, shared, {"a": shared}]) and not _is_plain({"a": [{1: 2}]})
