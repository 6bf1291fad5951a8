"""Compute section 4.4 of paper A: forgetting and robustness during several kinds of training."""

import xarray as xr

from invlib.comparison.stacking import stack
from papers.merlin2023.robustness import Robustness
from papers.merlin2023.work.dynamics import by_name, trajectory
from papers.work import kept, written


@written("comparison")
def dataset(section: Robustness) -> xr.Dataset:
    """Return forgetting and corrupted accuracy by epoch, for every training (dim optimizer)."""
    parts = by_name(section, piece)
    return stack(parts, "optimizer", shared=True).assign_coords(dataset=section.datasets[0])


@kept
def piece(section: Robustness, name: str) -> xr.Dataset:
    """Return the trajectory of one of the section's `pieces`, without learning."""
    return trajectory(section, name, inverted=("pt",))
