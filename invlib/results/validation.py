"""Check that a Dataset follows the schema of its kind (`invlib.results.schema`)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import xarray as xr

from invlib.names import nearest, owners, refused
from invlib.results.schema import COORDS, KINDS, PAIR, SCHEMA_VERSION, STACKING, Field

__all__ = ["ResultError", "conform", "numbered", "validate"]

_FILL = 15 * 2.0**119  # 9.97e36: what netCDF gives for numbers that were never written
SLACK = 1e-6  # rounding may exceed a bound by this much
_ALONG_LAYER = ("layer_name", "depth")  # or, of two different networks, both of each
# Dims whose coordinate is filled in with 0, 1, 2, ... if it is missing.
_RUNNING = ("example", "y", "x", "iteration", "left_out")

# The attributes that provenance() makes. Nested values are JSON: a netCDF attribute has no parts.
_INTEGER = (int, np.integer)
_PROVENANCE = {
    **dict.fromkeys("parameters seeds versions device git_commit command created".split(), (str,)),
    "git_dirty": _INTEGER,
    "wall_time_s": (*_INTEGER, float, np.floating),
}
_JSON = {"parameters": dict, "seeds": list, "versions": dict}


class ResultError(ValueError):
    """Raised for a Dataset or file that is not a valid invlib result."""


def conform(ds: xr.Dataset) -> xr.Dataset:
    """Return `ds` as it is stored, with dims in order and missing names and units filled in.

    Also numbers the dims of pictures and iterations, and sets `schema_version`. It changes no
    value. It leaves what the schema does not know; `validate` refuses that.

    Examples
    --------
    >>> ds = xr.Dataset({"test_accuracy": ("epoch", [0.1, 0.9])}, {"epoch": [0, 1]})
    >>> conform(ds.assign_attrs(kind="comparison"))["test_accuracy"].attrs
    {'long_name': 'accuracy on the test images', 'units': '1'}
    """
    kind = KINDS.get(str(ds.attrs.get("kind")))
    fields = (kind.variables if kind else None) or {}
    ds = numbered(ds.copy())
    for name in [name for name in ds.data_vars if name in fields]:
        ds[name] = ds[name].transpose(*_stored_order(ds[name].dims, fields[name]))
    for name in ds.variables:
        field = COORDS.get(name) if name in ds.coords else fields.get(name)
        if field is not None:
            own = {"long_name": field.long_name, "units": field.units}
            ds[name].attrs = own | ds[name].attrs
    ds.attrs.setdefault("schema_version", SCHEMA_VERSION)
    return ds


def numbered(ds: xr.Dataset) -> xr.Dataset:
    """Return `ds` with numbers along the dims of pictures and iterations that have none."""
    bare = [dim for dim in ds.dims if dim not in ds.coords]
    ds = ds.assign_coords({dim: np.arange(ds.sizes[dim]) for dim in bare if dim in _RUNNING})
    if "channel" in bare and ds.sizes["channel"] == 3:
        ds = ds.assign_coords(channel=["red", "green", "blue"])
    return ds


def validate(ds: xr.Dataset, *, provenance: bool = True) -> None:
    """Check `ds` against the schema of its kind.

    ResultError lists all problems: the variable, its value and what is allowed. The attributes of
    `provenance` are checked, too; use False for an unfinished Dataset.

    Examples
    --------
    >>> ds = xr.Dataset({"test_acuracy": 0.5}, attrs={"kind": "comparison"})
    >>> try:
    ...     validate(ds, provenance=False)
    ... except ResultError as error:
    ...     print(str(error).splitlines()[0])
    unknown variable 'test_acuracy' in a comparison; did you mean 'test_accuracy'?
    """
    if problems := list(_problems(ds, provenance)):
        raise ResultError("\n".join(problems))


def _problems(ds: xr.Dataset, provenance: bool) -> Iterator[str]:
    if "kind" not in ds.attrs:
        yield "no attribute 'kind': this is not an invlib result"
        return
    version = ds.attrs.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, _INTEGER) and version > SCHEMA_VERSION:
        yield (
            f"schema version {version} is newer than {SCHEMA_VERSION}, the newest this invlib "
            "reads: update invlib"
        )
        return  # its schema is another one
    if ds.attrs["kind"] not in KINDS:
        yield refused("kind", ds.attrs["kind"], KINDS)
        yield (
            "The package that owns a kind registers it when imported; for kinds of the book: "
            "import papers, in a checkout of the book"
        )
        return
    kind = KINDS[ds.attrs["kind"]]
    if provenance:
        yield from _attribute_problems(ds)
    for owner, attrs in [("", ds.attrs), *((f"{k}: ", v.attrs) for k, v in ds.variables.items())]:
        for name, value in attrs.items():
            if not _storable(value):
                yield (
                    f"{owner}attribute {name!r} is of type {type(value).__name__}, which is "
                    "not stored; give text, numbers or a list of either, such as json.dumps(...)"
                )
    if not ds.data_vars:
        yield f"a {ds.attrs['kind']} without variables"
    for name, array in ds.data_vars.items():
        if kind.variables is None:
            if array.dtype.kind not in "fiu":
                yield f"{name}: dtype {array.dtype}, but a number is required"
            elif np.isinf(array).any() or (array == _FILL).any():
                yield f"{name}: infinite values, or numbers that were never written (9.97e36)"
        elif name not in kind.variables:
            hint = nearest(name, kind.variables) or f"; known are {', '.join(kind.variables)}"
            yield f"unknown variable {name!r} in a {ds.attrs['kind']}{hint}"
            continue
        else:
            yield from _variable_problems(array, kind.variables[name], _absent(ds))
        yield from _label_problems(array, kind.variables and kind.variables.get(name))
    for group in kind.needs:
        if not any(name in ds.data_vars for name in group):
            yield f"a {ds.attrs['kind']} needs {' or '.join(map(repr, group))}"
    yield from _companion_problems(ds)
    yield from _coordinate_problems(ds, anything=kind.variables is None)


def _attribute_problems(ds: xr.Dataset) -> Iterator[str]:
    version = ds.attrs.get("schema_version")
    if not isinstance(version, _INTEGER) or version < 1:
        yield f"schema_version={version!r} is not a positive integer"
    for name, types in _PROVENANCE.items():
        value = ds.attrs.get(name)
        if value is None:
            yield f"no attribute {name!r}: add what invlib.results.netcdf.provenance(...) returns"
        elif not isinstance(value, types) or value == "":
            yield f"attribute {name}={value!r} must be {' or '.join(t.__name__ for t in types)}"
        elif name in _JSON:
            try:
                nested = json.loads(value)
            except json.JSONDecodeError as error:
                yield f"attribute {name} is not JSON: {error}"
            else:
                if not isinstance(nested, _JSON[name]):
                    yield f"attribute {name} must be a JSON {_JSON[name].__name__}, is {value}"


def _storable(value: object) -> bool:
    """Return whether an attribute comes back from a file as it was: text, numbers, one list."""
    try:
        array = np.asarray(value)
    except (OverflowError, ValueError):  # lists of unequal length
        return False
    if array.dtype.kind == "U":
        texts = [value] if isinstance(value, str) else list(value)
        return array.ndim < 2 and all(isinstance(t, str) and "\0" not in t for t in texts)
    number = array.dtype.kind in "iu" or array.dtype.kind == "f" and array.dtype.itemsize in (4, 8)
    return array.ndim < 2 and number


def _dims(field: Field) -> list[str]:
    return [dim.removesuffix("?") for dim in field.dims.split()]


def _stored_order(dims: tuple[str, ...], field: Field) -> list[str]:
    """Return `dims` in order: those of `STACKING`, the variable's own, then unknown ones."""
    own = _dims(field)
    known = [dim for dim in STACKING if dim not in own] + own
    return [dim for dim in known if dim in dims] + [dim for dim in dims if dim not in known]


def _absent(ds: xr.Dataset) -> dict[str, np.ndarray]:
    """Return the numbers of layers that a model, pt or ft, does not have beside the other one."""
    depths = {short: ds.coords[f"depth_{short}"] for short in PAIR if f"depth_{short}" in ds.coords}
    return {short: ds["layer"].values[depth.isnull()] for short, depth in depths.items()}


def _variable_problems(
    array: xr.DataArray, field: Field, absent: dict[str, np.ndarray]
) -> Iterator[str]:
    own = _dims(field)
    required = [dim for dim in field.dims.split() if not dim.endswith("?")]
    missing = [dim for dim in required if dim not in array.dims]
    alien = [dim for dim in array.dims if dim not in own and dim not in STACKING]
    if missing:
        yield f"{array.name}: no dim {missing[0]!r}; its own dims are ({', '.join(own)})"
    for dim in alien:
        yield f"{array.name}: unexpected dim {dim!r}{nearest(dim, [*own, *STACKING])}"
    if missing or alien:
        return
    order = _stored_order(array.dims, field)
    if list(array.dims) != order:
        yield f"{array.name}: dims ({', '.join(array.dims)}) must be in order ({', '.join(order)})"
        return
    yield from _value_problems(array, field, absent)


def _is(dtype: np.dtype, wanted: str) -> bool:
    ints = "bhilqBHILQ"  # of types that netCDF stores, so no half precision
    kinds = {"uint8": "B", "float": "fd", "int": ints, "number": f"fd{ints}", "str": "UOT"}
    return dtype.char in kinds[wanted]


def _value_problems(
    array: xr.DataArray, field: Field, absent: dict[str, np.ndarray]
) -> Iterator[str]:
    """Yield problems with the type, missing values and range of a variable or coordinate."""
    if not _is(array.dtype, field.dtype):
        yield f"{array.name}: dtype {array.dtype}, but {field.dtype} is required"
        return
    if array.size == 0:
        yield f"{array.name}: empty, its shape is {array.shape}"
        return
    if field.dtype == "str":
        for word in np.unique(array.values.astype(str)).tolist():
            if field.values and word not in field.values:
                yield refused(array.name, word, field.values)
        return
    values = array.values  # NumPy for speed: a trajectory has thousands of slices
    if array.dtype.kind == "f":
        gap = np.isnan(values)
        allowed = np.full_like(gap, field.nan == "any")
        if field.nan == "epoch 0" and "epoch" in array.dims:
            axis = array.dims.index("epoch")
            np.moveaxis(allowed, axis, -1)[..., array["epoch"].values == 0] = True
        own = tuple(axis for axis, dim in enumerate(array.dims) if dim in _dims(field))
        if len(own) < array.ndim:  # a combination that was not run is NaN as a whole
            allowed |= gap.all(axis=own, keepdims=True)
        if field.nan == "draw" and not gap.all():
            draw = tuple(axis for axis in own if array.dims[axis] != "seed")
            allowed |= gap.all(axis=draw, keepdims=True)
        for dim, short in owners(str(array.name)).items():
            if dim in array.dims:
                lacking = np.isin(array[dim].values, absent.get(short, ()))
                allowed |= lacking.reshape([-1 if d == dim else 1 for d in array.dims])
        if count := int((gap & ~allowed).sum()):
            yield f"{array.name}: {count} of {array.size} values are NaN"
    parts = [("", values, field.low)]
    if field.low_biased is not None and "estimator" in array.dims:
        where = array["estimator"].values == "biased"
        biased = np.compress(where, values, axis=array.dims.index("estimator"))
        parts.append((" (biased)", biased, field.low_biased))
    for label, part, low in parts:
        if not (part := part[~np.isnan(part)]).size:
            continue
        inside = low - SLACK <= part.min() <= part.max() <= field.high + SLACK
        if (part == _FILL).any():
            yield f"{array.name}{label}: holds numbers that were never written (9.97e36)"
        elif not inside or np.isinf(part).any():
            yield (
                f"{array.name}{label}: values from {part.min():.6g} to {part.max():.6g}, "
                f"but only [{low:g}, {field.high:g}] is possible"
            )


def _label_problems(array: xr.DataArray, field: Field | None) -> Iterator[str]:
    for label in ("long_name", "units"):
        text = array.attrs.get(label)
        if not isinstance(text, str) or not text:
            yield f"{array.name}: no {label!r}"
    units = array.attrs.get("units")
    if field is not None and units and units != field.units:
        yield f"{array.name}: units {units!r}, but {field.units!r} is required"


def _companion_problems(ds: xr.Dataset) -> Iterator[str]:
    """Yield variables that are missing beside others.

    STIR needs the loss of its inversion and its control value. Values with an image left out need
    the values of all images.
    """
    for name in map(str, ds.data_vars):
        whole = name.removesuffix("_jackknife")
        if whole != name and not {whole, f"{whole}_diagonal"} & set(ds.data_vars):
            yield f"{name} needs {whole!r} or '{whole}_diagonal' beside it"
        if (whole := name.removesuffix("_left_out")) not in ds.data_vars:
            yield f"{name} needs {whole!r} beside it"
        parts = name.removesuffix("_diagonal").split("_")
        if parts[0] != "stir" or parts[1] == "control" or len(parts) != 3:
            continue
        for needed in (f"inversion_loss_{parts[2]}", f"stir_control_{parts[1]}"):
            if needed not in ds.data_vars:
                yield f"{name} needs {needed!r} beside it"


def _coordinate_problems(ds: xr.Dataset, *, anything: bool) -> Iterator[str]:
    for dim in ds.dims:
        if dim not in ds.coords:
            yield f"dim {dim!r} has no coordinate"
    different = any(f"depth_{short}" in ds.coords for short in PAIR)
    wanted = [f"{name}_{short}" for name in _ALONG_LAYER for short in PAIR]
    for name in () if "layer" not in ds.dims or anything else wanted if different else _ALONG_LAYER:
        if name not in ds.coords:
            yield f"no coordinate {name!r} along 'layer'"
    for name, array in ds.coords.items():
        if name not in COORDS:
            if not anything:
                yield f"unknown coordinate {name!r}{nearest(name, COORDS)}"
            continue
        field = COORDS[name]
        if array.dims not in ((), (field.dims,)):
            yield f"coordinate {name!r} lies along {array.dims}, must lie along ({field.dims!r},)"
            continue
        yield from _value_problems(array, field, {})
        yield from _label_problems(array, field)
        if array.ndim and name == field.dims and not array.to_index().is_unique:
            yield f"coordinate {name!r} repeats a value"
        if array.ndim and field.increasing and array.dtype.kind in "fiu":
            if (array.values[1:] <= array.values[:-1]).any():
                yield f"coordinate {name!r} must increase, is {array.values.tolist()}"
