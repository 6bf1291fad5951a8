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

from invlib.metrics.invariance import cka_divergence, forgetting, invariance_flow, learning
from invlib.metrics.jackknife import left_one_out
from invlib.names import SELF_TERMS
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import numbers, verdicts
from papers.claims.settings import settings
from papers.claims.tables import UNTESTABLE

__all__ = ["choices", "flow", "packed"]

Shown = Mapping[str, xr.Dataset]

# Of a verdict, its place in this list is stored.
VERDICTS = ("reproduced", "mixed", "not reproduced", UNTESTABLE, "not stored without an image")
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


def choices(section: str, shown: Shown, *, hue: str) -> HTML:
    """Return curves and verdicts of `section` for every estimator, self term, draw, image left out.

    `hue` is the dim that has a line for each label. Claims are those of the section.
    """
    title, ds = last(shown)
    parts = {", ".join(words): _choices(section, part, hue) for words, part in settings(ds)}
    first = next(iter(parts.values()))
    fields = ("id", "words", "number", "condition", "unit")
    texts = [{name: getattr(claim, name) for name in fields} for claim in CLAIMS[section]]
    data = {"title": title, "hue": hue, "claims": texts, "verdicts": VERDICTS, "parts": {}}
    for words, (curves, divergence, values, codes) in parts.items():
        arrays = {"curves": curves, "divergence": divergence, "verdicts": codes}
        arrays = {name: packed(array) for name, array in arrays.items()}
        data["parts"][words] = arrays | {"numbers": packed(values, exact=True)}
    table = first[0].sel(self_term="measured", seed="all", left_out="none", estimator="debiased")
    names = dict(measure="forgetting")
    return element(
        "choices",
        "Choices: estimator, self term, draw, one image left out",
        data,
        table.sel(names, drop=True).transpose("layer", hue).to_pandas().round(2),
    )


def _choices(section: str, ds: xr.Dataset, hue: str) -> tuple[xr.DataArray, ...]:
    """Return curves, CKA divergence, the claims' numbers and the places of their verdicts."""
    stir = ["stir_ft_ft", "stir_pt_ft", "stir_pt_pt", "stir_ft_pt"]
    without = left_one_out(ds, [*stir, "cka_pt_pt", "cka_ft_pt"])

    def both(measure, **more) -> xr.DataArray:
        value = measure(ds, **more).reset_coords(drop=True).expand_dims(left_out=["none"])
        if without is None:
            return value
        each = measure(without, **more).reset_coords(drop=True)
        return xr.concat([value, _counted(each)], "left_out", coords="minimal", compat="override")

    terms = xr.Variable("self_term", list(SELF_TERMS))
    curves = xr.concat(
        [
            xr.concat([both(measure, self_term=term) for term in SELF_TERMS], terms)
            for measure in (learning, forgetting)
        ],
        xr.Variable("measure", ["learning", "forgetting"]),
    )
    order = (hue, "estimator", "seed", "left_out", "layer")
    curves = _with_mean(curves).transpose("measure", "self_term", *order)
    divergence = _with_mean(both(cka_divergence)).transpose(*order)

    claims = CLAIMS[section]
    values, each = numbers(claims, ds)
    values = values.expand_dims(left_out=["none"])
    if each is not None:
        values = xr.concat([values, _counted(each)], "left_out", coords="minimal")
    judged = [values, *(values.sel(seed=[seed]) for seed in values["seed"].values)]
    draws = xr.Variable("seed", ["all", *map(str, values["seed"].values)])
    verdict = xr.concat([verdicts(claims, one) for one in judged], draws)
    codes = xr.apply_ufunc(np.vectorize(VERDICTS.index), verdict)
    untestable = VERDICTS.index(UNTESTABLE)
    stored = codes.sel(left_out="none") == untestable
    codes = codes.where(stored | (codes != untestable), len(VERDICTS) - 1)
    order = ("claim", "estimator", "self_term", "seed", "left_out")
    return curves, divergence, _with_mean(values).transpose(*order), codes.transpose(*order)


def _with_mean(values: xr.DataArray) -> xr.DataArray:
    """Return values with the seeds as text, and before them their mean, ``"all"``."""
    mean = values.mean("seed", skipna=False).expand_dims(seed=["all"])
    each = values.assign_coords(seed=values["seed"].values.astype(str))
    return xr.concat([mean, each], "seed", coords="minimal", compat="override")


def _counted(values: xr.DataArray) -> xr.DataArray:
    """Return values with the images that are left out counted from 1, as text."""
    labels = [str(i + 1) for i in range(values.sizes["left_out"])]
    return values.assign_coords(left_out=labels)
