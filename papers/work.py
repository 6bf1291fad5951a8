"""What computing any section needs: the device, writing its results, reading those of others."""

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
    """Return ``"cuda"`` if there is a GPU, else ``"cpu"``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def written(
    kind: str,
    *,
    seeds: Callable[[Section], Iterable[int]] = lambda section: section.seeds,
    device: str | None = None,
    keep: Iterable[str] = (),
) -> Callable[[Compute], Compute]:
    """Decorate a function so that its Dataset is written to the section's `output`.

    Provenance is added, and the result is returned as read back from the file. `seeds` are those of
    its trainings or images. Its device is `device`, that of the Dataset's attributes, or the best
    one. `keep` names other attributes to keep.
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

    They are computed if no file has them.
    """
    cls = section_class(name)
    own = section.model_dump(mode="json")
    other = cls.from_parameters({k: v for k, v in own.items() if k in cls.model_fields})
    if other.output.is_file():
        ds = open_results(other.output)
        if json.loads(ds.attrs["parameters"]) == json.loads(parameters_text(other)):
            return ds
    return other.dataset()
