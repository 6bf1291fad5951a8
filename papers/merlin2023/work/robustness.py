"""Work of section 4.4: follow forgetting and robustness through trainings of several kinds."""

import xarray as xr

from invlib import train
from invlib.comparison.stacking import stack
from papers.merlin2023.robustness import Robustness
from papers.merlin2023.work.base import pretrained_model
from papers.merlin2023.work.dynamics import trajectory
from papers.work import written


@written("comparison")
def dataset(section: Robustness) -> xr.Dataset:
    """Follow forgetting and corrupted accuracy through every training; dim optimizer."""
    pretrained = pretrained_model(section)
    parts = {}
    for name, run in section.runs().items():
        trained = train(run, root=section.training_root)
        parts[name] = trajectory(section, pretrained, trained, inverted=("pt",))
    return stack(parts, "optimizer", shared=True).assign_coords(dataset=section.datasets[0])
