"""What answers and quizzes are made of: items, numbers in words, and means of results."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

__all__ = ["Item", "Numbers", "Trial", "each", "listed", "mean", "moves", "number", "top"]

Numbers = Mapping[str, object]


class Trial(NamedTuple):
    """An item with a command: what is measured of a run, and what is said of two runs."""

    measure: Callable[[xr.Dataset], Numbers]
    say: Callable[[Numbers, Numbers], str]  # of the plain run, and of the one with the command


Item = Trial | Callable[[xr.Dataset], str]


def number(value: float, digits: int = 2) -> str:
    """Return a number with a real minus sign, and without one before zero.

    Examples
    --------
    >>> number(-0.001), number(-0.5)
    ('0.00', '−0.50')
    """
    text = f"{float(value):.{digits}f}"
    return (text[1:] if float(text) == 0 and text[0] == "-" else text).replace("-", "−")


def moves(before: float, after: float) -> str:
    """Return what a number does between two runs, in words.

    Examples
    --------
    >>> moves(0.2, 0.5), moves(0.2, 0.2)
    ('rises from 0.20 to 0.50', 'stays at 0.20')
    """
    first, second = number(before), number(after)
    if first == second:
        return f"stays at {first}"
    return f"{'rises' if after > before else 'falls'} from {first} to {second}"


def listed(words: list[object]) -> str:
    """Return words as a list.

    Examples
    --------
    >>> listed([]), listed([1]), listed([1, 2, 3])
    ('none', '1', '1, 2 and 3')
    """
    said = list(map(str, words))
    if len(said) < 2:
        return said[0] if said else "none"
    return f"{', '.join(said[:-1])} and {said[-1]}"


def each(values: xr.DataArray) -> str:
    """Return the label and the value of each entry of a 1-d array, without those not measured."""
    (dim,) = values.dims
    there = values.dropna(dim)
    return listed([f"{number(one)} ({one[dim].item()})" for one in there])


def mean(values: xr.DataArray, *dims: str, estimator: str = "debiased") -> xr.DataArray:
    """Return the mean over everything but `dims`."""
    if "estimator" in values.dims and "estimator" not in dims:
        values = values.sel(estimator=estimator)
    return values.mean([dim for dim in values.dims if dim not in dims])


def top(values: xr.DataArray) -> tuple[object, float]:
    """Return label and value of the largest entry of a 1-d array."""
    at = int(np.nanargmax(values.values))
    return values[values.dims[0]].values[at].item(), float(values.values[at])
