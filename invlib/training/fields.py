"""Checks of a frozen dataclass's fields: errors name the field, its value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["integer", "kind", "number", "text"]


def text(record: object, name: str, allowed: str) -> None:
    """Raise unless the field is a text of at least one character."""
    value = getattr(record, name)
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r} is {kind(value)}; allowed is {allowed}")
    if not value:
        raise ValueError(f"{name}={value!r} is empty; allowed is {allowed}")


def integer(record: object, name: str, least: int, optional: bool = False) -> None:
    """Raise unless the field is an integer from `least` on, or None where that is optional."""
    value = getattr(record, name)
    if value is None and optional:
        return
    allowed = f"an integer >= {least}" + (", or None" if optional else "")
    # bool is an int in Python, and `epochs=True` is never meant.
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r} is {kind(value)}; allowed is {allowed}")
    if value < least:
        raise ValueError(f"{name}={value!r} is out of range; allowed is {allowed}")


def number(
    record: object, name: str, allowed: str, ok: Callable[[float], bool], optional: bool = False
) -> None:
    """Raise unless the field is a finite number that is `ok`, and make it a float."""
    value = getattr(record, name)
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}={value!r} is {kind(value)}; allowed is {allowed}")
    if not (math.isfinite(value) and ok(value)):
        raise ValueError(f"{name}={value!r} is out of range; allowed is {allowed}")
    # YAML reads `1` as an int: 1 and 1.0 are the same run.
    object.__setattr__(record, name, float(value))


def kind(value: object) -> str:
    """Return what kind of value it is, for a message.

    Examples
    --------
    >>> kind(None), kind(3)
    ('None', 'of type int')
    """
    return "None" if value is None else f"of type {type(value).__name__}"
