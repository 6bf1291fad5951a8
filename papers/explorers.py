"""Explorers: elements of a page that a reader can play with, and the numbers they show.

Each function cuts the numbers of one explorer from a section's results and returns an element for
the page. `book/_static/explorers` draws it; no number is computed there. Without scripts, and in
JupyterLab, the element is its static table under the page's own figures. Each takes `shown`, as
`papers.pages.beside_reference` returns it, and shows the last of these: the reference results, if
there are any.
"""

import base64
import html
import json
from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from IPython.display import HTML

from invlib.metrics.invariance import invariance_flow

__all__ = ["flow", "packed"]

Shown = Mapping[str, xr.Dataset]

ITSELF = "nothing: pretrained → itself"


def packed(array: xr.DataArray, *, exact: bool = False) -> dict[str, object]:
    """Return an array for JSON: the labels of each dim, and the numbers as base64.

    Numbers are 16-bit integers times `factor`, so within 1/65,000 of the largest; -32768 is NaN. If
    `exact` they are 32-bit floats.

    Examples
    --------
    >>> packed(xr.DataArray([0.0, 1.0], {"layer": [0, 1]}))
    {'dims': {'layer': [0, 1]}, 'type': 'Int16', 'factor': 3.05...e-05, 'data': 'AAD/fw=='}
    """
    values = array.values.astype(float)
    dims = {str(dim): array[dim].values.tolist() for dim in array.dims}
    if exact:
        words = {"type": "Float32", "factor": 1}
        numbers = values.astype("<f4")
    else:
        top = float(np.abs(values[np.isfinite(values)]).max(initial=0)) or 1.0
        words = {"type": "Int16", "factor": top / 32767}
        scaled = np.where(np.isfinite(values), values / words["factor"], -32768)
        numbers = scaled.round().astype("<i2")
    return {"dims": dims, **words, "data": base64.b64encode(numbers.tobytes()).decode()}


def element(
    kind: str, name: str, data: Mapping[str, object], table: pd.DataFrame | None = None
) -> HTML:
    """Return an element of the page: what script and style make of it is in book/_static/explorers.

    `name` is the accessible name. `table` stands in its place where no script runs.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    static = "" if table is None else table.to_html(border=0, classes="table")
    return HTML(
        f"<book-explorer kind='{kind}' name='{html.escape(name, quote=True)}'>"
        f"<script type='application/json'>{text.replace('<', chr(92) + 'u003c')}</script>"
        f"<p class='explorer-static'><strong>{html.escape(name)}.</strong> In the book, with scripts "
        "on, this is an element to play with. The figures of this page show the same results.</p>"
        f"{static}</book-explorer>"
    )


def last(shown: Shown) -> tuple[str, xr.Dataset]:
    """Return title and Dataset of the results that an explorer shows."""
    return list(shown.items())[-1]


def flow(shown: Shown) -> HTML:
    """Return the flow matrices (eq. 5) by task, recipe and estimator, with both their terms."""
    title, ds = last(shown)
    parts = [
        (ds["stir_ft_pt"], invariance_flow(ds)),
        (ds["stir_pt_pt"].expand_dims(task=[ITSELF]), invariance_flow(ds, target="pt")),
    ]
    stir = xr.concat([one.mean("seed") for one, _ in parts], "task", coords="minimal")
    itself = parts[1][1].mean("seed")
    matrix = xr.concat([parts[0][1].mean("seed"), itself.expand_dims(task=[ITSELF])], "task")
    beyond = matrix - itself
    at = {dim: 0 for dim in matrix.dims if dim not in ("ref_layer", "layer")}
    default = matrix.isel(at | {"estimator": -1}, drop=True)
    order = [*(d for d in ("dataset", "task", "recipe", "estimator") if d in matrix.dims)]
    order += ["ref_layer", "layer"]
    arrays = dict(stir=stir, flow=matrix, beyond=beyond)
    return element(
        "flow",
        "The Invariance Flow Matrix, cell by cell",
        {"title": title} | {k: packed(v.transpose(*order)) for k, v in arrays.items()},
        default.to_pandas().round(2),
    )
