"""Compute ``python -m papers gpu run``: its steps, which write one file each, and its table."""

import time
import warnings
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
import yaml

from invlib import compare, forgetting, invert, learning, load_images, load_model, train
from invlib.data.images import ImageSet
from invlib.inversion.invert import start_images
from invlib.models.staged import StagedModel
from invlib.results.netcdf import open_results, save_results
from invlib.results.provenance import provenance
from papers.engine.costs import PRECISIONS, computing_in
from papers.engine.operations import clock, inversion_flop, noise
from papers.merlin2023.dynamics import Dynamics
from papers.merlin2023.finetuning_task import FinetuningTask
from papers.merlin2023.work.base import pretrained_model
from papers.parameters import load_scale, split
from papers.work import best_device

QUIET = dict(cache=False, examples=0, progress=False, seeds=[0], subspace_k=3)
MATRICES = ("stir_ft_pt", "stir_pt_ft", "stir_pt_pt", "stir_ft_ft")
# Float32 in chunks of another size shows what any rounding does: the yardstick of the others.
WAYS = (*PRECISIONS, "float32, other chunk")
OFF = dict(off_mean="mean", off_max="largest", off_diagonal_mean="mean along the diagonal,",
           off_diagonal_max="largest on the diagonal,")  # fmt: skip
ENOUGH = 0.005  # a precision may move debiased STIR by so much
UNITS = {"seconds": "time (s)", "rate": "TFLOP/s"}
SIZES = Path(__file__).parents[1] / "gpu.yaml"


class Plan:
    """Where the steps write, when no further recipe begins, and the sizes of ``gpu.yaml``."""

    def __init__(self, folder: Path, *, precision: str, toy: bool, ends: float):
        self.folder, self.precision, self.ends = folder, precision, ends
        self.began, self.device = time.monotonic(), torch.device(best_device())
        self.card = torch.cuda.get_device_name() if self.device.type == "cuda" else "none"
        sizes = yaml.safe_load(SIZES.read_text(encoding="utf-8"))["toy" if toy else "full"]
        vars(self).update(sizes)
        parameters = load_scale(sizes["base"]) | sizes["section"]
        self.section = FinetuningTask.from_parameters(parameters)
        self.dynamics = Dynamics.from_parameters(parameters | sizes["dynamics"])

    @cached_property
    def trained(self) -> tuple[StagedModel, StagedModel, ImageSet]:
        """The pretrained network, itself fine-tuned to classify, and images to compare them on."""
        run = self.section.finetuning_run(self.section.datasets[0], "classification")
        tuned = train(run, root=self.section.training_root, progress=False).model()
        models = pretrained_model(self.section), tuned
        return *(model.to(self.device) for model in models), load_images(run.dataset, "test")


def checks(plan: Plan) -> xr.Dataset:
    """The GPU against the processor, the same twice, waits in the loop, bounds, memory."""
    off, iterations = [], 2 * plan.short
    for name, n in plan.checked.items():
        pair, pool = [load_model(name, seed=seed) for seed in (0, 1)], noise(load_model(name), n)
        here = compare(*pair, pool, n=n, iterations=iterations, **QUIET)
        pair = [model.to(plan.device) for model in pair]
        off.append(_off(here, compare(*pair, pool, n=n, iterations=iterations, **QUIET)))
    model = load_model(next(iter(plan.checked))).to(plan.device)
    x, steps = noise(model, max(plan.checked.values())), (plan.short, 2 * plan.short)
    do = partial(invert, progress=False)
    once, twice = (do(model, x, iterations=plan.short).images for _ in range(2))
    starts = ["white", "black", "noise"]
    big = load_model(plan.untrained).to(plan.device)
    said = "difference of debiased STIR on the processor and here, all float32"
    variables = {
        name: ("network", list(column), f"{word} {said}")
        for (name, word), column in zip(OFF.items(), zip(*off, strict=True), strict=True)
    } | {
        "again": ((), float((once - twice).abs().max()), "largest difference of two alike"),
        "waits": ("steps", [_waits(partial(do, model, x, iterations=s)) for s in steps],
                  "times that an inversion of so many steps waits for the GPU"),
        "moved": ("start", [_moved(model, x[:4], init) for init in starts],
                  "share of pixels at 0 or 1 that move, least of all layers"),
        "peak_memory": ("images", [_peak(partial(do, big, noise(big, n), iterations=1))
                                   for n in plan.memory_images],
                        f"peak memory of inverting {plan.untrained}", "GiB"),
    }  # fmt: skip
    return _saved(plan, "checks", variables, network=list(plan.checked), steps=list(steps),
                  start=starts, images=list(plan.memory_images))  # fmt: skip


def _waits(function: partial) -> int:
    """How often the program waits for the GPU in `function`; 0 without one."""
    function()
    if not torch.cuda.is_available():
        return 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        function()
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def _moved(model: StagedModel, images: torch.Tensor, init: str) -> float:
    start = start_images(images, init, 0).to(model.device)
    found = invert(model, images, iterations=5, init=init, progress=False).images
    return float((found != start)[:, (start == 0) | (start == 1)].float().mean(1).min())


def _peak(function: partial) -> float:
    """GiB that tensors took at most; NaN without a GPU."""
    if not torch.cuda.is_available():
        return np.nan
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    function()
    return torch.cuda.max_memory_allocated() / 2**30


def precisions(plan: Plan) -> xr.Dataset:
    """Few steps at each precision, many at the best; what a precision does to trained weights."""
    models = [load_model(plan.untrained, seed=seed).to(plan.device) for seed in (0, 1)]
    pool, rows, found = noise(models[0], plan.n), [], {}

    def timed(precision: str, n: int, steps: int) -> None:
        run = partial(compare, *models, pool, n=n, iterations=steps, **QUIET)
        with computing_in(precision, plan.device):
            seconds, found[precision] = clock(run, plan.device)
        rate = 2 * n * inversion_flop(models[0], models[0].layers, steps) / seconds / 1e12
        rows.append((precision, n, steps, plan.card, seconds, rate))

    for precision in PRECISIONS:
        timed(precision, max(4, plan.n // 10), 1)
        rows.pop()  # it paid for what happens only once
        timed(precision, plan.n, plan.short)
    values = [_off(found["float32"], found[precision]) for precision in PRECISIONS]
    off = {f"untrained, ngd:{plan.short}": [*values, 4 * (np.nan,)]}
    fine = [i for i, (_, largest, *_) in enumerate(values) if largest <= ENOUGH]
    timed(PRECISIONS[min(fine, key=lambda i: rows[i][4])], plan.n, plan.long)
    _precisions(plan, rows, off)
    found.clear()
    for way in WAYS:
        chunk = plan.trained_n // 2 + 1 if way == WAYS[-1] else plan.trained_n
        how = dict(n=plan.trained_n, iterations=plan.long, optimizer="fast", chunk=chunk)
        with computing_in(way.partition(",")[0], plan.device):
            found[way] = compare(*plan.trained, **how, **QUIET)
    off[f"trained, fast:{plan.long}"] = [_off(found["float32"], found[way]) for way in WAYS]
    return _precisions(plan, rows, off)


def _precisions(plan: Plan, rows: list[tuple], off: dict[str, list]) -> xr.Dataset:
    *columns, seconds, rate = map(list, zip(*rows, strict=True))
    each = zip(("precision", "images", "iterations", "card"), columns, strict=True)
    variables = {
        "seconds": ("timing", seconds, "time of a comparison of two networks, one seed", "s"),
        "rate": ("timing", rate, "operations of its steps over this time", "TFLOP/s"),
    }
    for (name, word), part in zip(OFF.items(), np.moveaxis(list(off.values()), -1, 0), strict=True):
        words = f"{word} difference of debiased STIR from that of float32"
        variables[name] = (("pair", "way"), part, words)
    return _saved(plan, "precisions", variables, timing=range(len(rows)), pair=list(off),
                  pair_card=("pair", [plan.card] * len(off)), way=list(WAYS),
                  **{f"timing_{name}": ("timing", column) for name, column in each})  # fmt: skip


def do(step: str, plan: Plan) -> xr.Dataset:
    """Do one step: as its section computes it, where it is one's."""
    if step in (own := dict(checks=checks, precisions=precisions, convergence=convergence)):
        return own[step](plan)
    section = plan.dynamics if step == "dynamics" else plan.section
    if step == "draws":
        section = section.model_copy(update=dict(seeds=(1, 2)))
    with computing_in(plan.precision, plan.device):
        ds = section.dataset().assign_attrs(matmul_precision=plan.precision)
    return open_results(save_results(ds, plan.folder / f"{step}.nc"))


def convergence(plan: Plan) -> xr.Dataset:
    """STIR and the distance left by recipe, steps and start; the file grows recipe by recipe."""
    parts, (model, _, pool) = {}, plan.trained
    x = pool.sample(min(24, len(pool)), 0).tensor(model.img_size).to(plan.device)
    with torch.no_grad():  # (n, tokens, channels) -> (channels,)
        by_channel = [h.square().sum((0, 1)) for h in model.features(x, model.layers)]
    share = [float(square.max() / square.sum()) for square in by_channel]
    for recipe in plan.recipes:
        if parts and time.monotonic() > plan.ends:
            break
        rule, steps, init = split(recipe)
        with computing_in(plan.precision, plan.device):
            ds = compare(*plan.trained, n=plan.recipes_n, iterations=steps, optimizer=rule,
                         init=init, **QUIET)  # fmt: skip
        kept = [name for name in ds if str(name).startswith(("stir", "inversion_loss"))]
        parts[recipe] = ds[kept].assign_coords(rule=rule, steps=steps, init=init).drop_attrs()
        ds = xr.concat(list(parts.values()), xr.Variable("recipe", list(parts)), join="exact")
        variables = {str(k): (v.dims, v.values, str(k).replace("_", " ")) for k, v in ds.items()}
        said = "share of the squared norm that the pretrained model's largest channel carries"
        variables["channel_share"] = ("layer", share, said)
        coords = {str(k): (v.dims, v.values) for k, v in ds.coords.items()}
        ds = _saved(plan, "convergence", variables, **coords)
    return ds


def _off(a: xr.Dataset, b: xr.Dataset) -> tuple[float, float, float, float]:
    """Differences of debiased STIR, in the order of `OFF`."""
    a, b = (ds.sel(estimator="debiased") for ds in (a, b))
    whole = np.stack([abs(a[name] - b[name]).values for name in MATRICES])
    same = np.diagonal(whole, axis1=-2, axis2=-1)
    return whole.mean(), whole.max(), same.mean(), same.max()


def _saved(plan: Plan, step: str, variables: dict[str, tuple], **coords) -> xr.Dataset:
    """Write a benchmark of {name: (dims, values, long name, units or none)}; return it as read."""
    ds = xr.Dataset({name: said[:2] for name, said in variables.items()}, coords)
    for name, (_, _, long_name, *units) in variables.items():
        ds[name].attrs = dict(long_name=long_name, units=(*units, "1")[0])
    for name in ds.coords:
        ds[name].attrs = dict(long_name=str(name).replace("_", " "), units="1")
    ds.attrs = dict(kind="benchmark", matmul_precision=plan.precision) | provenance(
        parameters=plan.section.model_dump(mode="json") | dict(untrained=plan.untrained),
        seeds=[0],
        device=plan.device,
        wall_time=time.monotonic() - plan.began,
        command=f"python -m papers gpu run --steps {step} --precision {plan.precision}",
    )
    return open_results(save_results(ds, plan.folder / f"{step}.nc"))


def checked(ds: xr.Dataset) -> pd.DataFrame:
    """Return what was checked, what was found, and whether it is as it should be."""
    rows = {
        f"mean |ΔSTIR| from the processor, {name}": (value, value <= 0.001)
        for name, value in zip(ds["network"].values, ds["off_mean"].values, strict=True)
    }
    more = int(ds["waits"][-1] - ds["waits"][0])
    rows["waits for the GPU that grow with the steps"] = more, more <= 0
    rows["largest difference of two inversions alike"] = float(ds["again"]), ds["again"] == 0
    moved = float(ds["moved"].min())
    rows["share of pixels at 0 or 1 that move, at least"] = moved, moved > 0.25
    cells = [(f"{value:.2g}", "yes" if fine else "no") for value, fine in rows.values()]
    return pd.DataFrame(cells, list(rows), ["found", "as it should be"])


def timings(ds: xr.Dataset) -> pd.DataFrame:
    """Return time and rate of the paper's comparison by precision and steps, with the card."""
    frame = ds[["seconds", "rate"]].to_dataframe().round({"seconds": 1, "rate": 0})
    frame = frame.rename(columns=lambda name: name.removeprefix("timing_"))
    return frame.set_index(["precision", "images", "iterations"]).rename(columns=UNITS)


def deviations(ds: xr.Dataset) -> pd.DataFrame:
    """Return how far debiased STIR lies from that of float32, by pair of networks and precision."""
    frame = ds[list(OFF)].to_dataframe().drop("float32", level="way").dropna()
    frame.columns = [*(name.removeprefix("off_").replace("_", ", ") for name in OFF), "card"]
    return frame.map(lambda value: value if isinstance(value, str) else f"{value:.1e}")


def values(ds: xr.Dataset) -> pd.DataFrame:
    """Return debiased learning and forgetting by layer, in the mean over seeds."""
    one = ds.sel(estimator="debiased").mean("seed")
    measures = xr.Dataset({"forgetting": forgetting(one), "learning": learning(one)})
    frame = measures.to_dataframe()[list(measures)]
    return frame.unstack("layer").round(3).T if frame.index.nlevels > 1 else frame.round(3)


def summary(step: str, ds: xr.Dataset) -> str:
    """Return the short table of a step."""
    tables = {"checks": (checked,), "precisions": (timings, deviations)}.get(step, (values,))
    return "\n".join([step, *(table(ds).to_string() for table in tables), ""])
