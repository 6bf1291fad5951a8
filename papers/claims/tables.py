"""Show a claims ledger as a table: in a notebook, on a page of the book, in a terminal."""

from __future__ import annotations

import html
import json
import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import pandas as pd
import xarray as xr

from papers.claims.agreement import HANGS, Agreement
from papers.claims.columns import COLUMNS, COMPACT, TRUSTED
from papers.claims.data import statements
from papers.claims.settings import named
from papers.words import counted

__all__ = [
    "SAME",
    "UNTESTABLE",
    "claims_html",
    "claims_table",
    "claims_text",
    "folded",
    "interval_text",
    "open_statements",
    "verdict_counts",
]

UNTESTABLE = "not testable here"
REPEATS = ("train_seed", "seed")  # trainings, and draws of images and noise
SAME = "same by every recipe"


def claims_table(
    ds: xr.Dataset, *, compact: bool = False, agreement: Mapping[str, Agreement] | None = None
) -> pd.DataFrame:
    """Return a ledger (`papers.claims.claim.check_claims`) as a table, a row for each claim.

    After a verdict follows the mean of the number over trainings. The full table adds in brackets
    the interval that decides, and, unless the claim is reproduced, the distance from the threshold
    that is seen at 80 % power; of a single training it has the interval over images instead. The
    compact table, for a page of the book, has the statement and three columns of verdicts:
    debiased, biased, and biased with self term 1. Paper A computed the last one.

    `agreement` is that of `papers.engine.agreement.agreement_about`. If any claim was read by
    several recipes of inversion, the full table says of each whether they agree, and a debiased
    verdict that hangs on the recipe says so.

    Examples
    --------
    >>> from papers.claims.claim import Claim, check_claims
    >>> claim = Claim(id="A-0-high", paper="A", section="0", figure="", words="The score is high.",
    ...               number="the score", measure=lambda ds, self_term: ds.score, threshold=0.5)
    >>> scores = [[0.9, 0.8, 0.85], [0.6, 0.4, 0.7]]
    >>> ds = xr.Dataset({"score": (("estimator", "train_seed"), scores)},
    ...                 {"estimator": ["biased", "debiased"], "train_seed": [0, 1, 2]})
    >>> table = claims_table(check_claims([claim], ds), compact=True)
    >>> table[["claim", "debiased", "biased"]].values.tolist()
    [['The score is high.', 'undecided (0.567)', 'reproduced (0.85)']]
    """
    return _table(ds, compact, partial(_cell, bracket=not compact), agreement)


def _table(
    ds: xr.Dataset,
    compact: bool,
    cell: Callable[[xr.Dataset], str],
    agreement: Mapping[str, Agreement] | None = None,
    hangs: str = f", {HANGS}",
) -> pd.DataFrame:
    """Return the table; `cell` writes a verdict, and behind it stands `hangs` where it does."""
    read = dict(_read(agreement))
    texts = {text["id"]: text for text in json.loads(ds.attrs["claims"])}
    rows = {}
    for id in ds["claim"].values.tolist():
        claim, text = ds.sel(claim=id), texts[id]
        reason = str(claim["reason"].values)
        row = {"claim": text["words"]}
        if compact and reason:
            row["claim"] += f" ({reason[0].upper()}{reason[1:]}.)"
        if not compact:
            unit = "" if text["unit"] == "1" else f" ({text['unit']})"
            paper = float(claim["paper_value"])
            row["section"], row["figure"] = text["section"], text["figure"]
            row["holds when"] = f"{text['number']}{unit} {text['condition']}"
            row["paper"] = "" if math.isnan(paper) else f"{paper:g}"
            row["primary"] = "yes" if text["primary"] else ""
        for column, (estimator, term) in COLUMNS.items():
            judged = estimator in ds["estimator"].values and term in ds["self_term"].values
            if judged and (not compact or column in COMPACT):
                row[column] = cell(claim.sel(estimator=estimator, self_term=term))
        if id in read and (column := next(iter(COLUMNS))) in row:
            verdict = str(claim["verdict"].sel(TRUSTED).values)
            row[column] += hangs * (read[id].standing(verdict) == HANGS)
        if read and not compact:
            row[SAME] = read[id].words if id in read else ""
        if not compact:
            low, high = float(claim["distance_low"]), float(claim["distance_high"])
            row["distance left"] = "" if math.isnan(low) else f"{low:.2f} to {high:.2f}"
            row["reason"] = reason
        rows[id] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("id")


def _read(agreement: Mapping[str, Agreement] | None) -> Iterable[tuple[str, Agreement]]:
    """Return what there is to say of claims, if any was read."""
    agreement = agreement or {}
    return agreement.items() if any(one.recipes for one in agreement.values()) else ()


def open_statements() -> pd.DataFrame:
    """Return the papers' statements that no claim judges, with the reason.

    Examples
    --------
    >>> list(open_statements().columns)
    ['paper', 'place', 'statement', 'why no claim judges it']
    """
    rows = [
        (letter, statement.place, statement.says, statement.open)
        for letter, said in statements().items()
        for statement in said
        if statement.open
    ]
    return pd.DataFrame(rows, columns=["paper", "place", "statement", "why no claim judges it"])


def claims_html(
    ds: xr.Dataset, *, compact: bool = True, agreement: Mapping[str, Agreement] | None = None
) -> str:
    """Return `claims_table` as HTML, with a caption and the full text of statements.

    In the compact table, the interval is on a small second line, and columns that agree share a
    cell. A small line under a statement says whether every recipe gives the same answer.
    """

    def cell(one: xr.Dataset) -> str:
        text, bracket = html.escape(_cell(one)), interval_text(one)
        return f"{text}<br><small>{bracket}</small>" if bracket else text

    if compact:
        table = _table(ds, True, cell, agreement, f"<br><em>{HANGS}</em>")
    else:
        table = claims_table(ds, agreement=agreement)
    prose = table.columns.difference(COLUMNS if compact else [])
    table[prose] = table[prose].map(html.escape)
    if compact:
        lines = {id: f"<br><small>{SAME}: {one.words}</small>" for id, one in _read(agreement)}
        table["claim"] += table.index.map(lambda id: lines.get(id, ""))
    with pd.option_context("display.max_colwidth", None):  # otherwise long statements are cut
        table = table.to_html(index=False, border=0, classes="claims", justify="left", escape=False)
    if compact:  # one cell for columns with the same verdict
        same = r"<td>([^\n]*)</td>(\s*<td>\1</td>)+(?=\s*</tr>)"
        table = re.sub(same, lambda m: f'<td colspan="{m[0].count("<td>")}">{m[1]}</td>', table)
    head, rest = table.split(">", 1)
    return f"{head}>\n  <caption>{html.escape(_caption(ds))}</caption>{rest}"


def verdict_counts(ds: xr.Dataset) -> str:
    """Return in words how many claims of a ledger have which verdict by the debiased estimator.

    Examples
    --------
    >>> verdicts = (("claim", "estimator", "self_term"), [[["undecided"]], [["reproduced"]]])
    >>> grid = {"estimator": ["debiased"], "self_term": ["measured"]}
    >>> verdict_counts(xr.Dataset({"verdict": verdicts}, grid))
    '1 reproduced, 1 undecided'
    """
    column = ds["verdict"].sel(estimator="debiased", self_term="measured")
    counts = Counter(column.values.tolist())
    return ", ".join(f"{n} {said}" for said, n in sorted(counts.items()))


def folded(title: str, told: str, body: str) -> str:
    """Return HTML `body` folded under a heading, beside which stands what it is about.

    Examples
    --------
    >>> folded("laptop, digits", "2 undecided", "<table></table>")
    "<details class='further'><summary><h3>laptop, digits</h3><span>2 undecided</span></summary>..."
    """
    head = f"<h3>{html.escape(title)}</h3><span>{html.escape(told)}</span>"
    return f"<details class='further'><summary>{head}</summary>{body}</details>"


def claims_text(
    ds: xr.Dataset, *, width: int = 58, agreement: Mapping[str, Agreement] | None = None
) -> str:
    """Return a ledger as plain text, with statements wrapped at `width` characters."""
    table = claims_table(ds, agreement=agreement)
    verdicts = _table(ds, True, partial(_cell, bracket=True), agreement).drop(columns="claim")
    lines = _lines([[_caption(ds)], *([name] for name in verdicts)], width)
    lines.append("-" * (width + 26 * verdicts.shape[1]))
    for id, row in table.iterrows():
        statement = [id, row["claim"], f"  holds when: {row['holds when']}"]
        statement += [f"  paper: {row['paper']}"] if row["paper"] else []
        statement += [f"  {SAME}: {row[SAME]}"] if row.get(SAME) else []
        statement += [f"  {row['reason']}"] if row["reason"] else []
        lines += [*_lines([statement, *([cell] for cell in verdicts.loc[id])], width), ""]
    return "\n".join(lines)


def _lines(cells: list[list[str]], width: int) -> list[str]:
    """Return the lines of a row. A cell is a list of paragraphs; the first is `width` wide."""
    wrapped = []
    for number, cell in enumerate(cells):
        broad = 24 if number else width
        wrapped.append([line for part in cell for line in textwrap.wrap(part, broad)])
    lines = []
    for i in range(max(map(len, wrapped))):
        first, *others = (cell[i] if i < len(cell) else "" for cell in wrapped)
        lines.append("  ".join([f"{first:{width}}", *(f"{part:24}" for part in others)]).rstrip())
    return lines


def _cell(one: xr.Dataset, *, bracket: bool = False) -> str:
    verdict = str(one["verdict"].values)
    if verdict == UNTESTABLE:
        return verdict
    text = f"{float(one['value_mean']):.3g}"
    if bracket and (ends := interval_text(one)):
        text += f" {ends}"
    return f"{verdict} ({text})"


def interval_text(one: xr.Dataset) -> str:
    """Return the interval of one verdict as text, and what would be seen; empty if there is none.

    Examples
    --------
    >>> one = dict(value_low=0.1, value_high=0.5, detectable=0.25, verdict="undecided")
    >>> interval_text(xr.Dataset(one)).replace(chr(160), " ")
    '[0.1, 0.5], sees 0.25'
    """
    low, high = float(one["value_low"]), float(one["value_high"])
    if not math.isnan(low):
        text = f"[{low:.3g},\N{NO-BREAK SPACE}{high:.3g}]"
        seen = float(one["detectable"])
        return text if str(one["verdict"].values) == "reproduced" else f"{text}, sees {seen:.2g}"
    low, high = float(one["images_low"]), float(one["images_high"])
    return "" if math.isnan(low) else f"images [{low:.3g},\N{NO-BREAK SPACE}{high:.3g}]"


def _caption(ds: xr.Dataset) -> str:
    scale = json.loads(ds.attrs.get("parameters", "{}")).get("scale")
    parts = [f"scale {scale}"] if scale else []
    if "dataset" in ds.coords:
        parts.append(f"data set {named(ds['dataset'].values)}")
    if "recipe" in ds.coords:
        parts.append(f"inverted by {ds['recipe'].values}")
    trainings, draws = (
        int(ds["value"].notnull().any([dim for dim in ds["value"].dims if dim != repeat]).sum())
        for repeat in REPEATS
    )
    if not trainings:
        return ", ".join([*parts, "no claim can be tested on these results"])
    parts.append(counted(trainings, "training"))
    parts.append(f"{counted(draws, 'draw')} of images")
    if trainings > 1:
        parts.append("in brackets the interval over trainings")
    elif ds["value_low"].notnull().any():  # a single training has no interval over trainings
        parts.append("in brackets the 95 % interval over settings, which have a training each")
    else:
        parts.append("one training decides nothing; in brackets the 95 % interval over images")
    return ", ".join(parts)
