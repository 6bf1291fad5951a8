"""What the costs are measured against: baselines with the same results, counts by another way."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from invlib.comparison.compare import _draw, compare
from invlib.inversion.invert import invert, start_images
from invlib.models.loading import load_model
from papers.engine.baselines import _empty, naive_matrices, pairs_of, reference_pair, spread_pairs
from papers.engine.costs import PRECISIONS, at_precisions, computing_in
from papers.engine.memory import peak_memory
from papers.engine.operations import (
    gemm_seconds,
    inversion_flop,
    noise,
    operation_shares,
    products,
)
from papers.engine.what_it_costs import WhatItCosts
from papers.engine.work.what_it_costs import table as costs_table
from papers.parameters import ParameterError

STEPS = 4
QUICK = dict(
    scale="tests", model="vit_pico_patch8_32", bench_images=[4, 6], bench_iterations=[2, 1],
    bench_rounds=[2, 1], bench_memory_images=[4, 8], bench_cka_images=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def models():
    return {s: load_model("vit_pico_patch8_32", seed=i) for i, s in enumerate(("pt", "ft"))}


@pytest.fixture(scope="module")
def ds(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("runs")
        patch.setattr("papers.section.runs_root", lambda scale: folder / scale)
        yield WhatItCosts.from_parameters(QUICK).dataset()


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
    images = _draw(pool, 6, 1, models["pt"])
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


def passes(model, k, *, gemm):
    """Operations of one image's way to layer `k` and back, by the shapes of a ViT."""
    tokens, width, patch = 17, model.net.embed_dim, 3 * 8**2
    linear = 2 * 16 * patch * width + k * 2 * tokens * 12 * width**2
    attention = 0 if gemm else k * 2 * 2 * tokens**2 * width
    return linear + attention, linear + 2 * attention


@pytest.mark.parametrize("gemm", [False, True])
@pytest.mark.parametrize("layers", [[0], [2], [1, 3], [0, 1, 2, 3]])
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_operations_are_those_of_the_shapes(models, layers, steps, gemm):
    ways = [passes(models["pt"], k, gemm=gemm) for k in layers]
    expected = steps * sum(map(sum, ways)) + 2 * ways[-1][0]
    assert inversion_flop(models["pt"], layers, steps, gemm=gemm) == expected


@pytest.mark.parametrize("layers", [[0], [1, 3], None])
def test_an_inversion_makes_the_products_that_are_counted(models, layers):
    model, x = models["pt"], torch.rand(2, 3, 32, 32)
    with FlopCounterMode(display=False) as counter:
        invert(model, x, layers=layers, iterations=3, chunk=2)
    counts = counter.get_flop_counts()["Global"]
    made = sum(n for name, n in counts.items() if "mm" in str(name))
    assert made == 2 * inversion_flop(model, layers or model.layers, 3, gemm=True)


def test_the_matrix_products_are_those_of_the_stages(models):
    shapes, tokens = products(models["pt"])
    assert shapes[0] == [(192, 32)]
    assert sorted(shapes[1]) == [(32, 32), (32, 96), (32, 128), (128, 32)]
    assert tokens == [16, 17, 17, 17]
    seconds = gemm_seconds(models["pt"], 2)
    assert seconds.shape == (2, 4) and (seconds > 0).all()


def test_shares_of_operations_add_up(models):
    shares = operation_shares(models["pt"], torch.rand(4, 3, 32, 32), 2)
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) > 0


def test_a_kernel_of_a_gpu_counts_once(models, monkeypatch):
    def event(key, kind, spent):
        kind = getattr(torch.autograd.DeviceType, kind)
        return SimpleNamespace(
            key=key, device_type=kind, self_device_time_total=spent, self_cpu_time_total=0
        )

    events = [
        event("aten::mm", "CPU", 30), event("nvjet_tst_128", "CUDA", 30),
        event("aten::_efficient_attention_forward", "CPU", 10), event("fmha", "CUDA", 10),
    ]  # fmt: skip
    profile = SimpleNamespace(key_averages=lambda: events)
    monkeypatch.setattr("torch.profiler.profile", lambda: nullcontext(profile))
    monkeypatch.setattr("papers.engine.operations.invert", lambda *_, **__: None)
    model = SimpleNamespace(device=torch.device("cuda"))
    shares = operation_shares(model, None, 1)
    assert shares["matrix products"] == 0.75 and shares["attention"] == 0.25
    assert shares["other"] == 0


def test_peak_memory_is_above_what_the_images_take():
    peak, held = peak_memory("vit_pico_patch8_32", None, 64)
    assert held == 5 * 64 * 3 * 32 * 32 * 4
    assert peak >= 0


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


def test_the_table_has_a_line_for_each_precision_of_a_gpu(ds):
    rows = {
        "gpu_time": (("precision", "gpu_round"), [[9.0, 4, 6], [9, 2, 2], [9, 1, 1]]),
        "gpu_rate": (("precision", "gpu_round"), [[0.2, 1, 1], [0.2, 2, 2], [0.2, 4, 4]]),
        "gpu_deviation": ("precision", [0, 0.001, 0.002]),
        "gpu_deviation_max": ("precision", [0, 0.01, 0.02]),
    }
    table = costs_table({"": ds.assign(rows).assign_coords(precision=list(PRECISIONS))})[""]
    said = "the paper's comparison on a GPU, one seed, "
    assert table[f"{said}float32"] == "5 s (9 s the first time)"
    assert table[f"{said}bfloat16: rate"] == "4 TFLOP/s"
    assert table[f"{said}TF32: debiased STIR off by"] == "0.0010, at most 0.0100"
    assert f"{said}float32: debiased STIR off by" not in table


def test_the_dataset_says_it_all(ds):
    assert ds.attrs["kind"] == "benchmark"
    for array in ds.data_vars.values():
        assert array.attrs["long_name"] and array.attrs["units"]
    first = ds.sel(images=4)
    assert np.isfinite(first.matrices_time).all() and (first.speedup > 0).all()
    assert np.isnan(ds.matrices_time.sel(images=6, way="reference style")).all()
    assert float(ds.deviation.max()) < 1e-4 and float(ds.cka_deviation) < 1e-10
    assert int(ds.reference_pairs) == 36 and ds.block_passes.values.tolist() == [324, 24, 24]
    assert ds.sweep_size.values.tolist() == [[4, 8], [1, 2], [2, 4], [1, 2]]
    assert (ds.sweep_cost.sel(share=1) == 1).all()
    assert (ds.peak_memory > 0).all()


def test_the_table_has_a_line_for_each_main_number(ds):
    table = costs_table({"this run": ds, "reference": ds})
    assert list(table.columns) == ["this run", "reference"]
    assert "speed-up over reference style, 4 images × 2 iterations" in table.index
    assert not any("6 images" in line and "reference style" in line for line in table.index)
    assert (table != "").all(axis=None)


def test_as_many_iterations_as_images():
    with pytest.raises(ParameterError, match="must be 2 numbers, one for each of bench_images"):
        WhatItCosts.from_parameters({"bench_iterations": [1]})
