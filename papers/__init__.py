"""Re-run the experiments of three papers: a folder for each paper, a module for each notebook."""

import os

# Threads of OpenMP that wait give their core away instead of spinning, so that two programs can
# share a machine. It has to be set before torch is loaded; a value of the user's own wins.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from papers import kinds
from papers.sections import SECTIONS

__all__ = ["SECTIONS", "kinds"]
