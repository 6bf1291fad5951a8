"""What the work of every section shares: the device, the results it writes and those it reads."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

import torch
import xarray as xr

from invlib.results.netcdf import open_results, save_results
from invlib.results.provenance import parameters_text, provenance
from papers.section import Section, section_class

__all__ = ["best_device", "finish", "results_of"]


def best_device() -> str:
    """Return ``"cuda"`` where there is one, else ``"cpu"``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def finish(
    section: Section,
    ds: xr.Dataset,
    *,
    kind: str,
    device: object,
    started: float,
    seeds: Iterable[int] | None = None,
    **attrs: str,
) -> xr.Dataset:
    """Say in `ds` what made it, write it to the section's `output`, return it as it is read back.

    `started` is ``time.perf_counter()`` of when work began; `seeds` are those of the section
    where no others are given; `attrs` are kept besides.
    """
    ds.attrs = (
        attrs
        | {"kind": kind}
        | provenance(
            parameters=section,
            seeds=section.seeds if seeds is None else seeds,
            device=device,
            command=section.command,
            wall_time=time.perf_counter() - started,
        )
    )
    save_results(ds, section.output)
    return open_results(section.output)


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
