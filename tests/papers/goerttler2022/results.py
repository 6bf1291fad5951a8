"""What results of paper B have in common, and how a claim is judged on them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from invlib.results.provenance import provenance
from invlib.results.validation import validate
from papers.claims.claim import Claim, check_claims
from papers.claims.settings import settings

LAYERS = np.arange(1, 6)
DEGREES = [0, 4, 9]
SEEDS = 2
ATTRS = {"kind": "drift"} | provenance(
    parameters={"scale": "smoke"}, seeds=range(SEEDS), wall_time=1.0, command="papermill a b"
)
COORDS = {
    "layer_name": ("layer", ["block 1", "block 2", "block 3", "block 4", "logits"]),
    "depth": ("layer", LAYERS / 5),
}

# What section 3 describes: CKA with the start by layer; the less structure the higher.
SCRATCH_CKA = {
    0: [0.85, 0.75, 0.6, 0.4, 0.2],
    4: [0.95, 0.85, 0.7, 0.45, 0.22],
    9: [0.99, 0.97, 0.9, 0.6, 0.25],
}


def judge(claim: Claim, results: xr.Dataset) -> set[str]:
    """Return the verdicts on a claim, over estimators and self terms, where it is testable."""
    ((_, ds),) = settings(results)
    out = check_claims([claim], ds)
    validate(out)
    assert out.sizes["train_seed"] == SEEDS and out.reason.values == [""]
    return set(out.verdict.values.ravel())
