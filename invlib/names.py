"""The words that options may be (tasks, optimisers, ...), and errors that suggest the nearest one.

This module imports only the standard library, because the workflow imports it too.
"""

from __future__ import annotations

import difflib
import operator
import textwrap
from collections.abc import Collection, Iterable
from typing import Any

__all__ = [
    "AUGMENTATIONS", "ESTIMATORS", "JACKKNIFES", "OPTIMIZERS", "RECIPES", "SCHEDULES", "SELF_TERMS",
    "SIMILARITIES", "STARTS", "TASKS", "TOKENS", "choices", "dataset", "each", "listed",
    "nearest", "owners", "refused", "unknown", "whole_number", "whole_numbers",
]  # fmt: skip

# What is measured.
ESTIMATORS = ("biased", "debiased")  # of CKA
SIMILARITIES = (*ESTIMATORS, "procrustes", "mutual_knn", "trimmed")
SELF_TERMS = ("measured", "one")  # the first term of learning and forgetting for i = j
JACKKNIFES = ("diagonal", "matrix")  # which entries of STIR are stored with an image left out
TOKENS = ("all", "cls", "mean")  # what of a layer is its representation

# How an image is inverted.
RECIPES = ("adam", "anytime", "fast", "fourier", "lbfgs", "ngd", "tv")
STARTS = ("noise", "same-noise", "white", "black", "images")

# How a model is trained.
TASKS = ("classification", "reconstruction")
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "linear", "one-cycle", "step")
AUGMENTATIONS = ("crop", "merlin", "none")


def nearest(value: object, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest allowed name, or an empty string."""
    names = {str(name).casefold(): name for name in allowed}
    match = difflib.get_close_matches(str(value).casefold(), names, n=1, cutoff=0.5)
    return f"; did you mean {names[match[0]]!r}?" if match else ""


def each(values: object) -> list:
    """Return several values as a list; a single word, or what is no collection, is one value."""
    single = isinstance(values, str) or not isinstance(values, Iterable)
    return [values] if single else list(values)


def listed(names: Collection[str], most: int = 3) -> str:
    """Return up to `most` of the names, and how many there are if they are more.

    Examples
    --------
    >>> listed(["a", "b", "c"], 2)
    'a, b, … (3)'
    """
    shown = ", ".join(list(names)[:most])
    return f"{shown}, … ({len(names)})" if len(names) > most else shown


def _known(allowed: Collection[str]) -> str:
    names = ", ".join(map(repr, allowed))
    return textwrap.shorten(names, 150, placeholder=f" … ({len(allowed)})")  # two lines


def unknown(kind: str, value: object, allowed: Iterable[str]) -> str:
    """Return the message for an unknown name: it suggests the nearest and lists the known ones."""
    allowed = sorted(allowed)
    return f"unknown {kind} {value!r}; known are {_known(allowed)}{nearest(value, allowed)}"


def refused(parameter: object, value: object, allowed: Collection[str]) -> str:
    """Return the message for a value that is not one of `allowed`, with the nearest of them."""
    return f"{parameter}={value!r} is not one of {_known(allowed)}{nearest(value, allowed)}"


def choices(parameter: str, value: str, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of `allowed`; else ValueError names them, and the nearest.

    Examples
    --------
    >>> choices("optimizer", "sdg", ["adam", "sgd"])
    Traceback (most recent call last):
        ...
    ValueError: optimizer='sdg' is not one of 'adam', 'sgd'; did you mean 'sgd'?
    """
    allowed = sorted(allowed)
    if value not in allowed:
        raise ValueError(refused(parameter, value, allowed))
    return value


def dataset(ds: object) -> Any:
    """Return `ds` if it is a Dataset of xarray; TypeError says what makes one of something else."""
    if not (hasattr(ds, "data_vars") and hasattr(ds, "coords")):
        raise TypeError(
            f"ds is of type {type(ds).__name__}, not a Dataset; open_results(path) reads one from "
            "a file, and ds[['name']] has a single variable"
        )
    return ds


def owners(variable: str) -> dict[str, str]:
    """Return whose layers run along the dims of a variable of a comparison: ``pt`` or ``ft``.

    A diagonal runs along the layers of the reference, whose invariances it is about.

    Examples
    --------
    >>> owners("stir_ft_pt"), owners("stir_ft_pt_jackknife"), owners("stir_control_ft")
    ({'ref_layer': 'pt', 'layer': 'ft'}, {'layer': 'pt'}, {'layer': 'ft'})
    >>> owners("inversion_loss_pt"), owners("test_accuracy"), owners("stir_untrained_pt")
    ({'ref_layer': 'pt'}, {}, {'layer': 'pt'})
    """
    words = variable.split("_")
    models = [word for word in words if word in ("pt", "ft")] or ["pt"] * ("untrained" in words)
    if len(models) == 2:
        diagonal = words[-1] in ("diagonal", "jackknife")
        return {"layer": models[1]} if diagonal else dict(ref_layer=models[1], layer=models[0])
    return {"layer" if {*words} & {"control", "untrained"} else "ref_layer": m for m in models}


def whole_number(parameter: str, value: object, least: int = 0) -> int:
    """Return `value` as int; TypeError if it is none, ValueError below `least` or from 2**63 on.

    Examples
    --------
    >>> whole_number("seed", "3")
    Traceback (most recent call last):
        ...
    TypeError: seed='3' is not a whole number
    """
    try:
        number = operator.index(None if isinstance(value, bool) else value)
    except TypeError:
        raise TypeError(f"{parameter}={value!r} is not a whole number") from None
    if not least <= number < 2**63:
        raise ValueError(f"{parameter}={value!r} must be a whole number of at least {least}")
    return number


def whole_numbers(parameter: str, values: Iterable[int]) -> list[int]:
    """Return `values` as a list of int; TypeError for floats and text, NumPy's integers are fine.

    Examples
    --------
    >>> whole_numbers("seeds", [1.7])
    Traceback (most recent call last):
        ...
    TypeError: seeds=[1.7] must be a list of whole numbers, such as [0, 1]
    """
    try:
        values = list(values)
        if not any(isinstance(value, bool) for value in values):
            return [operator.index(value) for value in values]
    except TypeError:
        pass
    raise TypeError(f"{parameter}={values!r} must be a list of whole numbers, such as [0, 1]")
