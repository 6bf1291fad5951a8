"""Compute section 4.4 of paper A: forgetting and robustness during several kinds of training."""

import xarray as xr

from invlib.comparison.stacking import stack
from papers.merlin2023.robustness import Robustness
from papers.merlin2023.work.dynamics import by_name
from papers.work import written


@written("comparison")
def dataset(section: Robustness) -> xr.Dataset:
    """Return forgetting and corrupted accuracy by epoch, for every training (dim optimizer)."""
    parts = by_name(section, inverted=("pt",))
    return stack(parts, "optimizer", shared=True).assign_coords(dataset=section.datasets[0])
