"""Operations of an inversion: those of the shapes, and those that PyTorch counts."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from invlib.inversion.invert import invert
from invlib.models.loading import load_model
from papers.engine.operations import gemm_seconds, inversion_flop, operation_shares, products


@pytest.fixture(scope="module")
def models():
    return {s: load_model("vit_pico_patch8_32", seed=i) for i, s in enumerate(("pt", "ft"))}


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
    # the targets take one way through all layers, the last look one for each layer
    expected = steps * sum(map(sum, ways)) + ways[-1][0] + sum(forward for forward, _ in ways)
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
