"""Counts in sentences: one thing is, several are."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, one: str, several: str = "") -> str:
    """Return a number and the word that goes with it; by default `several` is `one` and an s.

    Examples
    --------
    >>> counted(1, "training"), counted(2, "training"), counted(12000, "image")
    ('1 training', '2 trainings', '12,000 images')
    >>> counted(1, "is", "are"), counted(0, "is", "are")
    ('1 is', '0 are')
    """
    return f"{count:,} {one if count == 1 else several or one + 's'}"
