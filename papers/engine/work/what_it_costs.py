"""Compute the section on costs: measure one thing at a time, and make its table."""

from collections.abc import Iterator
from statistics import median

import pandas as pd
import xarray as xr
from torch import Tensor

from invlib.data.images import load_images
from invlib.inversion.invert import invert
from invlib.models.loading import load_model
from invlib.models.staged import StagedModel
from papers.engine import costs
from papers.engine.memory import peak_memories
from papers.engine.operations import OPERATIONS, noise
from papers.engine.what_it_costs import WhatItCosts
from papers.words import counted
from papers.work import best_device, written

_MEMORY = {
    "peak_memory": "peak memory of inverting all layers, above what was there",
    "held_memory": "of this, starting images and inverted images",
}


@written("benchmark", seeds=lambda section: section.seeds[:1])
def dataset(section: WhatItCosts) -> xr.Dataset:
    """Measure, one thing at a time."""
    device, sizes = best_device(), section.bench_memory_images
    memory = zip(*peak_memories(section.model, section.img_size, sizes), strict=True)
    models = {
        short: load_model(section.model, img_size=section.img_size, seed=seed).to(device)
        for seed, short in enumerate(("pt", "ft"))
    }
    pt = models["pt"]
    asked_for = _asked_for(section, pt)  # refused before anything is timed
    invert(pt, noise(pt, 2), iterations=2, progress=False)  # whatever happens only once
    found = _timed(section, models, asked_for) | {
        name: ("memory_images", [value / 2**20 for value in values], long_name, "MiB")
        for (name, long_name), values in zip(_MEMORY.items(), memory, strict=True)
    }
    coords = dict(
        way=list(costs.WAYS),
        baseline=list(costs.WAYS[:2]),
        images=list(section.bench_images),
        round=range(max(section.bench_rounds)),
        equal_loss=list(costs.EQUAL),
        layer=pt.layers,
        operation=list(OPERATIONS),
        sweep=list(costs.SWEEPS),
        share=[0.5**k for k in range(section.bench_doublings, -1, -1)],
        cka_method=["ckatorch, pair by pair", "ours"],
        precision=list(costs.PRECISIONS),
        gpu_round=range(3),
        memory_images=list(sizes),
    )
    variables = {
        name: (dims, values, dict(long_name=long_name, units=units))
        for name, (dims, values, long_name, units) in found.items()
    }
    used = {d for dims, *_ in found.values() for d in ((dims,) if isinstance(dims, str) else dims)}
    ds = xr.Dataset(variables, {name: value for name, value in coords.items() if name in used})
    steps = xr.DataArray(list(section.bench_iterations), dims="images")
    return ds.assign_coords(iterations=steps.assign_attrs(long_name="iterations", units="1"))


def _timed(
    section: WhatItCosts, models: dict[str, StagedModel], asked_for: tuple[StagedModel, Tensor]
) -> dict[str, tuple]:
    """Return all but memory: {variable: (dims, values, long name, units)}."""
    pt, seed, most = models["pt"], section.seeds[0], max(section.bench_rounds)
    every = (section.bench_images, section.bench_iterations, section.bench_rounds)
    sizes = list(zip(*every, strict=True))
    n, steps, _ = sizes[0]
    return (
        costs.against_baselines(models, sizes, sampled_pairs=section.bench_pairs, seed=seed)
        | costs.at_equal_loss(models, n, steps, most, seed=seed)
        | costs.to_distance(*asked_for, section.bench_distance, section.bench_distance_steps)
        | costs.cost_of_snapshots(pt, noise(pt, n), max(2, steps), most)
        | costs.against_floor(pt, n, steps, most)
        | costs.scaling(models, section.bench_doublings)
        | costs.cka_against_ckatorch(pt, section.bench_cka_images, most)
        | costs.paper_scale(section.bench_gpu_images, pt.device)
    )


def _asked_for(section: WhatItCosts, untrained: StagedModel) -> tuple[StagedModel, Tensor]:
    """Return the model and the images whose way to a distance is timed."""
    n, weights, size = section.bench_distance_images, section.bench_weights, section.img_size
    if weights is None:
        return untrained, noise(untrained, n)
    images = load_images(section.bench_dataset, "test").sample(n, section.seeds[0])
    model = load_model(section.model, weights=weights, img_size=size).to(untrained.device)
    return model, images.tensor(model.img_size)


def by_layer(ds: xr.Dataset) -> pd.DataFrame:
    """Return how long each layer takes to the distance asked for, and what staying would take."""
    names = ["time", "time_staying", "steps", "arrived", "left"]
    frame = ds[[f"distance_{name}" for name in names]].drop_vars("layer_name", errors="ignore")
    frame = frame.to_dataframe()[[f"distance_{name}" for name in names]]
    frame["times as fast"] = frame["distance_time_staying"] / frame["distance_time"]
    return frame.rename(columns=lambda name: name.removeprefix("distance_").replace("_", ", "))


def table(shown: dict[str, xr.Dataset]) -> pd.DataFrame:
    """Return the main numbers, medians over the rounds, one column for each run."""
    columns = {title: dict(_lines(ds)) for title, ds in shown.items()}
    return pd.DataFrame(columns).fillna("")


def _lines(ds: xr.Dataset) -> Iterator[tuple[str, str]]:
    """Yield (what, value with its unit) for the table."""
    middle = ds.median([d for d in ("round",) if d in ds.dims], skipna=True)
    yield "machine", ds.attrs["device"]
    for i, n in enumerate(ds["images"].values):
        steps = counted(int(ds["iterations"][i]), "iteration")
        at = f"{counted(int(n), 'image')} × {steps}"
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
        pair, every = ds["equal_loss_time"].values
        yield "to the same loss: all of ours over one pair of theirs", f"{every / pair:.2f}"
    if "distance_time" in ds:
        faster = float(ds["distance_time_staying"].sum() / ds["distance_time"].sum())
        asked = float(ds["distance_asked"])
        yield f"all layers to distance {asked:g}", f"{float(ds['distance_time'].sum()):.3g} s"
        yield "as many steps in which no image leaves", f"{faster:.3g}× as long"
        yield "snapshots: time over that without", f"{float(middle['snapshot_cost']):.3g}×"
    yield "rate of the inversion", f"{float(middle['inversion_rate']):.3g} GFLOP/s"
    yield "rate of its matrix products alone", f"{float(middle['gemm_rate']):.3g} GFLOP/s"
    yield "the one over the other", f"{float(middle['efficiency']):.0%}"
    yield "share of matrix products alone in the time", f"{float(middle['gemm_share']):.0%}"
    for n in ds["memory_images"].values:
        peak, held = (float(ds[k].sel(memory_images=n)) for k in ("peak_memory", "held_memory"))
        yield (
            f"peak memory, {counted(int(n), 'image')}",
            f"{peak:.0f} MiB, {held:.0f} of them the images",
        )
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
