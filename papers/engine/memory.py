"""Measure the peak memory of an inversion, each time in a new process, as a peak never falls."""

import multiprocessing
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

import psutil
import torch

from invlib.inversion.invert import invert
from invlib.models.loading import load_model

__all__ = ["peak_memories", "peak_memory"]


def peak_memories(model: str, img_size: int | None, ns: Iterable[int]) -> list[tuple[int, int]]:
    """Return `peak_memory` for each number of images, measured in a new process.

    Each is forked from one that did nothing but import.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        asked = [pool.submit(peak_memory, model, img_size, n) for n in ns]
        return [future.result() for future in asked]


def peak_memory(model: str, img_size: int | None, n: int) -> tuple[int, int]:
    """Return the peak memory in bytes of inverting `n` images at all layers, on the CPU.

    First above what the process had before; then how much of this are images, which nobody can do
    without: those it starts from and those it finds.
    """
    network = load_model(model, img_size=img_size)
    images = torch.rand(n, 3, network.img_size, network.img_size)
    before = psutil.Process().memory_info().rss
    invert(network, images, iterations=2, progress=False)  # the first step holds one layer's rows
    above = max(0, _peak_resident() - before)  # the two are counted apart, to a page or so
    return above, (1 + len(network.layers)) * images.numel() * 4


def _peak_resident() -> int:
    """Return the peak memory of this process in bytes, which psutil does not know."""
    try:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    except (OSError, StopIteration):
        # Not Linux, where ru_maxrss would not do: a process starts with its parent's.
        import resource  # which Windows does not have

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
