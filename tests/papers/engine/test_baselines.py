"""What the costs are measured against: baselines with the same results."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from invlib.comparison.compare import _draw, _order, compare
from invlib.inversion.invert import start_images
from invlib.models.loading import load_model
from papers.engine.baselines import _empty, naive_matrices, pairs_of, reference_pair, spread_pairs

STEPS = 4


@pytest.fixture(scope="module")
def models():
    return {s: load_model("vit_pico_patch8_32", seed=i) for i, s in enumerate(("pt", "ft"))}


def reference_matrices(models, images, start, iterations):
    """All matrices (ref_layer, layer) pair by pair. Far too slow but for tiny networks."""
    layers = models["pt"].layers
    out = _empty(len(layers))
    for a, b in pairs_of(layers):
        b_given_a, a_given_b, cka = reference_pair(models, a, b, images, start, iterations)
        out[f"stir_{b[0]}_{a[0]}"][a[1], b[1]] = b_given_a
        out[f"stir_{a[0]}_{b[0]}"][b[1], a[1]] = a_given_b
        for left, right in ((a, b), (b, a)):
            if (name := f"cka_{right[0]}_{left[0]}") in out:
                out[name][left[1], right[1]] = cka
    return out


@pytest.mark.parametrize("baseline", [reference_matrices, naive_matrices])
def test_a_baseline_gives_the_matrices_of_compare(models, baseline):
    pool = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = _draw(pool, _order(pool, 6, 1), "pt", models)
    found = baseline(models, images, start_images(images, "noise", 1), STEPS)
    ours = compare(
        *models.values(), pool, n=6, seeds=[1], iterations=STEPS, subspace_k=3, cache=False
    ).sel(estimator="biased", seed=1)  # fmt: skip
    assert {name for name in ours if "ref_layer" in ours[name].dims and "layer" in ours[name].dims
            } - set(found) == {"subspace_ft_pt"}  # fmt: skip
    for name, matrix in found.items():
        np.testing.assert_allclose(ours[name], matrix, atol=1e-4, err_msg=name)


def test_baselines_leave_the_models_as_they_were(models):
    x = torch.rand(4, 3, 32, 32)
    naive_matrices(models, x, x, 1)
    assert all(p.requires_grad and p.grad is None for p in models["pt"].parameters())


@pytest.mark.parametrize(("layers", "count"), [(4, 1), (4, 2), (13, 1), (13, 2), (13, 3)])
def test_sampled_pairs_are_as_deep_as_all_pairs(layers, count):
    pairs = pairs_of(range(layers))
    assert len(set(pairs)) == len(pairs) == layers * (2 * layers + 1)
    deep = [a[1] + b[1] for a, b in pairs]
    sampled = spread_pairs(range(layers), count)
    assert len(sampled) == count
    assert np.mean([a[1] + b[1] for a, b in sampled]) == pytest.approx(np.mean(deep))
