"""The files of a scale: what is wrong with one is named."""

from __future__ import annotations

import pytest

from papers.parameters import ParameterError, load_scale


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
