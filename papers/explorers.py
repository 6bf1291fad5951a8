"""Explorers: elements of a page that a reader can play with, and the numbers they show.

Each function cuts the numbers of one explorer from a section's results and returns an element for
the page. `book/_static/explorers` draws it; no number is computed there. Without scripts, and in
JupyterLab, the element is its static table under the page's own figures. Each takes `shown`, as
`papers.pages.beside_reference` returns it, and shows the last of these: the reference results, if
there are any.

`turn` is made with ipywidgets, and so lives in JupyterLab as well. In the book there is no kernel:
its link runs in the browser, by way of ``book/_static/widgets``; without scripts it is not there.
"""

import base64
import html
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import pandas as pd
import xarray as xr
from IPython.display import HTML
from PIL import Image, PngImagePlugin

from invlib.metrics.invariance import (
    cka_divergence,
    diagonal,
    forgetting,
    invariance_flow,
    learning,
)
from invlib.metrics.jackknife import left_one_out
from invlib.names import SELF_TERMS
from invlib.paths import project_root
from invlib.plots.style import Drawing
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.agreement import HANGS, Agreement
from papers.claims.claim import judge, numbers
from papers.claims.columns import COLUMNS, COMPACT
from papers.claims.data import paper_of
from papers.claims.kept import kept_ledger
from papers.claims.settings import SETTINGS, by_training, named, settings
from papers.claims.tables import SAME, UNTESTABLE, interval_text
from papers.engine.agreement import agreement_about
from papers.merlin2023.compression_expansion import ITSELF
from papers.merlin2023.hypotheses import QUANTITIES, hypotheses
from papers.merlin2023.robustness_scan import (
    aggregate,
    correlation_scan,
    mean_corrupted_accuracy,
    over_seeds,
    quantity,
)

__all__ = ["choices", "flipbook", "flow", "ledger", "p_value", "packed", "race", "turn"]

Shown = Mapping[str, xr.Dataset]

# Of a verdict, its place in this list is stored.
VERDICTS = (
    "reproduced",
    "not reproduced",
    "undecided",
    UNTESTABLE,
    "not stored without an image",
)
SIGNS = {"reproduced": "✓", "undecided": "≈", "not reproduced": "✗"}
IMAGES = 32  # of which a reader can leave one out: 64 and five trainings take 700 kB


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
        f"<p class='explorer-static'><strong>{html.escape(name)}.</strong> In the book, with "
        "scripts on, this is an element to play with. The figures of this page show the same "
        "results.</p>"
        f"{static}</book-explorer>"
    )


def last(shown: Shown) -> tuple[str, xr.Dataset]:
    """Return title and Dataset of the results that an explorer shows."""
    return list(shown.items())[-1]


def flow(shown: Shown) -> HTML:
    """Return the flow matrices (eq. 5) by task, recipe and estimator, with both their terms."""
    title, ds = last(shown)
    ds = by_training(ds)
    if "dataset" in ds.dims:
        ds = ds.assign_coords(dataset=[named(label) for label in ds["dataset"].values])
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
    """Return curves and verdicts of `section` for every choice that a reader has.

    These are estimator, self term, one of the first `IMAGES` left out, and a training of several,
    or a draw of the images of a single training. `hue` is the dim that has a line for each label.
    Claims are those of the section.
    """
    title, ds = last(shown)
    parts = {}  # one image left out of the first data set only: that is most of what is stored
    for words, part in settings(ds):
        part = part.dropna(hue, how="all")  # a start that another data set has
        parts[", ".join(words)] = _choices(section, part, hue, leave_out=not parts)
    first = next(iter(parts.values()))
    fields, names = ("id", "words", "number", "unit"), ds["estimator"].values.tolist()
    texts = [
        {name: getattr(claim, name) for name in fields}
        | {"condition": {e: {s: claim.condition_in(e, s) for s in SELF_TERMS} for e in names}}
        for claim in CLAIMS[section]
    ]
    data = {"title": title, "hue": hue, "claims": texts, "verdicts": VERDICTS, "parts": {}}
    for words, (curves, divergence, values, codes) in parts.items():
        arrays = {"curves": curves, "divergence": divergence, "verdicts": codes}
        arrays = {name: packed(array) for name, array in arrays.items()}
        data["parts"][words] = arrays | {"numbers": packed(values, exact=True)}
    table = first[0].sel(self_term="measured", seed="all", left_out="none", estimator="debiased")
    names = dict(measure="forgetting")
    return element(
        "choices",
        "Choices: estimator, self term, training or draw, one image left out",
        data,
        table.sel(names, drop=True).transpose("layer", hue).to_pandas().round(2),
    )


def _choices(
    section: str, ds: xr.Dataset, hue: str, *, leave_out: bool
) -> tuple[xr.DataArray, ...]:
    """Return curves, CKA divergence, the claims' numbers and the places of their verdicts."""
    stir = ["stir_ft_ft", "stir_pt_ft", "stir_pt_pt", "stir_ft_pt"]
    without = left_one_out(ds, [*stir, "cka_pt_pt", "cka_ft_pt"]) if leave_out else None

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
    if leave_out:
        values, each = numbers(claims, ds)
        drawn, values = values["drawn"], values.expand_dims(left_out=["none"])
        if each is not None:
            values = xr.concat([values, _counted(each)], "left_out", coords="minimal")
        # the error is always that of all images
        values = values.assign_coords(drawn=drawn).rename(left_out="image")
        together = judge(claims, values, each)["verdict"]
    else:  # the page has judged it
        ledger = kept_ledger(claims, ds)[["value", "verdict"]].reset_coords(drop=True)
        values, together = ledger.expand_dims(image=["none"]).data_vars.values()
    dim = "train_seed" if values.sizes["train_seed"] > 1 else "seed"
    # one training, or one draw of a single one, decides nothing
    alone = (
        values.notnull().any("seed") if dim == "train_seed" else values.notnull().isel(train_seed=0)
    )
    alone = xr.where(alone & (together != UNTESTABLE), "undecided", UNTESTABLE)
    alone = alone.rename({dim: "seed"}).drop_vars(["drawn", "points"], errors="ignore")
    alone = alone.assign_coords(seed=alone["seed"].values.astype(str))
    verdict = xr.concat(
        [together.expand_dims(seed=["all"]), alone], "seed", coords="minimal", compat="override"
    ).rename(image="left_out")
    values = values.drop_vars(["drawn", "points"], errors="ignore").rename(image="left_out")
    codes = xr.apply_ufunc(np.vectorize(VERDICTS.index), verdict)
    untestable = VERDICTS.index(UNTESTABLE)
    stored = codes.sel(left_out="none") == untestable
    codes = codes.where(stored | (codes != untestable), len(VERDICTS) - 1)
    order = ("claim", "estimator", "self_term", "seed", "left_out")
    return curves, divergence, _with_mean(values).transpose(*order), codes.transpose(*order)


def _with_mean(values: xr.DataArray) -> xr.DataArray:
    """Return values by training, or by draw of a single one, and before them their mean, "all".

    The labels of this dim, seed, are text.
    """
    if "train_seed" in values.dims:
        one = values.sizes["train_seed"] == 1
        values = values.isel(train_seed=0, drop=True) if one else values.mean("seed")
        values = values if one else values.rename(train_seed="seed")
    mean = values.mean("seed", skipna=False).expand_dims(seed=["all"])
    each = values.assign_coords(seed=values["seed"].values.astype(str))
    return xr.concat([mean, each], "seed", coords="minimal", compat="override")


def _counted(values: xr.DataArray) -> xr.DataArray:
    """Return values of the first images that are left out, counted from 1, as text."""
    values = values.isel(left_out=slice(IMAGES))
    labels = [str(i + 1) for i in range(values.sizes["left_out"])]
    return values.assign_coords(left_out=labels)


def p_value(shown: Shown) -> HTML:
    """Return the correlation of every hypothesis of appendix E.1 with robustness, and its p-values.

    ``as_good`` counts the hypotheses of the same family whose correlation is at least as strong.
    """
    title, ds = last(shown)
    epochs = {"with epoch 0": slice(None), "without epoch 0": slice(1, None)}
    scans = [correlation_scan(ds, epochs=part) for part in epochs.values()]
    scan = xr.concat(
        scans, xr.Variable("epochs", list(epochs)), coords="minimal", compat="override"
    )
    family = np.array([QUANTITIES[name] for name in scan["quantity"].values.tolist()])
    strength = abs(scan["correlation"].reset_coords(drop=True))
    other = strength.rename(hypothesis="other")
    together = xr.DataArray(family[:, None] == family, dims=("hypothesis", "other"))
    stronger = (other >= strength) & together
    scan["as_good"] = stronger.sum("other").where(strength.notnull())

    names = list(dict.fromkeys(scan["quantity"].values.tolist()))
    values = xr.broadcast(
        *(over_seeds(quantity(ds, name)).reset_coords(drop=True) for name in names)
    )
    values = dict(zip(names, values, strict=True))
    tried = hypotheses(names, layers=[k for k in ds["layer"].values.tolist() if k > 0])
    series = [aggregate(values[h.quantity], h.aggregate, first=h.first, last=h.last) for h in tried]
    series = xr.concat(series, xr.Variable("hypothesis", [str(h) for h in tried]))
    accuracy = mean_corrupted_accuracy(ds, seeds="mean").reset_coords(drop=True)
    outer = [dim for dim in ("dataset", "estimator") if dim in scan["correlation"].dims]
    order = [*outer, "epochs", "hypothesis"]
    stored = ["correlation", "p_value", "p_value_autocorrelation", "n_epochs_effective", "as_good"]
    stored += ["p_value_bonferroni", "p_value_autocorrelation_bonferroni"]
    arrays = {name: packed(scan[name].transpose(*order), exact=True) for name in stored}
    arrays |= {
        "series": packed(series.transpose(*outer, "hypothesis", "epoch")),
        "accuracy": packed(accuracy.transpose(*[d for d in outer if d in accuracy.dims], "epoch")),
    }
    each = {str(h): [h.quantity, h.layers, h.aggregate] for h in tried}
    count = {name: int((family == QUANTITIES[name]).sum()) for name in names}
    first = scan.isel({dim: 0 for dim in (*outer, "epochs")})
    best = first["correlation"].to_series().abs().nlargest(5).index
    table = first.to_dataframe().loc[best, ["correlation", "p_value", "p_value_autocorrelation"]]
    return element(
        "p_value",
        "Find your own p-value",
        {"title": title, "hypotheses": each, "family": count} | arrays,
        table.round(4),
    )


def flipbook(shown: Shown, *, examples: int = 2) -> HTML:
    """Return X and X′ of every layer and model, with distance, STIR, learning and forgetting.

    Numbers are debiased means over the seeds, and over the images of a seed; of several trainings
    the first is shown. Pictures are compressed.
    """
    title, ds = last(shown)
    ds = ds.isel({dim: 0 for dim in ("dataset", "train_seed") if dim in ds.dims})
    tasked = "task" in ds.dims
    if not tasked:
        second = [name for name in ds if "ft" in str(name).split("_")]
        ds = ds.assign({name: ds[name].expand_dims(task=["fine-tuned"]) for name in second})
    ds = ds.sel(estimator="debiased")
    tasks = [str(task) for task in ds["task"].values]
    images = ds["example_images"]
    shown_at = range(min(examples, images.sizes["example"]))
    pictures, rows = {"X": [_strip(images.isel(example=e).values[None]) for e in shown_at]}, {}

    def mean(values: xr.DataArray) -> xr.DataArray:
        return values.mean("seed", skipna=False).reset_coords(drop=True)

    left = {"pt": "inversion_loss_pt", "ft": "inversion_loss_ft"}
    for task in ("", *tasks):
        part, model = (ds.sel(task=task), "ft") if task else (ds, "pt")
        strips = part[f"example_inverted_{model}"]
        strips = strips.isel(task=0) if "task" in strips.dims else strips
        name = (f"fine-tuned: {task}" if tasked else task) if task else "pretrained"
        pictures[name] = [_strip(strips.isel(example=e).values) for e in shown_at]
        rows[name] = {
            "distance": mean(part[left[model]]).rename(ref_layer="layer"),
            "self": mean(diagonal(part, f"stir_{model}_{model}")),
        }
        rows[name] = {k: v.isel(task=0) if "task" in v.dims else v for k, v in rows[name].items()}
        for other in [task] if task else tasks:
            pair = ds.sel(task=other)
            key = other if not task else "pretrained"
            rows[name][f"other: {key}"] = mean(
                diagonal(pair, "stir_pt_ft" if task else "stir_ft_pt")
            )
            rows[name][f"change: {key}"] = mean(learning(pair) if task else forgetting(pair))
    layers = ds["layer"].values  # of either network
    data = {
        model: {key: packed(value.reindex(layer=layers)) for key, value in row.items()}
        for model, row in rows.items()
    }
    table = pd.DataFrame({name: row["distance"].to_series() for name, row in rows.items()})
    return element(
        "flipbook",
        "Flipbook: X, and X′ at every layer",
        {"title": title, "pictures": pictures, "models": data},
        table.rename_axis("distance left at layer").round(2),
    )


def _strip(pictures: np.ndarray, quality: int = 35) -> str:
    """Return pictures (k, y, x, channel) side by side, as a WebP picture in an address."""
    file = io.BytesIO()
    Image.fromarray(np.concatenate(list(pictures), axis=1)).save(
        file, "WEBP", quality=quality, method=6
    )
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def race(shown: Shown, *, points: int = 60, pictures_at: int = 7) -> HTML:
    """Return how far each recipe of inversion gets, layer by layer, and X′ of one image.

    Curves have `points` evaluations, evenly spaced on a logarithmic axis; pictures are those of
    `pictures_at` layers, evenly spaced.
    """
    title, ds = last(shown)
    longest = int(ds["evaluation"][-1])
    at = np.unique(np.geomspace(1, longest, points).round().astype(int)).tolist()
    budgets = [
        int(np.isfinite(one).any("race_layer").values.nonzero()[0][-1]) for one in ds["race_loss"]
    ]
    at = sorted({*at, *budgets})
    layers = ds["race_layer"].values.tolist()
    some = layers[:: max(1, -(-(len(layers) - 1) // (pictures_at - 1)))]
    chosen = ds["race_images"].isel(example=0).sel(race_layer=some)
    recipes = ds["recipe"].values.tolist()
    data = {
        "title": title,
        "budgets": dict(zip(recipes, budgets, strict=True)),
        "loss": packed(ds["race_loss"].sel(evaluation=at), exact=True),
        "best": packed(ds["race_best"], exact=True),
        "layers": some,
        "pictures": {
            name: _strip(one.values, 15) for name, one in zip(recipes, chosen, strict=True)
        },
    }
    return element(
        "race", "Race: how far each recipe gets", data, ds["race_best"].to_pandas().round(2)
    )


def ledger(
    judged: Iterable[tuple[str, Path, list[xr.Dataset], list[str]]], name: str = "The ledger"
) -> HTML:
    """Return the ledger, a part for each section, from `papers.across.work.claims_ledger.judged`.

    Without scripts all claims are there; a script adds the choice of paper, verdict and so on.
    """
    parts = []
    for section, path, ledgers, not_run in judged:
        cards = [card for one in ledgers for card in _cards(one, section)]
        counts = pd.Series([verdict for verdict, _ in cards]).value_counts()
        told = ", ".join(
            f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts
        )
        letter = paper_of(section).letter
        whose = "Open question" if letter == "Q" else f"Paper {letter}"
        note = f" Not run: {html.escape(', '.join(not_run))}." if not_run else ""
        parts.append(
            f"<details class='ledger-part'><summary><h3>{whose}: "
            f"{section.replace('_', ' ')}</h3> <span>{told}</span> <b></b></summary>"
            f"<p><a href='{section}.html'>The page</a> shows the figures. The results: "
            f"<code>{html.escape(_in_project(path))}</code>.{note}</p>"
            f"<ul>{''.join(text for _, text in cards)}</ul></details>"
        )
    opening = f"<book-explorer kind='ledger' name='{html.escape(name, quote=True)}'>"
    return HTML(opening + "".join(parts) + "</book-explorer>")


def _in_project(path: Path) -> str:
    """Return a path in the project as the book's pages name it, see ``book/_ext/result_files``."""
    root = project_root()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _cards(ds: xr.Dataset, section: str) -> list[tuple[str, str]]:
    """Return, for each claim of a section's ledger, the verdict that we trust and its list item.

    The item links the section's page, which shows the figure.
    """
    page, agreement = f"{section}.html", agreement_about(section, CLAIMS[section], ds)
    read = any(one.recipes for one in agreement.values())
    texts = {text["id"]: text for text in json.loads(ds.attrs["claims"])}
    setting = ", ".join(named(ds[dim].values) for dim in SETTINGS if dim in ds.coords)
    cards = []
    for id in ds["claim"].values.tolist():
        one, text = ds.sel(claim=id), texts[id]
        ways = {name: one.sel(estimator=COLUMNS[name][0], self_term=COLUMNS[name][1])
                for name in COMPACT}  # fmt: skip
        said = {name: str(way["verdict"].values) for name, way in ways.items()}
        trusted, biased, paper = (said[name] for name in COMPACT)
        hangs = ["estimator"] * (trusted != biased) + ["self term"] * (biased != paper)
        stands = agreement[id].standing(trusted)
        hangs += ["recipe"] * (stands == HANGS)
        unit = "" if text["unit"] == "1" else f" ({text['unit']})"
        reported = float(one["paper_value"])
        place = [f"section {text['section']}", text["figure"], setting, str(one["reason"].values)]
        place = "; ".join(filter(None, place))
        rows = "".join(
            f"<div><dt>{html.escape(name)}</dt><dd class='verdict-{said[name].replace(' ', '-')}'>"
            f"{_verdict(said[name])} {_number(way)}</dd></div>"
            for name, way in ways.items()
        )
        holds = f"Holds if {text['number']}{unit} {text['condition']}."
        holds += "" if np.isnan(reported) else f" The paper: {reported:g}."
        more = f" <em>Hangs on the {' and the '.join(hangs)}.</em>" if hangs else ""
        more += _by_recipes(agreement[id], stands, read)
        card = (
            f"<li data-paper='{text['paper']}' data-verdict='{trusted}' "
            f"data-hangs='{' and '.join(hangs)}'>"
            f"<p class='verdict-{trusted.replace(' ', '-')}'>{_verdict(trusted)} "
            f"<b>{html.escape(text['words'])}</b></p><p>{html.escape(holds)}{more}</p>"
            f"<dl>{rows}</dl>"
            f"<p class='ledger-place'><a href='{page}'>Figure and method</a>: {html.escape(place)}"
            "</p></li>"
        )
        cards.append((trusted, card))
    return cards


def _by_recipes(agreement: Agreement, standing: str, read: bool) -> str:
    """Return what the recipes say of a claim if its section was read by several.

    Else the standing of its verdict is said.
    """
    words = f"{SAME}: {agreement.words}" if read else standing
    return f" {words[0].upper()}{words[1:]}." if words else ""


def _verdict(verdict: str) -> str:
    return f"<strong>{SIGNS.get(verdict, '·')} {verdict}</strong>"


def _number(way: xr.Dataset) -> str:
    """Return the mean of a number over trainings and its interval, as text."""
    if str(way["verdict"].values) == UNTESTABLE:
        return ""
    text = f"{float(way['value_mean']):.3g}"
    return f"{text} <small>{ends}</small>" if (ends := interval_text(way)) else text


# --- an object of the notebook, too ---------------------------------------------------------------


def turn(figures: Mapping[str, Drawing], *, label: str) -> widgets.VBox:
    """Return figures of which a reader sees one at a time, and chooses which.

    The keys are what there is to choose, `label` is the name of the choice. Panels at the same
    place get the same y axis in all figures, so that a turn moves nothing but the lines. Each
    picture has the words that `invlib.plots` finds for its figure.

    Raises
    ------
    ValueError
        If there is no figure.

    Examples
    --------
    >>> import xarray as xr
    >>> from invlib.plots import layer_curves
    >>> rising = xr.DataArray([0.0, 1.0], {"layer": [0, 1]})
    >>> figures = {k: layer_curves({"": {"STIR": k * rising}}) for k in (1, 2)}
    >>> choice, stack = turn({f"times {k}": v for k, v in figures.items()}, label="STIR").children
    >>> choice.options, stack.selected_index, len(stack.children)
    (('times 1', 'times 2'), 0, 2)
    """
    if not figures:
        raise ValueError("there is no figure to turn to")
    for panels in zip(*(figure.axes for figure in figures.values()), strict=True):
        lows, highs = zip(*(panel.get_ylim() for panel in panels), strict=True)
        for panel in panels:
            panel.set_ylim(min(lows), max(highs))
    choice = widgets.Dropdown(
        options=list(figures), description=label, style={"description_width": "auto"}
    )
    choice.layout.width = "max-content"
    stack = widgets.Stack([_picture(figure) for figure in figures.values()], selected_index=0)
    widgets.jslink((choice, "index"), (stack, "selected_index"))
    return widgets.VBox([choice, stack])


def _picture(figure: Drawing) -> widgets.HTML:
    """Return a figure as a widget. `ipywidgets.Image` has no text for those who do not see it."""
    png, shown = figure._repr_png_()
    source = "data:image/png;base64," + base64.b64encode(_few_colours(png)).decode()
    size = f"width='{shown['width']}' height='{shown['height']}'"
    words = html.escape(str(shown["alt"]), quote=True)
    style = "max-width: 100%; height: auto; background: white"
    return widgets.HTML(f"<img src='{source}' alt='{words}' {size} style='{style}'>")


def _few_colours(png: bytes) -> bytes:
    """Return a figure with a palette, a third of the size, and with its notes."""
    with Image.open(io.BytesIO(png)) as full:
        few = full.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        notes = PngImagePlugin.PngInfo()
        for name, text in full.text.items():
            notes.add_text(name, text)
    few.save(file := io.BytesIO(), "PNG", pnginfo=notes, optimize=True)
    return file.getvalue()
