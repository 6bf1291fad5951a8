"""Errors that say what was wrong, what was allowed, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["TASKS", "choices", "nearest", "unknown"]


def nearest(value: object, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest allowed name, or an empty string.

    Examples
    --------
    >>> nearest("sedes", ["seeds", "scale"])
    "; did you mean 'seeds'?"
    """
    match = difflib.get_close_matches(str(value), list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def unknown(kind: str, value: object, allowed: Iterable[str]) -> str:
    """Return the message for a name that does not exist.

    Examples
    --------
    >>> unknown("parameter", "sedes", ["seeds", "scale"])
    "unknown parameter 'sedes'; known are 'scale', 'seeds'; did you mean 'seeds'?"
    """
    allowed = sorted(allowed)
    known = ", ".join(map(repr, allowed))
    return f"unknown {kind} {value!r}; known are {known}{nearest(value, allowed)}"


def choices(parameter: str, value: str, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of `allowed`.

    Raises
    ------
    ValueError
        Naming the parameter, the value, what was allowed and the nearest match.

    Examples
    --------
    >>> choices("optimizer", "sgd", ["adam", "sgd"])
    'sgd'
    >>> choices("optimizer", "sdg", ["adam", "sgd"])
    Traceback (most recent call last):
        ...
    ValueError: optimizer='sdg' is not one of 'adam', 'sgd'; did you mean 'sgd'?
    """
    allowed = sorted(allowed)
    if value not in allowed:
        names = ", ".join(map(repr, allowed))
        raise ValueError(f"{parameter}={value!r} is not one of {names}{nearest(value, allowed)}")
    return value


TASKS = ("classification", "reconstruction")
