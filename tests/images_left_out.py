"""A comparison whose every diagonal is a mean over images, so that its intervals are known."""

from __future__ import annotations

import numpy as np
import xarray as xr

from invlib.results.provenance import provenance

LAYERS, TASKS, SEEDS, N = 13, ["classification", "reconstruction"], 3, 7
ATTRS = {"kind": "comparison"} | provenance(
    parameters={"scale": "smoke"}, seeds=range(SEEDS), wall_time=1.0, command="papermill a b"
)


def of_means() -> tuple[xr.Dataset, dict[str, xr.DataArray]]:
    """A comparison whose every diagonal is a mean over images, and what it is a mean of."""
    rng = np.random.default_rng(0)
    dims = ("task", "estimator", "seed", "layer", "left_out")
    sizes = (2, 2, SEEDS, LAYERS, N)
    level = dict(stir_ft_ft=0.9, stir_pt_ft=0.6, stir_pt_pt=0.9, stir_ft_pt=0.6,
                 cka_pt_pt=0.95, cka_ft_pt=0.7)  # fmt: skip
    images, variables = {}, {}
    for name, mean in level.items():
        values = mean + rng.uniform(-0.05, 0.05, sizes) + rng.uniform(-0.1, 0.1, (*sizes[:-1], 1))
        x = xr.DataArray(values, dims=dims)
        images[name] = x = x if "ft" in name else x.isel(task=0)
        variables[f"{name}_diagonal"] = x.mean("left_out")
        variables[f"{name}_jackknife"] = (x.sum("left_out") - x) / (N - 1)
    for short in ("pt", "ft"):
        variables[f"stir_control_{short}"] = (dims[1:4], np.full(sizes[1:4], 0.1))
        variables[f"inversion_loss_{short}"] = (
            ("seed", "ref_layer"),
            np.full((SEEDS, LAYERS), 0.3),
        )
    coords = dict(
        task=TASKS, estimator=["biased", "debiased"], seed=range(SEEDS), left_out=range(N),
        layer=range(LAYERS), ref_layer=range(LAYERS), depth=("layer", np.linspace(0, 1, LAYERS)),
        layer_name=("layer", [f"layer {k}" for k in range(LAYERS)]),
    )  # fmt: skip
    return xr.Dataset(variables, coords, attrs=ATTRS), images
