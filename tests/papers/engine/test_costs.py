"""Precisions: what each computes in, and what it changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from invlib.models.loading import load_model
from papers.engine.costs import PRECISIONS, at_precisions, computing_in
from papers.engine.operations import inversion_flop, noise


@pytest.fixture(scope="module")
def models():
    return {s: load_model("vit_pico_patch8_32", seed=i) for i, s in enumerate(("pt", "ft"))}


def test_a_precision_is_that_of_the_products_inside_and_only_there():
    x = torch.full((2, 2), 1 + 2**-10)  # bfloat16 rounds the last digit away
    before = torch.get_float32_matmul_precision()
    found = {}
    for precision in PRECISIONS:
        with computing_in(precision, x.device):
            found[precision] = (x @ x).float(), torch.get_float32_matmul_precision()
    assert [said for _, said in found.values()] == ["highest", "high", "highest"]
    assert torch.equal(found["float32"][0], x @ x)
    assert torch.equal(found["bfloat16"][0], torch.full((2, 2), 2.0))
    assert torch.get_float32_matmul_precision() == before


def test_what_a_precision_changes_is_counted_from_float32(models):
    found = at_precisions(*models.values(), noise(models["pt"], 6), iterations=2)
    dims, times, _, _ = found["gpu_time"]
    assert dims == ("precision", "gpu_round") and (times > 0).all()
    _, rates, _, units = found["gpu_rate"]
    assert units == "TFLOP/s"
    done = 2 * 6 * inversion_flop(models["pt"], models["pt"].layers, 2)
    np.testing.assert_allclose(rates * times * 1e12, done)
    exact, _, rounded = found["gpu_deviation"][1]
    assert exact == 0 and 1e-6 < rounded < 0.2
    assert found["gpu_deviation_max"][1][2] > rounded
