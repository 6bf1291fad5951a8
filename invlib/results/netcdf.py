"""Write and read results as netCDF files. Both check the result against the schema."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import xarray as xr

from invlib.files import atomic
from invlib.names import nearest
from invlib.results.validation import ResultError, conform, validate

__all__ = ["open_results", "save_results"]


def save_results(ds: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Write `ds` to the netCDF file `path`, whole or not at all, and return the path.

    First, missing names and units are taken from the schema (`conform`), and the result is
    validated. A reader of `path` finds the old file or the new one, even after a crash.

    Raises
    ------
    ResultError
        If `ds` does not follow the schema of its kind. Nothing is written.
    OSError
        If the file system refuses. An older file stays.

    Examples
    --------
    >>> import tempfile
    >>> from invlib.results.provenance import provenance
    >>> ds = xr.Dataset({"images_per_s": ((), 90.0, {"long_name": "speed", "units": "1/s"})})
    >>> ds.attrs = {"kind": "benchmark"} | provenance(
    ...     parameters={}, seeds=[0], wall_time=1.0, command="make bench")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_results(ds, f"{folder}/speed.nc")
    ...     float(open_results(path)["images_per_s"])
    90.0
    """
    path = Path(path)
    if path.suffix != ".nc":
        raise ValueError(f"path={str(path)!r} must end in '.nc'")
    ds = conform(ds).drop_encoding()
    try:
        validate(ds)
    except ResultError as error:
        raise ResultError(f"{path} was not written: {error}") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as unfinished:
        ds.to_netcdf(unfinished, engine=_engine(), format="NETCDF4", encoding=_encoding(ds))
    return path


def open_results(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read the result at `path` into memory, validate it and close the file.

    Raises
    ------
    FileNotFoundError
        The message has the nearest name in the folder.
    ResultError
        If the file is incomplete, is no result, is newer than this library or breaks the schema.

    Examples
    --------
    >>> open_results("nowhere.nc")
    Traceback (most recent call last):
        ...
    FileNotFoundError: no result at nowhere.nc
    """
    path = Path(path)
    if not path.exists():
        beside = [other.name for other in path.parent.glob("*.nc")]
        raise FileNotFoundError(f"no result at {path}{nearest(path.name, beside)}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a result file")
    with path.open("rb") as file:  # first, because netCDF hides the reason of an error
        start = file.read(8)
    if start != b"\x89HDF\r\n\x1a\n":
        raise ResultError(f"{path} is empty, torn or not a netCDF 4 file")
    try:
        with xr.open_dataset(path, engine=_engine(), decode_times=False) as file:
            ds = file.load()
    except Exception as error:  # HDF5 reports damage as OSError, RuntimeError, AttributeError, ...
        raise ResultError(f"{path} is torn or damaged: {error}") from error
    ds = ds.drop_encoding()
    if not {"kind", "schema_version"} & set(ds.attrs):
        raise ResultError(f"{path} is a netCDF file, but not one that invlib wrote")
    try:
        validate(ds)
    except ResultError as error:
        raise ResultError(f"{path}: {error}") from None
    return ds


def _engine() -> str:
    """Return "netcdf4", or "h5netcdf" if only that is installed; both write the same format."""
    for engine, modules in {"netcdf4": ["netCDF4"], "h5netcdf": ["h5netcdf", "h5py"]}.items():
        if all(importlib.util.find_spec(module) for module in modules):
            return engine
    raise ImportError("reading and writing results needs the package netCDF4, or h5netcdf and h5py")


def _encoding(ds: xr.Dataset) -> dict[str, dict[str, object]]:
    """Return the encoding: compression, a checksum against damage, NaN stored as NaN."""
    encoding: dict[str, dict[str, object]] = {}
    for name, array in ds.variables.items():
        if array.dtype.kind in "fiu":
            encoding[name] = {"_FillValue": None}
            if array.ndim:
                encoding[name] |= {"zlib": True, "complevel": 4, "fletcher32": True}
    return encoding
