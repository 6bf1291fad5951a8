"""The 352 hypotheses of appendix E.1 of paper A, and the 88 about each of two other measures.

Of the 352, 8 say nothing (the standard deviation of a single layer is 0) and 16 say what others say
(the mean, minimum and maximum of a single layer are one): 328 are different.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

from invlib.names import choices

__all__ = ["AGGREGATES", "Hypothesis", "QUANTITIES", "hypotheses"]

AGGREGATES = ("mean", "std", "min", "max")

# Each quantity's family: the hypotheses among which the paper looks for the best one, and which
# Bonferroni's correction therefore counts together.
_OURS = "learning and forgetting"
QUANTITIES = {
    "learning": _OURS,
    "forgetting": _OURS,
    "learning + forgetting": _OURS,
    "learning - forgetting": _OURS,
    "CKA divergence": "CKA divergence",
    "subspace similarity": "subspace similarity",
}


class Hypothesis(NamedTuple):
    """One aggregate over layers `first` to `last` of a quantity.

    Examples
    --------
    >>> str(Hypothesis("forgetting", 2, 12, "std")), Hypothesis("learning", 1, 1, "max").layers
    ('std of forgetting, layers 2-12', '1')
    """

    quantity: str
    first: int
    last: int
    aggregate: str

    @property
    def layers(self) -> str:
        """The layers as one word."""
        return f"{self.first}-{self.last}" if self.first != self.last else f"{self.first}"

    def __str__(self) -> str:
        noun = "layer" if self.first == self.last else "layers"
        return f"{self.aggregate} of {self.quantity}, {noun} {self.layers}"


def hypotheses(
    quantities: Iterable[str] = tuple(QUANTITIES), *, layers: Iterable[int] = range(1, 13)
) -> list[Hypothesis]:
    """Return every hypothesis of appendix E.1 about `quantities`: 88 for each at 12 layers.

    The sets are the first n and the last n of `layers`, n = 1 … one less than there are: 22 of 12.
    They hold the paper's own, 2-12 and 1-8, and with four aggregates give its numbers exactly.

    Raises
    ------
    ValueError
        If a quantity is not one of `QUANTITIES`.

    Examples
    --------
    >>> family = [name for name, family in QUANTITIES.items() if "learning" in family]
    >>> len(hypotheses(family)), len(hypotheses(["CKA divergence"]))
    (352, 88)
    """
    names = [choices("quantities", name, QUANTITIES) for name in quantities]
    layers = sorted(layers)
    first_n = [(layers[0], last) for last in layers[:-1]]
    last_n = [(first, layers[-1]) for first in layers[1:]]
    sets = product(names, first_n + last_n, AGGREGATES)
    return [Hypothesis(name, first, last, how) for name, (first, last), how in sets]
