"""Values to draw, and the lines that were drawn."""

import numpy as np
import xarray as xr


def curves(**dims):
    sizes = {name: len(values) for name, values in dims.items()}
    values = np.arange(np.prod(list(sizes.values()))).reshape(tuple(sizes.values())) / 10
    return xr.DataArray(values, dims, tuple(dims))


def drawn(ax):
    """Mean lines only: the seeds are drawn without a line."""
    return [line for line in ax.lines if line.get_linewidth() == 1.5 and line.get_marker() != "."]
