"""What the lower precisions of a GPU gain on the paper's comparison, and what they change in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from invlib.comparison import compare
from invlib.models import StagedModel, load_model

from .section import best_device
from .work import clock, inversion_flop, noise

if TYPE_CHECKING:
    from .what_it_costs import WhatItCosts

__all__ = ["PRECISIONS", "at_precisions", "computing_in", "paper_scale"]

PRECISIONS = ("float32", "TF32", "bfloat16")
_ROUNDS = 3  # the first pays for whatever happens only once


def paper_scale(section: WhatItCosts) -> dict[str, tuple]:
    """Time the paper's comparison of two ViT-B/32 on a GPU; {} where there is none."""
    device = best_device()
    if not section.bench_gpu_images or device == "cpu":
        return {}
    pt, ft = (load_model("vit_base_patch32_224", seed=seed).to(device) for seed in (0, 1))
    return at_precisions(pt, ft, noise(pt, section.bench_gpu_images), iterations=50)


def at_precisions(
    pt: StagedModel, ft: StagedModel, pool: Tensor, *, iterations: int
) -> dict[str, tuple]:
    """Time a comparison of all images of `pool` at each precision, in turns, on the models' device.

    Also how far debiased STIR then lies from that of float32, over all four matrices.
    """
    n = len(pool)
    work = 2 * n * inversion_flop(pt, pt.layers, iterations)
    options = dict(n=n, seeds=[0], iterations=iterations, subspace_k=min(10, n - 1))
    run = partial(compare, pt, ft, pool, cache=False, examples=0, progress=False, **options)
    times, found = np.zeros((len(PRECISIONS), _ROUNDS)), {}
    for turn in range(_ROUNDS):
        for i, precision in enumerate(PRECISIONS):
            with computing_in(precision, pt.device):
                times[i, turn], ds = clock(run, pt.device)
            matrices = [ds[f"stir_{a}_{b}"] for a in ("ft", "pt") for b in ("ft", "pt")]
            found[precision] = np.stack([m.sel(estimator="debiased") for m in matrices])
    off = [abs(found[precision] - found["float32"]) for precision in PRECISIONS]
    each = ("precision", "gpu_round")
    said = "difference of debiased STIR from that of float32"
    return {
        "gpu_time": (each, times, "time of the paper's comparison, one seed", "s"),
        "gpu_rate": (each, work / times / 1e12, "rate of the paper's comparison", "TFLOP/s"),
        "gpu_deviation": ("precision", [d.mean() for d in off], f"mean {said}", "1"),
        "gpu_deviation_max": ("precision", [d.max() for d in off], f"largest {said}", "1"),
    }


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Matrix products in `precision` inside: PyTorch's switch for TF32, autocast for bfloat16.

    Examples
    --------
    >>> with computing_in("bfloat16", torch.device("cpu")):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "TF32" else "highest")
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
