"""Read what the papers report and claim from ``data/papers/*.yaml``. Imports no torch, no xarray.

``data/papers/README.md`` describes the files. A name in braces stands for a fact, a choice of ours
or a value of the claim's ``for``, so that each number is written once.
"""

from __future__ import annotations

import itertools
import math
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from invlib.names import choices, nearest
from invlib.paths import project_root
from papers.parameters import Name, explain, one_of

__all__ = ["ClaimData", "Paper", "paper_of", "reported", "sections_with_claims"]

# A hundredth of the range of STIR and CKA. A smaller change is taken to be no change: a curve rises
# only if it rises by more. Denominators of ratios are at least this large, so that noise divided by
# noise is no finding. A larger denominator only makes a claim harder to reproduce.
RESOLUTION = 0.01


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _Fact(_Entry):
    value: Any
    place: Name
    about: Name


class _Choice(_Entry):
    value: Any
    because: Name


def _combined(value: Any) -> Any:
    """Return the difference or product of two values, for each data set that both have."""
    if not isinstance(value, dict) or value.keys() not in ({"difference"}, {"product"}):
        return value
    ((how, (a, b)),) = value.items()

    def combine(x: float, y: float) -> float:
        return round(x - y, 3) if how == "difference" else x * y

    if not isinstance(a, dict):
        return combine(a, b)
    b = b if isinstance(b, dict) else dict.fromkeys(a, b)
    return {dataset: combine(a[dataset], b[dataset]) for dataset in a if dataset in b}


class ClaimData(_Entry):
    """A claim as its file has it, with the names in braces replaced.

    Parameters
    ----------
    id : str
        ``"A-4.1-u-shape-learning"``: paper, section of the paper, subject. It never changes.
    figure, words, number, unit : str
        The paper's figure, the statement, the number in words, and its unit.
    measure, arguments
        A function of `papers.claims.shapes` or of the section's own measures, and its arguments
        (``with`` in the file).
    above, below : float
        The threshold, of which there is one: the claim holds if the number is above, or below.
    because : str
        The reason for the threshold.
    paper : float or mapping
        The paper's number, or one for each data set.
    needs : mapping
        What results must have, see `Claim`.
    """

    id: Annotated[str, Field(pattern=r"^[A-Z]-(\d(\.\d)?|[A-Z](\.\d)?)-[a-z0-9-]+$")]
    figure: str = ""
    words: Annotated[str, Field(pattern=r"\.$")]
    number: Annotated[str, Field(pattern=r"[^.]$")]
    unit: one_of(
        "STIR", "CKA", "ratio", "layers", "correlation", "share", "accuracy", "p", "nats", "depth"
    )
    measure: Name
    arguments: Annotated[dict[str, Any], Field(alias="with")] = {}
    above: float | None = None
    below: float | None = None
    because: Name
    paper: Annotated[float | dict[str, float], BeforeValidator(_combined)] = math.nan
    needs: dict[str, list | int] = {}

    @model_validator(mode="after")
    def _one_threshold(self) -> ClaimData:
        if (self.above is None) == (self.below is None):
            raise ValueError("either above or below, with a number")
        return self


class _File(_Entry):
    paper: Annotated[str, Field(pattern="^[A-Z]$")]
    facts: dict[str, _Fact]
    choices: dict[str, _Choice] = {}
    datasets: dict[str, list[Name]]
    claims: dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Paper:
    """The content of one file: facts by name; data sets and claims by section (notebook)."""

    file: str
    letter: str
    facts: Mapping[str, Any]
    datasets: Mapping[str, list[str]]
    claims: Mapping[str, tuple[ClaimData, ...]]


class _Fill(string.Formatter):
    """Write values into text: layers as ``"4–6"``, numbers without trailing zeros."""

    def get_field(self, name: str, args: Any, values: Mapping[str, Any]) -> tuple[Any, str]:
        try:
            return super().get_field(name, args, values)
        except (KeyError, IndexError) as error:
            missing = error.args[0]
            raise ValueError(f"{{{name}}} names no fact{nearest(missing, values)}") from None

    def format_field(self, value: Any, spec: str) -> str:
        if isinstance(value, list):
            return f"{value[0]}–{value[-1]}"
        return f"{value:g}" if isinstance(value, float) else str(value)


def filled(value: Any, names: Mapping[str, Any]) -> Any:
    """Replace every name in braces within `value`. A name alone becomes the value itself.

    Examples
    --------
    >>> filled(["{late}", "layers {late}"], {"late": [10, 12]})
    [[10, 12], 'layers 10–12']
    >>> filled("layers {lat}", {"late": [10, 12]})
    Traceback (most recent call last):
        ...
    ValueError: {lat} names no fact; did you mean 'late'?
    """
    if isinstance(value, dict):
        return {key: filled(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, names) for item in value]
    if not isinstance(value, str):
        return value
    if alone := re.fullmatch(r"\{([^{}]+)\}", value):
        return _Fill().get_field(alone[1], (), names)[0]
    return _Fill().vformat(value, (), names)


def read_paper(text: str, file: str) -> Paper:
    """Return the content of a paper's file from its `text`.

    Raises
    ------
    ValueError
        A line with the file, the claim, the mistake and the nearest valid name.
    """
    try:
        data = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(f"{file}: {' '.join(str(error).split())}") from None
    read = _valid(_File, data, file)
    if unpaired := read.claims.keys() ^ read.datasets.keys():
        raise ValueError(f"{file}: {min(unpaired)} is not in both datasets and claims")
    facts = {name: fact.value for name, fact in read.facts.items()}
    names = {"resolution": RESOLUTION} | facts
    names |= {name: choice.value for name, choice in read.choices.items()}
    claims = {
        section: tuple(
            _claim(entry, values, names, f"{file}: claim {entry.get('id', f'of {section}')}")
            for entry in entries
            for values in entry.get("for", [{}])
        )
        for section, entries in read.claims.items()
    }
    for claim in itertools.chain(*claims.values()):
        if claim.id[0] != read.paper:
            raise ValueError(f"{file}: claim {claim.id} is not one of paper {read.paper}")
    return Paper(file, read.paper, facts, read.datasets, claims)


def _claim(entry: dict, values: dict, names: dict, where: str) -> ClaimData:
    try:
        names = names | filled(values, names)
        entry = {key: filled(item, names) for key, item in entry.items() if key != "for"}
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return _valid(ClaimData, entry, where)


def _valid(model: type[_Entry], data: Any, where: str) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        # a misspelt field is also reported as missing: unknown fields first
        first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    path = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        parts = (model, _Fact, _Choice) if model is _File else (model,)
        fields = [f.alias or key for part in parts for key, f in part.model_fields.items()]
        message = f"unknown field {path!r}{nearest(first['loc'][-1], fields)}"
    elif first["type"] == "missing":
        message = f"{path!r} is missing"
    else:
        message = explain(first) if path else str(first["ctx"]["error"])
    raise ValueError(f"{where}: {message}")


@cache
def _papers() -> dict[str, Paper]:
    """Return every paper by its letter, in order."""
    files = (project_root() / "data" / "papers").glob("*.yaml")
    papers = [read_paper(file.read_text(encoding="utf-8"), file.name) for file in files]
    return {paper.letter: paper for paper in sorted(papers, key=lambda paper: paper.letter)}


def reported(paper: str) -> Mapping[str, Any]:
    """Return the facts that a paper reports, by name.

    Examples
    --------
    >>> reported("A")["correlation_classification"]["cifar10"]
    0.97
    """
    return _papers()[choices("paper", paper, _papers())].facts


def sections_with_claims() -> tuple[str, ...]:
    """Return the sections (notebooks) whose results decide claims, paper by paper.

    Examples
    --------
    >>> sections_with_claims()[-1]
    'collapse_and_plasticity'
    """
    return tuple(section for paper in _papers().values() for section in paper.claims)


def paper_of(section: str) -> Paper:
    """Return the paper of a section.

    Examples
    --------
    >>> paper_of("dynamics").datasets["dynamics"]
    ['cifar10', 'cifar100']
    """
    choices("section", section, sections_with_claims())
    return next(paper for paper in _papers().values() if section in paper.claims)
