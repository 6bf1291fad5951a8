"""Whether the recipes of inversion agree about a claim: a mark that stands beside its verdict.

A verdict is made under one recipe of inversion. At equal distance recipes give different STIR. So a
verdict that other recipes do not share says something about its recipe, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from papers.words import counted

if TYPE_CHECKING:
    from papers.claims.claim import Claim

__all__ = ["DECIDED", "EVERY", "HANGS", "ONE", "STANDINGS", "WITHOUT", "Agreement", "agreements"]

DECIDED = ("reproduced", "not reproduced")

# What a decided verdict may be besides.
EVERY, HANGS, ONE, WITHOUT = STANDINGS = (
    "by every recipe",
    "hangs on the recipe",
    "read by one recipe",
    "needs no inversion",
)


@dataclass(frozen=True)
class Agreement:
    """In how many readings a claim's condition holds, in how many not, and by how many recipes.

    `inverted` says whether the claim's number comes from an inversion at all.

    Examples
    --------
    >>> Agreement(holds=9, fails=3, recipes=6).words
    'no (holds in 9 of 12 readings)'
    >>> Agreement(0, 12, 6).words, Agreement(2, 0, 1).words, Agreement(inverted=False).words
    ('yes (holds in none of 12 readings)', 'not read', 'yes (no inversion)')
    """

    holds: int = 0
    fails: int = 0
    recipes: int = 0
    inverted: bool = True

    @property
    def same(self) -> bool | None:
        """Whether all readings give one answer; None if they are by fewer than two recipes."""
        if self.inverted and self.recipes < 2:
            return None
        return not self.inverted or not (self.holds and self.fails)

    @property
    def words(self) -> str:
        """Whether every recipe gives the same answer, in words."""
        count = counted(self.holds + self.fails, "reading")
        if not self.inverted:
            return "yes (no inversion)"
        if self.same is None:
            return "not read"
        if self.same:
            return f"yes (holds in {'all' if self.holds else 'none of'} {count})"
        return f"no (holds in {self.holds} of {count})"

    def standing(self, verdict: str) -> str:
        """Return which of `STANDINGS` a decided verdict has; empty for any other verdict.

        It holds by every recipe if two or more were read, and each reading answers as the verdict
        does.

        Examples
        --------
        >>> [Agreement(*counts).standing("reproduced") for counts in [(4, 0, 2), (3, 1, 2)]]
        ['by every recipe', 'hangs on the recipe']
        >>> Agreement(0, 4, 2).standing("reproduced"), Agreement(0, 4, 2).standing("undecided")
        ('hangs on the recipe', '')
        """
        if verdict not in DECIDED:
            return ""
        if not self.inverted:
            return WITHOUT
        if self.same is None:
            return ONE
        return HANGS if (self.fails if verdict == "reproduced" else self.holds) else EVERY


def agreements(claims: Iterable[Claim], holds: pd.DataFrame | None = None) -> dict[str, Agreement]:
    """Return the agreement about each claim.

    Parameters
    ----------
    claims
        Those that are asked about.
    holds
        Claims by readings: whether the condition holds, None where it was not read. The columns are
        the recipes. A recipe has several, if it was read in several ways. Without it, nothing was
        read.

    Examples
    --------
    >>> from papers.claims.claim import Claim
    >>> claim = Claim(id="A-0-high", paper="A", section="0", figure="", words="High.",
    ...               number="the score", measure=lambda ds, self_term: ds.score, threshold=0.5,
    ...               needs={"variables": ("stir_ft_pt",)})
    >>> holds = pd.DataFrame([[True, False, None]], ["A-0-high"], ["lbfgs:400", "tv:100", "tv:100"])
    >>> agreements([claim], holds)["A-0-high"]
    Agreement(holds=1, fails=1, recipes=2, inverted=True)
    """
    found = {}
    for claim in claims:
        read = holds is not None and claim.id in holds.index
        answers = holds.loc[claim.id].dropna() if read else pd.Series(dtype=object)
        yes = int(answers.astype(bool).sum())
        found[claim.id] = Agreement(
            yes, len(answers) - yes, answers.index.nunique(), inverted=claim.inverted
        )
    return found
