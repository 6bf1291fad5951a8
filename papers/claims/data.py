"""Read what the papers report and claim from ``data/papers/*.yaml``. Imports no torch, no xarray.

``data/papers/README.md`` describes the files. A name in braces stands for a fact, a choice of ours
or a value of the claim's ``for``, so that each number is written once.
"""

from __future__ import annotations

import fnmatch
import itertools
import math
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from invlib.fields import Name, explain, one_of
from invlib.names import choices, nearest
from invlib.paths import project_root
from papers.claims.columns import ByColumn, checked, each_number, in_words

__all__ = [
    "ClaimData", "Paper", "Statement", "covered", "paper_of", "read_papers", "reported",
    "sections_with_claims", "statements",
]  # fmt: skip

# A hundredth of the range of STIR and CKA. A smaller change is taken to be no change: a curve rises
# only if it rises by more. Denominators of ratios are at least this large, so that noise divided by
# noise is no finding. A larger denominator only makes a claim harder to reproduce.
RESOLUTION = 0.01
OURS = "Q"  # the letter of the questions that no paper answers


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
    how = str(*value) if isinstance(value, dict) and len(value) == 1 else ""
    if how not in ("difference", "product"):
        if not _is_number(value):
            raise ValueError(
                "allowed is a number, a number for each data set, or the difference "
                "or product of two such values"
            )
        return value
    terms = value[how]
    if not (isinstance(terms, list) and len(terms) == 2 and all(map(_is_number, terms))):
        raise ValueError(f"{how} takes two values, each a number or a number for each data set")
    a, b = terms

    def combine(x: float, y: float) -> float:
        return round(x - y, 3) if how == "difference" else x * y

    datasets = [name for term in terms if isinstance(term, dict) for name in term]
    if not datasets:
        return combine(a, b)
    a, b = (term if isinstance(term, dict) else dict.fromkeys(datasets, term) for term in terms)
    return {dataset: combine(a[dataset], b[dataset]) for dataset in a if dataset in b}


def _is_number(value: Any) -> bool:
    """Return whether `value` is a number, or a number for each of some data sets."""
    numbers = list(value.values()) if isinstance(value, dict) else [value]
    return bool(numbers) and all(type(number) in (int, float) for number in numbers)


def _by_column(value: Any, number: ValidatorFunctionWrapHandler) -> Any:
    """Return a number, or those of the ledger's columns; each of them must be a valid `number`."""
    if not isinstance(value, dict):
        return number(value)
    for one in each_number(checked(value)):
        number(one)
    return value


_Threshold = Annotated[float, WrapValidator(_by_column)]
_Margin = Annotated[float, Field(gt=0), WrapValidator(_by_column)]


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
    above, below, within : float or mapping
        The threshold, of which there is one: the claim holds if the number is above it, below it,
        or nearer to 0. It may differ between the columns of the ledger (`papers.claims.columns`).
    primary : bool
        Whether it was marked beforehand as one of the claims that matter most.
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
    above: _Threshold | None = None
    below: _Threshold | None = None
    within: _Margin | None = None
    primary: bool = False
    because: Name
    paper: Annotated[float | dict[str, float], BeforeValidator(_combined)] = math.nan
    needs: dict[str, list | int] = {}

    @model_validator(mode="after")
    def _one_threshold(self) -> ClaimData:
        if len(self._thresholds()) != 1:
            raise ValueError("one of above, below and within, with a number")
        return self

    def _thresholds(self) -> list[tuple[str, ByColumn]]:
        each = [(how, getattr(self, how)) for how in ("above", "below", "within")]
        return [(how, number) for how, number in each if number is not None]

    @property
    def holds(self) -> str:
        """How the number has to lie to the threshold: above, below, within."""
        return self._thresholds()[0][0]

    @property
    def threshold(self) -> ByColumn:
        """The number that decides, or that of each column."""
        return self._thresholds()[0][1]


class Statement(_Entry):
    """Something a paper says that could be tested: the claims that judge it, or why none does.

    A claim may be a pattern: ``"A-4.1-u-shape-*"``.
    """

    place: Name
    says: Annotated[str, Field(pattern=r"\.$")]
    claims: tuple[Name, ...] = ()
    open: str = ""

    @model_validator(mode="after")
    def _judged_or_open(self) -> Statement:
        if bool(self.claims) == bool(self.open):
            raise ValueError("either claims, or open with the reason why there is none")
        return self


class _File(_Entry):
    paper: Annotated[str, Field(pattern="^[A-Z]$")]
    facts: dict[str, _Fact]
    choices: dict[str, _Choice] = {}
    datasets: dict[str, list[Name]]
    claims: dict[str, Annotated[list[dict[str, Any]], Field(min_length=1)]]
    statements: list[dict[str, Any]] = []


@dataclass(frozen=True)
class Paper:
    """The content of one file: facts by name; data sets and claims by section; statements."""

    file: str
    letter: str
    facts: Mapping[str, Any]
    datasets: Mapping[str, list[str]]
    claims: Mapping[str, tuple[ClaimData, ...]]
    statements: tuple[Statement, ...] = ()


class _Facts(dict):
    """Facts by name. A missing name raises ValueError, so that a command prints one line."""

    def __missing__(self, name: str) -> Any:
        raise ValueError(f"the paper has no fact {name!r}{nearest(name, self)}")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML's safe loader, but a key that stands twice in a mapping is an error."""

    def get_single_node(self) -> yaml.Node | None:
        root = super().get_single_node()
        nodes = [root]
        seen = set()  # aliases lead to the same node again
        for node in nodes:
            if id(node) in seen or not isinstance(node, yaml.CollectionNode):
                continue
            seen.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                nodes += node.value
                continue
            lines = {}
            for key, value in node.value:
                line, name = key.start_mark.line + 1, (key.tag, str(key.value))
                if name in lines:
                    raise ValueError(
                        f"line {line}: {key.value!r} stands in line {lines[name]} already"
                    )
                lines[name] = line
                nodes.append(value)
        return root


class _Fill(string.Formatter):
    """Write values into text: layers as ``"4–6"``, numbers without trailing zeros.

    A number that differs between the columns of the ledger is written with those of all columns.
    """

    def get_field(self, name: str, args: Any, values: Mapping[str, Any]) -> tuple[Any, str]:
        fact, *attributes = re.sub(r"\[[^]]*\]", "", name).split(".")
        try:
            if not attributes:
                return super().get_field(name, args, values)
        except (KeyError, IndexError, TypeError):
            pass
        why = f"; {fact} is {values[fact]!r}" if fact in values else nearest(fact, values)
        raise ValueError(f"{{{name}}} names no fact{why}")

    def format_field(self, value: Any, spec: str) -> str:
        if isinstance(value, list):
            return f"{value[0]}–{value[-1]}"
        if isinstance(value, dict):
            return in_words(checked(value))
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
        data = yaml.load(text, _Loader)
    except (ValueError, yaml.YAMLError) as error:  # ValueError: a date that does not exist
        raise ValueError(f"{file}: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        fields = ", ".join(_File.model_fields)
        raise ValueError(f"{file}: a mapping is wanted, with {fields}")
    read = _valid(_File, data, file)
    if unpaired := read.claims.keys() ^ read.datasets.keys():
        raise ValueError(f"{file}: {min(unpaired)} is not in both datasets and claims")
    facts = _Facts((name, fact.value) for name, fact in read.facts.items())
    names = {"resolution": RESOLUTION} | facts
    names |= {name: choice.value for name, choice in read.choices.items()}
    claims = {
        section: tuple(
            claim
            for entry in entries
            for claim in _claims(entry, names, f"{file}: claim {entry.get('id', f'of {section}')}")
        )
        for section, entries in read.claims.items()
    }
    ids = [claim.id for claim in itertools.chain(*claims.values())]
    for id in ids:
        if id[0] != read.paper:
            raise ValueError(f"{file}: claim {id} is not one of paper {read.paper}")
        if ids.count(id) > 1:
            raise ValueError(f"{file}: claim {id} stands there twice")
    statements = tuple(_statements(read.statements, ids, file))
    return Paper(file, read.paper, facts, read.datasets, claims, statements)


def _statements(entries: list[dict], ids: list[str], file: str) -> Iterator[Statement]:
    """Yield the statements, with the claims that their patterns name."""
    for number, entry in enumerate(entries, 1):
        where = f"{file}: statement {number}"
        listed = entry | ({"claims": tuple(entry["claims"])} if "claims" in entry else {})
        statement = _valid(Statement, listed, where)
        named = []
        for pattern in statement.claims:
            if not (found := fnmatch.filter(ids, pattern)):
                raise ValueError(f"{where}: no claim is {pattern!r}{nearest(pattern, ids)}")
            named += found
        yield statement.model_copy(update={"claims": tuple(dict.fromkeys(named))})


def _claims(entry: dict, names: Mapping[str, Any], where: str) -> Iterator[ClaimData]:
    """Yield the claims of an entry: one for each mapping of its ``for``."""
    entry = dict(entry)
    rows = entry.pop("for", [{}])
    if not (isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)):
        raise ValueError(f"{where}: for={rows!r}: a list of mappings is wanted, at least one")
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError(f"{where}: the mappings of for differ in their keys")
    for row in rows:
        try:
            filled_entry = filled(entry, names | filled(row, names))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        yield _valid(ClaimData, filled_entry, where)


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
        message = explain(first | {"loc": _place(first["loc"], data)})
    raise ValueError(f"{where}: {message}")


def _place(loc: Iterable[str | int], data: Any) -> tuple[str, ...]:
    """Return where in `data` a value stands as one name: ``("claims.dynamics[4]",)``."""
    name = ""
    for part in loc:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            break  # pydantic ends with the type that it tried
        name += f"[{part}]" if isinstance(part, int) else f".{part}"
    return (name.removeprefix("."),) if name else ()


def read_papers(folder: Path) -> dict[str, Paper]:
    """Return every paper of a folder by its letter, in order.

    Raises
    ------
    ValueError
        As `read_paper`, and if two files have the same letter or section.
    """
    by_letter: dict[str, Paper] = {}
    owners: dict[str, str] = {}  # of a letter or section, the file
    for path in sorted(folder.glob("*.yaml")):
        try:
            paper = read_paper(path.read_text(encoding="utf-8"), path.name)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path.name}: this is not UTF-8 text: {error}") from None
        for what in (f"paper {paper.letter}", *(f"section {name}" for name in paper.claims)):
            if (other := owners.setdefault(what, path.name)) != path.name:
                raise ValueError(f"{what} stands in two files, {other} and {path.name}")
        by_letter[paper.letter] = paper
    return dict(sorted(by_letter.items()))


@cache
def _papers() -> dict[str, Paper]:
    return read_papers(project_root() / "data" / "papers")


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
    'where_did_scratch_start'
    """
    return tuple(section for paper in _papers().values() for section in paper.claims)


def statements() -> dict[str, tuple[Statement, ...]]:
    """Return what each paper says that could be tested, by its letter.

    Examples
    --------
    >>> {letter: len(said) for letter, said in statements().items()}
    {'A': 53, 'B': 22, 'C': 14, 'Q': 6}
    """
    return {letter: paper.statements for letter, paper in _papers().items()}


def covered() -> str:
    """Return how many of the papers' statements have a claim, in words."""
    each = statements().items()
    every = [statement for letter, said in each if letter != OURS for statement in said]
    judged = sum(bool(statement.claims) for statement in every)
    return f"{judged} of the {len(every)} statements that could be tested have a claim"


def paper_of(section: str) -> Paper:
    """Return the paper of a section.

    Examples
    --------
    >>> paper_of("dynamics").datasets["dynamics"]
    ['cifar10', 'cifar100']
    """
    choices("section", section, sections_with_claims())
    return next(paper for paper in _papers().values() if section in paper.claims)
