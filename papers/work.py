"""What the work of every section shares: the device, the results it writes and those it reads."""

import json
import time
from collections.abc import Callable, Iterable
from functools import wraps

import torch
import xarray as xr

from invlib.results.netcdf import open_results, save_results
from invlib.results.provenance import parameters_text, provenance
from papers.section import Section, section_class

__all__ = ["best_device", "results_of", "written"]

Compute = Callable[[Section], xr.Dataset]


def best_device() -> str:
    """Return ``"cuda"`` where there is one, else ``"cpu"``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def written(
    kind: str,
    *,
    seeds: Callable[[Section], Iterable[int]] = lambda section: section.seeds,
    device: str | None = None,
    keep: Iterable[str] = (),
) -> Callable[[Compute], Compute]:
    """Make work write what it returns to the section's `output`, with what made it.

    Results are returned as they are read back. They name the device that the Dataset itself names,
    else the best one. `seeds` are those that its trainings or images were drawn with; `keep` are
    names of its own attributes.
    """

    def decorate(compute: Compute) -> Compute:
        @wraps(compute)
        def dataset(section: Section) -> xr.Dataset:
            started = time.perf_counter()
            ds = compute(section)
            made = provenance(
                parameters=section,
                seeds=seeds(section),
                device=device or ds.attrs.get("device", best_device()),
                command=section.command,
                wall_time=time.perf_counter() - started,
            )
            ds.attrs = {name: ds.attrs[name] for name in keep} | {"kind": kind} | made
            save_results(ds, section.output)
            return open_results(section.output)

        return dataset

    return decorate


def results_of(section: Section, name: str) -> xr.Dataset:
    """Return the results of section `name` with the parameters of `section`.

    They are computed if no file holds them.
    """
    cls = section_class(name)
    own = section.model_dump(mode="json")
    other = cls.from_parameters({k: v for k, v in own.items() if k in cls.model_fields})
    if other.output.is_file():
        ds = open_results(other.output)
        if json.loads(ds.attrs["parameters"]) == json.loads(parameters_text(other)):
            return ds
    return other.dataset()
