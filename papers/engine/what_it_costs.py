"""The page on what a comparison costs: its parameters, its Dataset, its table."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationInfo, field_validator

from papers.parameters import Name, Natural, Positive, Several
from papers.section import REFERENCE_SCALE, Section, best_device

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["WhatItCosts"]

Counts = Annotated[tuple[Positive, ...], Field(min_length=1)]
_MIB = 2**20


class WhatItCosts(Section):
    """Times, rates and memory of comparing two networks with random weights.

    The defaults are those of the laptop scale: seconds, to see how it is measured. ``make bench``
    has the sizes that the project holds itself to.

    Parameters
    ----------
    model, img_size
        Name for `load_model`, and the side of the images in pixels (null: the model's own).
    bench_images, bench_iterations : tuple of int
        Comparisons that are timed against the baselines; the first also against the reference
        style, and for its rate. One number of iterations for each number of images.
    bench_rounds : tuple of int
        How often, in turns, for each; medians are shown.
    bench_pairs : int
        Layer pairs that the reference style is extrapolated from.
    bench_doublings : int
        The sweeps go from 4 images, 1 iteration, few layers, 1 seed up by this many doublings.
    bench_memory_images : tuple of int
        Peak memory is measured for each of these, in a process of its own.
    bench_cka_images : int
        Images of the CKA matrix that is timed.
    bench_gpu_images : int
        Images of the paper's comparison, timed where there is a GPU; 0 leaves it out.

    Examples
    --------
    >>> WhatItCosts().bench_images
    (4, 8)
    """

    name = "what_it_costs"
    alone = True

    model: Name = "vit_nano_patch8_32"
    img_size: Positive | None = None
    bench_images: Annotated[tuple[Annotated[int, Field(ge=4)], ...], *Several] = (4, 8)
    bench_iterations: Counts = (2, 1)
    bench_rounds: Counts = (2, 1)
    bench_pairs: Positive = 2
    bench_doublings: Positive = 1
    bench_memory_images: Annotated[tuple[Positive, ...], *Several] = (32, 64)
    bench_cka_images: Annotated[int, Field(ge=4)] = 16
    bench_gpu_images: Natural = 0

    @field_validator("bench_iterations", "bench_rounds")
    @classmethod
    def _as_many(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        images = info.data.get("bench_images", value)
        if len(value) != len(images):
            raise ValueError(f"must be {len(images)} numbers, one for each of bench_images")
        return value

    def dataset(self) -> xr.Dataset:
        """Measure, one thing at a time, and write the results to `output`."""
        started = time.perf_counter()
        # The other processes import torch while this one does, and are done before it times.
        with _processes() as pool:
            asked = [
                pool.submit(peak_memory, self.model, self.img_size, n)
                for n in self.bench_memory_images
            ]
            from invlib import save_results
            from invlib.results.provenance import provenance
            from papers.engine.costs import measure

            peak, held = zip(*(future.result() for future in asked), strict=True)
        ds = measure(self).assign_coords(memory_images=list(self.bench_memory_images))
        for name, values, long_name in (
            ("peak_memory", peak, "peak memory of inverting all layers, above what was there"),
            ("held_memory", held, "of this, starting images and inverted images"),
        ):
            said = dict(long_name=long_name, units="MiB")
            ds[name] = ("memory_images", [value / _MIB for value in values], said)
        ds.attrs = {"kind": "benchmark"} | provenance(
            parameters=self,
            seeds=self.seeds[:1],
            command=self.command,
            device=best_device(),
            wall_time=time.perf_counter() - started,
        )
        save_results(ds, self.output)
        return ds

    def beside_reference(self, ds: xr.Dataset) -> dict[str, xr.Dataset]:
        """Return this run's Dataset and, where the project has it, that of ``make bench``."""
        from invlib import open_results

        shown = {f"this run: {self.scale}": ds}
        if self.reference.exists():
            shown[f"reference: {REFERENCE_SCALE}"] = open_results(self.reference)
        return shown

    @staticmethod
    def table(shown: dict[str, xr.Dataset]) -> pd.DataFrame:
        """Return the main numbers, medians over the rounds, one column for each run."""
        import pandas as pd

        columns = {title: dict(_lines(ds)) for title, ds in shown.items()}
        return pd.DataFrame(columns).fillna("")


def _lines(ds: xr.Dataset) -> Iterator[tuple[str, str]]:
    """Yield (what, value with its unit) for the table."""
    middle = ds.median([d for d in ("round",) if d in ds.dims], skipna=True)
    yield "machine", ds.attrs["device"]
    for i, n in enumerate(ds["images"].values):
        at = f"{n} images × {int(ds['iterations'][i])} iterations"
        for way in ds["way"].values:
            value = float(middle["matrices_time"].sel(way=way, images=n))
            how = ", extrapolated" if way == "reference style" else ""
            if value == value:
                yield f"all matrices, {at}: {way}{how}", f"{value:.3g} s"
        for baseline in ds["baseline"].values:
            value = float(middle["speedup"].sel(baseline=baseline, images=n))
            if value == value:
                yield f"speed-up over {baseline}, {at}", f"{value:.3g}×"
                off = float(ds["deviation"].sel(baseline=baseline, images=n))
                yield f"largest difference from {baseline}, {at}", f"{off:.1e}"
    if "equal_loss_time" in ds:
        for what, seconds in zip(
            ds["equal_loss"].values, ds["equal_loss_time"].values, strict=True
        ):
            yield f"to the same loss, extrapolated: {what}", f"{seconds:.3g} s"
    yield "rate of the inversion", f"{float(middle['inversion_rate']):.3g} GFLOP/s"
    yield "rate of its matrix products alone", f"{float(middle['gemm_rate']):.3g} GFLOP/s"
    yield "the one over the other", f"{float(middle['efficiency']):.0%}"
    yield "share of matrix products alone in the time", f"{float(middle['gemm_share']):.0%}"
    for n in ds["memory_images"].values:
        peak, held = (float(ds[k].sel(memory_images=n)) for k in ("peak_memory", "held_memory"))
        yield f"peak memory, {n} images", f"{peak:.0f} MiB, {held:.0f} of them the images"
    if "cka_time" in ds:
        theirs, ours = middle["cka_time"].values
        yield "CKA matrix: ckatorch, pair by pair", f"{theirs:.3g} s"
        yield "CKA matrix: ours", f"{ours:.3g} s ({theirs / ours:.3g}× as fast)"
    if "gpu_time" in ds:
        for precision in ds["precision"].values:
            at = f"the paper's comparison on a GPU, one seed, {precision}"
            here = ds.sel(precision=precision)
            first, *later = here["gpu_time"].values
            yield at, f"{median(later):.3g} s ({first:.3g} s the first time)"
            yield f"{at}: rate", f"{median(here['gpu_rate'].values[1:]):.3g} TFLOP/s"
            if precision != "float32":
                mean, most = (float(here[f"gpu_deviation{k}"]) for k in ("", "_max"))
                yield f"{at}: debiased STIR off by", f"{mean:.4f}, at most {most:.4f}"


# ── Memory: one process for each measurement, because a peak cannot be undone ────────────────────


@contextmanager
def _processes() -> Iterator[ProcessPoolExecutor]:
    """A pool that gives each task a new process, forked from one that did nothing but import."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload(["invlib.inversion.invert"])
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        yield pool


def peak_memory(model: str, img_size: int | None, n: int) -> tuple[int, int]:
    """Return the bytes that inverting `n` images at all layers takes at its peak, on the CPU.

    First above what the process had before; then how much of this are images, which nobody can do
    without: those it starts from and those it finds.
    """
    import torch

    from invlib.inversion.invert import invert
    from invlib.models.loading import load_model

    network = load_model(model, img_size=img_size)
    images = torch.rand(n, 3, network.img_size, network.img_size)
    before = _resident("VmRSS")
    invert(network, images, iterations=2, progress=False)  # the first step holds one layer's rows
    return _resident("VmHWM") - before, (1 + len(network.layers)) * images.numel() * 4


def _resident(what: str) -> int:
    """Resident memory in bytes, now (VmRSS) or at its peak (VmHWM)."""
    try:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024
    except (OSError, StopIteration):
        # Not Linux. There, ru_maxrss would not do: a process starts with its parent's.
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
