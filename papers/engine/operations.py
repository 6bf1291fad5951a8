"""Count the operations of an inversion, and time its matrix products alone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from invlib.inversion.invert import invert
from invlib.models.staged import StagedModel

__all__ = [
    "OPERATIONS",
    "clock",
    "gemm_seconds",
    "inversion_flop",
    "noise",
    "operation_shares",
    "products",
]

# Names of PyTorch's operators, first match counts: attention runs matrix products of its own.
OPERATIONS = {
    "attention": ("attention", "softmax"),
    "matrix products": ("addmm", "::mm", "bmm", "linear", "gemm"),
    "GELU": ("gelu",),
    "layer norm": ("layer_norm",),
    "copies": ("copy_", "::cat", "clone", "memcpy", "::repeat", "::where"),
    "other": ("",),
}
_TIMES = 3  # repetitions of a matrix product, of which the median counts


def clock(function: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Return the seconds that `function` takes, and what it returned."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    started = time.perf_counter()
    result = function()
    wait()
    return time.perf_counter() - started, result


def noise(model: StagedModel, n: int) -> Tensor:
    """Return `n` images (n, 3, H, W) for timing, which does not depend on their content."""
    size = model.img_size
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(n)).to(model.device)


def products(model: StagedModel) -> tuple[list[list[tuple[int, int]]], list[int]]:
    """Return for every stage the (in, out) of its matrix products, and the tokens they act on."""
    net = model.net
    patch = net.patch_embed.proj.weight.flatten(1)
    shapes = [[(patch.shape[1], patch.shape[0])]]
    for block in net.blocks:
        linear = [m for m in block.modules() if isinstance(m, nn.Linear)]
        shapes.append([(m.in_features, m.out_features) for m in linear])
    patches = net.patch_embed.num_patches
    return shapes, [patches] + [patches + net.num_prefix_tokens] * len(net.blocks)


def inversion_flop(
    model: StagedModel, layers: Iterable[int], steps: int, *, gemm: bool = False
) -> int:
    r"""Return the floating-point operations of inverting one image at `layers`.

    PyTorch counts them in inversions of one step and of two; every further step is one more like
    the second. Attention runs as plain batched products here, because faster kernels compute some
    of it twice. `gemm` leaves attention out.

    A block on t tokens of width d takes :math:`24 d^2 t` for its matrix products and
    :math:`4 t^2 d` for attention. The gradient with respect to the pixels takes the products once
    more (no weight has a gradient), and attention twice, since both factors depend on the pixels.

    Examples
    --------
    >>> from invlib import load_model
    >>> model = load_model("vit_pico_patch8_32")
    >>> embedding, block = 2 * 16 * 192 * 32, 24 * 32**2 * 17
    >>> inversion_flop(model, [3], 10, gemm=True) == (2 * 10 + 2) * (embedding + 3 * block)
    True
    """
    image, layers = noise(model, 1), list(layers)
    counts = []
    for few in (1, 2):
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            invert(model, image, layers=layers, iterations=few, chunk=1, progress=False)
        by_operator = counter.get_flop_counts()["Global"]
        attention = by_operator.get(torch.ops.aten.bmm, 0)
        counts.append(counter.get_total_flops() - gemm * attention)
    return counts[0] + (steps - 1) * (counts[1] - counts[0])


@torch.no_grad()
def gemm_seconds(model: StagedModel, n: int) -> np.ndarray:
    """Time only the matrix products of one iteration on `n` images, (direction, layer) seconds.

    Forward ``rows × in → out`` with bias, and back ``rows × out → in``, at just the row counts that
    the thinning batch has at each depth: n·(L + 1 − k) images at stage k, times their tokens.
    """
    shapes, tokens = products(model)
    depth = len(shapes)
    widest = max(max(shape) for stage in shapes for shape in stage)
    # one buffer for all, its head viewed as what is needed: as large as the largest, no larger
    room = torch.randn(n * depth * max(tokens) * widest, device=model.device)
    out = np.zeros((2, depth))
    for stage, pairs in enumerate(shapes):
        rows = n * (depth - stage) * tokens[stage]
        for wide_in, wide_out in pairs:
            weight = torch.randn(wide_out, wide_in, device=model.device)
            bias = weight[:, 0].contiguous()
            x = room[: rows * wide_in].view(rows, wide_in)
            g = room[: rows * wide_out].view(rows, wide_out)
            runs = (lambda x=x, w=weight, b=bias: F.linear(x, w, b), lambda g=g, w=weight: g @ w)
            for direction, run in enumerate(runs):
                times = [clock(run, model.device)[0] for _ in range(_TIMES)]
                out[direction, stage] += median(times)
    return out


def operation_shares(model: StagedModel, images: Tensor, iterations: int) -> dict[str, float]:
    """Return the share of an inversion's time for each group of `OPERATIONS`, from a profile."""
    on_gpu = model.device.type == "cuda"
    with _no_stderr(), torch.profiler.profile() as profile:
        invert(model, images, iterations=iterations, progress=False)
    shares = dict.fromkeys(OPERATIONS, 0.0)
    for event in profile.key_averages():
        if on_gpu and event.device_type != torch.autograd.DeviceType.CPU:
            continue  # a kernel under its own name; its operator has its time
        spent = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        where = next(g for g, names in OPERATIONS.items() if any(n in event.key for n in names))
        shares[where] += spent
    whole = sum(shares.values())
    return {name: value / whole for name, value in shares.items()}


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Suppress what libraries write to stderr: the profiler logs each start and stop."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
