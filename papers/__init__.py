"""What the papers state, re-run: one folder a paper, one module a notebook. Imports no torch."""

from papers import kinds
from papers.sections import SECTIONS

__all__ = ["SECTIONS", "kinds"]
