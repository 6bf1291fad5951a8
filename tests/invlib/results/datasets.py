"""Valid results of the kinds that the library knows, as small as they can be."""

import numpy as np
import pytest
import xarray as xr

from invlib.results.provenance import provenance
from invlib.results.schema import COORDS, KINDS, Kind
from invlib.results.validation import ResultError, conform, validate

ATTRS = provenance(
    parameters={"scale": "smoke", "seeds": [0, 1], "n": 5},
    seeds=(0, 1),
    wall_time=65.2,
    command="papermill notebooks/a.ipynb out.ipynb -y 'seeds: [0, 1]'",
)
SIZES = {
    "estimator": 2, "seed": 2, "layer": 3, "ref_layer": 3, "iteration": 4, "left_out": 5,
    "example": 2, "y": 5, "x": 5, "channel": 3,
}  # fmt: skip
LAYERED = {
    "layer": [0, 1, 2],
    "layer_name": ("layer", ["embed", "block 1", "block 2"]),
    "depth": ("layer", [0.0, 0.5, 1.0]),
}
COORDINATES = LAYERED | {
    "estimator": ["biased", "debiased"],
    "seed": [0, 7],
    "ref_layer": [0, 1, 2],
    "iteration": [1, 2, 3, 4],
    "left_out": [0, 1, 2, 3, 4],
}


def comparison(seed: int = 0, sizes: dict[str, int] = SIZES, coords=COORDINATES) -> xr.Dataset:
    """A valid comparison with every variable it can have."""
    generator = np.random.default_rng(seed)
    variables = {}
    for name, field in KINDS["comparison"].variables.items():
        dims = [dim for dim in field.dims.split() if not dim.endswith("?")]
        if "severity" in dims:
            continue
        shape = [sizes[dim] for dim in dims]
        if field.dtype == "uint8":
            variables[name] = (dims, generator.integers(0, 256, shape, dtype=np.uint8))
        else:
            variables[name] = (dims, generator.random(shape))
    return xr.Dataset(variables, coords, attrs=ATTRS | {"kind": "comparison"})


def training() -> xr.Dataset:
    losses = {name: ("epoch", [2.3, 1.0, 0.5]) for name in ("train_loss", "test_loss")}
    return xr.Dataset(losses, {"epoch": [0, 1, 2]}, attrs=ATTRS | {"kind": "training"})


def small(kind: str) -> xr.Dataset:
    """A valid Dataset of one of the kinds that have few obligations."""
    variables = {
        "probes": ({"probe_accuracy": ("layer", [0.1, 0.5, 1.0])}, LAYERED),
        "benchmark": (
            {"speed": ("method", [1.0, 2.0], {"units": "1/s", "long_name": "images per second"})},
            {"method": ["ours", "theirs"]},
        ),
    }[kind]
    return xr.Dataset(*variables, attrs=ATTRS | {"kind": kind})


def refused(ds: xr.Dataset) -> str:
    with pytest.raises(ResultError) as caught:
        validate(conform(ds))
    return str(caught.value)


def assert_agrees(kind: Kind) -> None:
    """A kind's variables are labelled, lie along known dims, and include those that it needs."""
    fields = kind.variables or {}
    for name, field in fields.items():
        assert field.long_name and field.units, name
        assert set(field.dims.replace("?", "").split()) <= set(COORDS), name
    for group in kind.needs:
        assert set(group) <= set(fields)
