"""Turn the data of a claim into a `Claim` with the function that computes its number.

A claim of ``data/papers/*.yaml`` names its measure. It is one of `papers.claims.shapes`, or a
function ``measure(ds, …)`` in the ``__all__`` of ``papers/<paper>/claims/<section>.py``. Measures
that depend on the self term take ``self_term``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType

import xarray as xr

from invlib.names import nearest
from invlib.results.schema import COORDS, KINDS
from papers.claims.claim import Claim, over_columns
from papers.claims.columns import checked
from papers.claims.curves import BY_SELF_TERM, curve_measure, curve_needs, starts_missing
from papers.claims.data import ClaimData, Paper, paper_of
from papers.claims.shapes import SHAPES

__all__ = ["claim_of", "claims_of", "obstacle"]

# Results that come from inversions, by what their names begin with; and quantities of sections that
# need none, though the results beside them do.
_INVERTED = ("stir_", "learning", "forgetting", "flow")
_NOT_INVERTED = ("clean", "cka_divergence")


def obstacle(why_not: Callable[..., str]) -> Callable[[Callable], Callable]:
    """Decorate a measure: ``why_not(ds, …)`` returns why results cannot decide its claims."""

    def mark(measure: Callable) -> Callable:
        measure.obstacle = why_not
        return measure

    return mark


def claims_of(section: str, measures: ModuleType | None = None) -> tuple[Claim, ...]:
    """Return the claims that a section's results decide; `measures` has its own measures.

    Raises
    ------
    ValueError
        If a measure does not exist or take the arguments. The message names file and claim.

    Examples
    --------
    >>> claims_of("finetuning_task")[2].id
    'A-4.1-u-shape-learning'
    """
    paper = paper_of(section)
    return tuple(claim_of(data, paper, measures) for data in paper.claims[section])


def claim_of(data: ClaimData, paper: Paper, measures: ModuleType | None = None) -> Claim:
    """Return the claim of `paper` that `data` describes, with its measure."""
    own = {name: getattr(measures, name) for name in getattr(measures, "__all__", ())}
    name, arguments = data.measure, dict(data.arguments)
    try:
        if name not in own | SHAPES:
            raise ValueError(
                f"no measure is called {name!r}{nearest(name, own | SHAPES)} (it has to be in "
                "papers/claims/shapes.py or in __all__ of papers/<paper>/claims/<section>.py)"
            )
        _check(name, (own | SHAPES)[name], arguments)
        for key, value in arguments.items():
            if key == "value":
                _check_value(value)
            if key == "layers" or (name in SHAPES and key not in ("curves", "beside", "value")):
                _check_layers(key, value, paper.facts["layers"])
        if name in own:
            measure, needs = own[name], data.needs
            why_not = getattr(measure, "obstacle", None) and partial(measure.obstacle, **arguments)
        else:
            measure = curve_measure(SHAPES[name])
            curves = [*arguments["curves"], *arguments.get("beside", ())]
            needs, starts = curve_needs(paper.facts["layers"], curves)
            needs |= data.needs
            why_not = (lambda ds: starts_missing(ds, *starts)) if starts else None
        _check_needs(needs)
    except ValueError as error:
        raise ValueError(f"{paper.file}: claim {data.id}: {error}") from None
    depends = "self_term" in inspect.signature(measure).parameters
    by_self_term = depends if name in own else any(one[0] in BY_SELF_TERM for one in curves)
    by_self_term |= isinstance(arguments.get("value"), Mapping)

    def number(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        given = arguments | ({"self_term": self_term} if depends else {})
        if isinstance(given.get("value"), Mapping):  # it differs between the ledger's columns
            given["value"] = over_columns(given["value"], ds["estimator"], self_term)
        return measure(ds, **given)

    return Claim(
        id=data.id,
        paper=paper.letter,
        section=data.id.split("-")[1],
        figure=data.figure,
        words=data.words,
        number=data.number,
        measure=number,
        threshold=data.threshold,
        holds=data.holds,
        primary=data.primary,
        unit=data.unit,
        paper_value=data.paper,
        needs={k: tuple(v) if isinstance(v, list) else v for k, v in needs.items()},
        obstacle=why_not,
        by_self_term=by_self_term,
        inverted=_inverted(needs, arguments),
    )


def _inverted(needs: Mapping[str, object], arguments: Mapping[str, object]) -> bool:
    """Return whether an inversion is behind the number of a claim."""
    names = [*needs.get("variables", ()), *needs.get("matrices", ())]
    return (
        any(name.startswith(_INVERTED) for name in names)
        and arguments.get("quantity") not in _NOT_INVERTED
    )


def _check(name: str, measure: Callable, arguments: Mapping[str, object]) -> None:
    """Raise ValueError if a measure does not take these arguments or needs others."""
    signature, keywords = inspect.signature(measure), dict(arguments)
    known = {key for key, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY}
    if name in SHAPES:
        known.add("curves")
    for key in arguments:
        if key not in known:
            raise ValueError(f"{name} takes no {key!r}{nearest(key, known)}")
    for key in {"curves", "beside"} & set(arguments) if name in SHAPES else ():
        if not isinstance(arguments[key], list):
            raise ValueError(f"{key}={arguments[key]!r}: a list of curves is wanted")
    positional = keywords.pop("curves", ()) if name in SHAPES else ["ds"]
    if not positional:
        raise ValueError(f"{name} is given no curves")
    if "self_term" in known:
        keywords["self_term"] = ""
    try:
        signature.bind(*positional, **keywords)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_value(value: object) -> None:
    """Raise ValueError unless it is a number, or one for each column of the ledger."""
    try:
        checked(value)
    except ValueError as error:
        raise ValueError(f"value={value!r}: {error}") from None


def _check_layers(name: str, layers: object, known: object) -> None:
    """Raise ValueError unless `layers` are layers of the paper, the list `known`, in order."""
    for what, value in {"the fact layers": known, name: layers}.items():
        whole = isinstance(value, list) and value and {type(layer) for layer in value} == {int}
        if not whole or value != sorted(value):
            raise ValueError(f"{what}={value!r}: allowed is a list of whole numbers, rising")
    if layers[0] < known[0] or layers[-1] > known[-1]:
        raise ValueError(f"{name}={layers!r}: allowed are layers {known[0]} to {known[-1]}")


def _check_needs(needs: Mapping[str, object]) -> None:
    """Raise ValueError for needs that no results can meet, so that every claim is testable."""
    for what, wanted in needs.items():
        if isinstance(wanted, list) == (what == "epochs"):
            raise ValueError(f"needs {what}={wanted!r}: epochs is a number, all others are lists")
    if not (needs.get("variables") or needs.get("matrices")):
        raise ValueError("needs has neither variables nor matrices, so missing results go unseen")
    stored = {name for kind in KINDS.values() for name in kind.variables or ()}
    named = {what: ("variables", "matrices", "epochs", *COORDS) for what in needs}
    named |= {name: stored for name in (*needs.get("variables", ()), *needs.get("matrices", ()))}
    for name, known in named.items():
        if name not in known:
            raise ValueError(f"no results have {name!r}{nearest(name, known)}")
