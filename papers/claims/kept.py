"""What claims say of results is kept on disk: pages, ledger and tests judge the same ones."""

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import suppress

import numpy
import pandas as pd
import scipy
import xarray as xr

from invlib.files import atomic
from invlib.paths import runs_root
from invlib.results.netcdf import open_results, save_results
from papers.claims.claim import Claim, check_claims
from papers.code import code_digest

__all__ = ["kept_ledger", "kept_table"]


def kept_ledger(claims: Iterable[Claim], ds: xr.Dataset) -> xr.Dataset:
    """Return `check_claims` of these, from ``data/runs/ledgers`` if it was computed before.

    It is found again by every number in `ds`, the claims, all code of the project, the facts of
    the papers, and the versions of the libraries. A damaged file is made again.
    """
    claims = list(claims)
    path = runs_root("ledgers") / f"{_key(claims, ds)}.nc"
    try:
        return open_results(path)
    except (OSError, ValueError):
        ledger = check_claims(claims, ds)
        try:
            save_results(ledger, path)
            return open_results(path)
        except (OSError, ValueError):  # results that say too little of themselves, a full disk
            return ledger


def kept_table(
    compute: Callable[[xr.Dataset, list[Claim]], pd.DataFrame],
    ds: xr.Dataset,
    claims: Iterable[Claim],
) -> pd.DataFrame:
    """Return the table of answers `compute(ds, claims)`, found again as `kept_ledger` is."""
    claims = list(claims)
    path = runs_root("ledgers") / f"{_key(claims, ds)}-{compute.__name__}.json"
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
        return pd.DataFrame(**parts, dtype=object).rename_axis("claim")
    except (OSError, ValueError, TypeError):
        table = compute(ds, claims)
        parts = {"index": table.index, "columns": table.columns, "data": table.to_numpy()}
        parts = {name: values.tolist() for name, values in parts.items()}
        text = json.dumps(parts, default=bool)  # NumPy's own truth values
        with suppress(OSError), atomic(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
        return table


def _key(claims: list[Claim], ds: xr.Dataset) -> str:
    said = [{k: v for k, v in vars(claim).items() if not callable(v)} for claim in claims]
    versions = [numpy.__version__, scipy.__version__, xr.__version__]
    digest = hashlib.sha256(" ".join([code_digest(), *versions]).encode())
    digest.update(json.dumps([said, ds.attrs], default=str, sort_keys=True).encode())
    for name, variable in sorted(ds.variables.items()):
        values = numpy.ascontiguousarray(variable.values)
        digest.update(f"{name} {variable.dims} {values.dtype} {values.shape}".encode())
        digest.update(repr(values.tolist()).encode() if values.dtype.hasobject else values)
    return digest.hexdigest()[:24]
