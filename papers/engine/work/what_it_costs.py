"""Work of the page on costs: measure one thing at a time, and make its table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

import pandas as pd
import xarray as xr

from papers.engine.costs import measure
from papers.engine.memory import peak_memories
from papers.engine.what_it_costs import WhatItCosts
from papers.work import best_device, finish


def dataset(section: WhatItCosts) -> xr.Dataset:
    """Measure, one thing at a time, and write the results to `output`."""
    started = time.perf_counter()
    sizes = section.bench_memory_images
    peak, held = zip(*peak_memories(section.model, section.img_size, sizes), strict=True)
    ds = measure(
        section.model,
        section.img_size,
        images=section.bench_images,
        iterations=section.bench_iterations,
        rounds=section.bench_rounds,
        pairs=section.bench_pairs,
        doublings=section.bench_doublings,
        cka_images=section.bench_cka_images,
        gpu_images=section.bench_gpu_images,
        seed=section.seeds[0],
    ).assign_coords(memory_images=list(sizes))
    for name, values, long_name in (
        ("peak_memory", peak, "peak memory of inverting all layers, above what was there"),
        ("held_memory", held, "of this, starting images and inverted images"),
    ):
        said = dict(long_name=long_name, units="MiB")
        ds[name] = ("memory_images", [value / 2**20 for value in values], said)
    return finish(
        section,
        ds,
        kind="benchmark",
        device=best_device(),
        started=started,
        seeds=section.seeds[:1],
    )


def table(shown: dict[str, xr.Dataset]) -> pd.DataFrame:
    """Return the main numbers, medians over the rounds, one column for each run."""
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
