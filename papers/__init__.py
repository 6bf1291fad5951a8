"""Re-run the experiments of three papers: a folder for each paper, a module for each notebook."""

from papers import kinds
from papers.sections import SECTIONS

__all__ = ["SECTIONS", "kinds"]
