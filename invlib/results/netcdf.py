"""Write and read results as netCDF files. Both check the result against the schema.

A file carries a digest of its content as the attribute ``content_sha256``. Files of older versions
have none and open without that check.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import threading
from pathlib import Path

import numpy as np
import xarray as xr

from invlib.files import atomic
from invlib.names import dataset, nearest
from invlib.results.validation import ResultError, conform, validate

__all__ = ["open_results", "save_results"]

_DIGEST = "content_sha256"  # written and checked here; a Dataset in memory does not have it
_NETCDF = threading.RLock()  # the C library crashes when two threads are in it


def save_results(ds: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Write `ds` to the netCDF file `path`, whole or not at all, and return the path.

    First, missing names and units are taken from the schema (`conform`), and the result is
    validated. A reader of `path` finds the old file or the new one, even after a crash. If `ds`
    does not follow the schema of its kind (ResultError), or the file system refuses (OSError), an
    older file stays.

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
    path = Path(path).expanduser()
    if path.suffix != ".nc":
        raise ValueError(f"path={str(path)!r} must end in '.nc'")
    ds = conform(dataset(ds)).drop_encoding()
    try:
        validate(ds)
    except ResultError as error:
        raise ResultError(f"{path} was not written: {error}") from None
    ds = ds.assign_attrs({_DIGEST: _digest(ds)})
    with atomic(path) as unfinished:
        try:
            with _NETCDF:
                ds.to_netcdf(unfinished, engine=_engine(), format="NETCDF4", encoding=_encoding(ds))
        except RuntimeError as error:  # netCDF does not say why, not even that the disk is full
            said = f"{path} could not be written ({error}); is the disk full, or a quota reached?"
            raise OSError(said) from error
        _read(unfinished, path)  # what was written can be opened
    return path


def open_results(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read the result at `path` into memory, validate it and close the file.

    Raises
    ------
    FileNotFoundError
        The message has the nearest name in the folder.
    ResultError
        If the file is incomplete, is no result, is newer than this library or breaks the schema.
    """
    path = Path(path).expanduser()
    if not path.exists():
        beside = [other.name for other in path.parent.glob("*.nc")]
        raise FileNotFoundError(f"no result at {path}{nearest(path.name, beside)}")
    if not path.is_file():  # to open a pipe would wait for ever
        raise IsADirectoryError(f"{path} is a folder or a pipe, not a result file")
    with path.open("rb") as file:  # first, because netCDF hides the reason of an error
        start = file.read(8)
    if start != b"\x89HDF\r\n\x1a\n":
        raise ResultError(f"{path} is empty, torn or not a netCDF 4 file")
    ds = _read(path, path)
    if not {"kind", "schema_version"} & set(ds.attrs):
        raise ResultError(f"{path} is a netCDF file, but not one that invlib wrote")
    try:
        validate(ds)
    except ResultError as error:
        raise ResultError(f"{path}: {error}") from None
    return ds


def _read(file: Path, path: Path) -> xr.Dataset:
    """Return the content of `file` without its digest, which is checked. Errors call it `path`."""
    try:
        with _NETCDF, xr.open_dataset(file, engine=_engine(), decode_times=False) as opened:
            ds = opened.load()
    except Exception as error:  # HDF5 reports damage as OSError, RuntimeError, AttributeError, ...
        raise ResultError(f"{path} is torn or damaged: {error}") from error
    ds = ds.drop_encoding()
    if ds.attrs.pop(_DIGEST, None) not in (None, _digest(ds)):
        raise ResultError(
            f"{path} is damaged, or was changed by another program: its content is not what "
            f"save_results wrote; delete its attribute {_DIGEST!r} if the change was meant"
        )
    return ds


def _digest(ds: xr.Dataset) -> str:
    """Return a digest of values, dims, names and attributes, the same before and after a file."""
    digest = hashlib.sha256()
    for name, array in [("", None), *sorted(ds.variables.items())]:
        attrs = ds.attrs if array is None else array.attrs
        # A file gives back a list of one as that one, and NumPy's numbers for Python's.
        plain = {key: np.ravel(value).tolist() for key, value in attrs.items() if key != _DIGEST}
        says = [name, name in ds.coords, plain]
        if array is not None:
            values = np.asarray(array.values)
            text = values.dtype.kind not in "biuf"
            kind = "text" if text else values.dtype.newbyteorder("<").str
            says += [array.dims, array.shape, kind]
            if text:
                says += [values.astype(str).tolist()]
            else:
                digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)
        digest.update(json.dumps(says, sort_keys=True).encode())
    return digest.hexdigest()


def _engine() -> str:
    """Return "netcdf4", or "h5netcdf" where that is not installed; both write the same format."""
    return "netcdf4" if importlib.util.find_spec("netCDF4") else "h5netcdf"


def _encoding(ds: xr.Dataset) -> dict[str, dict[str, object]]:
    """Return the encoding: compression, a checksum against damage, NaN stored as NaN."""
    encoding: dict[str, dict[str, object]] = {}
    for name, array in ds.variables.items():
        if array.dtype.kind in "fiu":
            encoding[name] = {"_FillValue": None}
            if array.ndim:
                encoding[name] |= {"zlib": True, "complevel": 4, "fletcher32": True}
    return encoding
