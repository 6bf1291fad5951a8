"""Hypotheses of appendix E.1 of paper A: 352 on learning and forgetting, 88 on each other measure.

The standard deviation of a single layer is 0, so 8 of the 352 state nothing. Mean, minimum and
maximum of a single layer are the same, so 16 repeat others. The remaining 328 are different.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

from invlib.names import choices

__all__ = ["AGGREGATES", "Hypothesis", "QUANTITIES", "hypotheses"]

AGGREGATES = ("mean", "std", "min", "max")

# The family of each quantity. The paper looks for the best hypothesis of a family, so Bonferroni's
# correction counts the hypotheses of a family together.
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
    """A hypothesis: one aggregate of a quantity over layers `first` to `last`.

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

    The sets of layers are the first n and the last n, for n from 1 to one less than all: 22 sets of
    12 layers. They include the paper's sets, 2-12 and 1-8. With four aggregates they give exactly
    the paper's numbers of hypotheses.

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
