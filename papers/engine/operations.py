"""The work that an inversion is: counted in operations, and its matrix products timed alone."""

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

from invlib.inversion.invert import invert
from invlib.models.staged import StagedModel

__all__ = [
    "OPERATIONS",
    "clock",
    "flop",
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
    """Return `n` images (n, 3, H, W) to time with: how long it takes does not depend on them."""
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


def flop(model: StagedModel, layers: Iterable[int], *, backward: bool, gemm: bool = False) -> int:
    r"""Return the floating-point operations of one pass of one image at each of `layers`.

    A block on t tokens of width d takes :math:`12 d^2 \cdot t \cdot 2` for its matrix products
    (hidden width 4d) and :math:`2 \cdot 2 t^2 d` for attention; the patch embedding takes
    :math:`2 \cdot P \cdot 3p^2 \cdot d`. Layer k costs the embedding and k blocks. The gradient
    with respect to the pixels takes the products once more (no weight has a gradient), those within
    attention twice, since both of their factors depend on the pixels. `gemm` leaves attention out.

    Examples
    --------
    >>> from invlib import load_model
    >>> model = load_model("vit_pico_patch8_32")
    >>> one = 2 * 17 * 12 * 32**2 + 2 * 2 * 17**2 * 32
    >>> flop(model, [3], backward=False) == 2 * 16 * 192 * 32 + 3 * one
    True
    """
    shapes, tokens = products(model)
    total = 0
    for k in layers:
        for stage in range(k + 1):
            total += sum(2 * tokens[stage] * a * b for a, b in shapes[stage])
            if stage and not gemm:
                total += (2 if backward else 1) * 4 * tokens[stage] ** 2 * model.net.embed_dim
    return total


def inversion_flop(
    model: StagedModel, layers: Iterable[int], steps: int, *, gemm: bool = False
) -> int:
    """Return the floating-point operations of inverting one image at `layers`.

    All layers go back `steps` times and forward as often: not for the first gradient, where one
    pass serves all, but once more for what the last step has left. Another single pass is X's own.

    Examples
    --------
    >>> from invlib import load_model
    >>> model = load_model("vit_pico_patch8_32")
    >>> one = flop(model, [3], backward=False, gemm=True)
    >>> inversion_flop(model, [3], 10, gemm=True) == (2 * 10 + 2) * one
    True
    """
    layers = list(layers)
    all_layers = sum(flop(model, layers, backward=back, gemm=gemm) for back in (False, True))
    return steps * all_layers + 2 * flop(model, [max(layers)], backward=False, gemm=gemm)


@torch.no_grad()
def gemm_seconds(model: StagedModel, n: int) -> np.ndarray:
    """Time the matrix products alone of one iteration on `n` images, (direction, layer) seconds.

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
    """Return the share of an inversion's time that each group of `OPERATIONS` takes, by profile."""
    on_gpu = model.device.type == "cuda"
    with _no_stderr(), torch.profiler.profile() as profile:
        invert(model, images, iterations=iterations, progress=False)
    shares = dict.fromkeys(OPERATIONS, 0.0)
    for event in profile.key_averages():
        spent = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        where = next(g for g, names in OPERATIONS.items() if any(n in event.key for n in names))
        shares[where] += spent
    whole = sum(shares.values())
    return {name: value / whole for name, value in shares.items()}


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Silence what a library writes to stderr by itself: the profiler logs each start and stop."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
