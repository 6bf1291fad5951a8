"""Words that several rooms share, and errors that say which were allowed and probably meant.

Importing this module imports nothing but the standard library: the workflow asks it for words.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AUGMENTATIONS",
    "ESTIMATORS",
    "JACKKNIFES",
    "OPTIMIZERS",
    "RECIPES",
    "SCHEDULES",
    "SELF_TERMS",
    "STARTS",
    "TASKS",
    "choices",
    "nearest",
    "unknown",
]

# What is measured.
ESTIMATORS = ("biased", "debiased")  # of CKA
SELF_TERMS = ("measured", "one")  # the first term of learning and forgetting for i = j
JACKKNIFES = ("diagonal", "matrix")  # of each matrix of STIR, what is kept with an image left out

# How an image is inverted.
RECIPES = ("adam", "anytime", "fast", "ngd")
STARTS = ("noise", "same-noise", "white", "black", "images")

# How a model is trained.
TASKS = ("classification", "reconstruction")
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine")
AUGMENTATIONS = ("crop", "merlin", "none")


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
