"""The columns of a ledger, and numbers that differ between them. Imports no torch, no xarray.

A column is an estimator of CKA with a self term. A number that is the same in all columns is a
float. Otherwise it is a mapping, with a number for each estimator, or with one for each self term
of it: ``{"debiased": {"measured": 0.021, "one": 0.018}, "biased": 0.037}``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from invlib.names import ESTIMATORS, SELF_TERMS

__all__ = [
    "COLUMNS",
    "COMPACT",
    "TRUSTED",
    "ByColumn",
    "checked",
    "each_number",
    "in_column",
    "in_words",
]

# Columns of a table with their estimator and self term. The paper computed the last one.
COLUMNS = {
    "debiased": ("debiased", "measured"),
    "debiased, self term 1": ("debiased", "one"),
    "biased": ("biased", "measured"),
    "biased, self term 1 (as the paper)": ("biased", "one"),
}
COMPACT = ("debiased", "biased", "biased, self term 1 (as the paper)")

TRUSTED = dict(estimator="debiased", self_term="measured")  # the first column

ByColumn = float | Mapping[str, float | Mapping[str, float]]


def checked(value: object) -> ByColumn:
    """Return `value` if every column has one number; else raise ValueError.

    Examples
    --------
    >>> checked({"debiased": 0.014})
    Traceback (most recent call last):
        ...
    ValueError: allowed is a number, or one for each of biased, debiased; in its place may stand \
one for each of measured, one
    """
    parts = _parts(value, ESTIMATORS)
    numbers = [number for part in parts for number in _parts(part, SELF_TERMS)]
    if not all(type(number) in (int, float) for number in numbers):
        raise ValueError(
            f"allowed is a number, or one for each of {', '.join(ESTIMATORS)}; in its place may "
            f"stand one for each of {', '.join(SELF_TERMS)}"
        )
    return value


def _parts(value: object, names: tuple[str, ...]) -> list[object]:
    """Return what a mapping with exactly these names has; of anything else, itself."""
    complete = isinstance(value, Mapping) and set(value) == set(names)
    return [value[name] for name in names] if complete else [value]


def each_number(value: ByColumn) -> list[float]:
    """Return the numbers of all columns.

    Examples
    --------
    >>> each_number({"debiased": {"measured": 0.021, "one": 0.018}, "biased": 0.037})
    [0.021, 0.018, 0.037]
    """
    if not isinstance(value, Mapping):
        return [value]
    return [number for part in value.values() for number in each_number(part)]


def in_column(value: ByColumn, estimator: str, self_term: str) -> float:
    """Return the number of one column; NaN if there is none for this estimator.

    Examples
    --------
    >>> in_column(0.5, "procrustes", "one")
    0.5
    >>> margin = {"debiased": 0.014, "biased": 0.004}
    >>> in_column(margin, "biased", "one"), in_column(margin, "procrustes", "one")
    (0.004, nan)
    """
    for name in (estimator, self_term):
        if isinstance(value, Mapping):
            value = value.get(name, math.nan)
    return float(value)


def in_words(value: ByColumn) -> str:
    """Return the number of the first column as text, and in brackets the columns with another.

    A column with self term 1 is named only if it differs from that with the measured self term.

    Examples
    --------
    >>> in_words(0.5), in_words({"debiased": 0.014, "biased": 0.004})
    ('0.5', '0.014 (biased: 0.004)')
    >>> in_words({"debiased": {"measured": 0.021, "one": 0.018}, "biased": 0.037})
    '0.021 (debiased, self term 1: 0.018; biased: 0.037)'
    """
    first, *_ = (in_column(value, *column) for column in COLUMNS.values())
    others = []
    for name, (estimator, term) in COLUMNS.items():
        number = in_column(value, estimator, term)
        expected = in_column(value, estimator, "measured") if term == "one" else first
        if number != expected:
            others.append(f"{name.removesuffix(' (as the paper)')}: {number:g}")
    return f"{first:g}" + (f" ({'; '.join(others)})" if others else "")
