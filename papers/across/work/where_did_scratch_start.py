"""Compute the page on what "from scratch" started from: comparisons under both readings, scores."""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr
from tqdm.auto import tqdm

from invlib import train
from invlib.metrics.invariance import diagonals
from invlib.training.run import TrainingRun
from papers.across.claims.where_did_scratch_start import printed
from papers.across.where_did_scratch_start import READINGS, WhereDidScratchStart
from papers.across.work.base import level_in_words, stacked
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.columns import TRUSTED
from papers.claims.curves import OTHER, this_dataset
from papers.claims.data import ClaimData, paper_of, reported
from papers.claims.kept import kept_ledger
from papers.claims.settings import settings
from papers.claims.tables import UNTESTABLE, folded, interval_text
from papers.merlin2023.pretraining_dataset import NONE
from papers.merlin2023.work.base import compare_finetuned
from papers.words import counted
from papers.work import html_of, written

if TYPE_CHECKING:
    from IPython.display import HTML

STARTED = {"plain": "random start", "repository": "pretrained start"}
OUTCOMES = ("comes out", "does not come out", "undecided", UNTESTABLE)


@written("readings", seeds=lambda section: section.draws)
def dataset(section: WhereDidScratchStart) -> xr.Dataset:
    """Train and compare from every start under both readings. Only diagonals are kept.

    The first dims are dataset, pretraining, train_seed and reading. `other_accuracy` is that of
    Table 1 on the other data set, NaN for a start that has none there.
    """
    parts: dict[str, dict] = {}
    compared: dict[tuple[str, str], xr.Dataset] = {}  # both readings share the pretrained start
    for label, run in tqdm(section.trainings().items(), "comparisons", leave=False, disable=None):
        before = section.compared_with(label)
        if (run.id, before.id) not in compared:
            compared[run.id, before.id] = _compared(section, run, before)
        other = {"other_accuracy": _other_accuracy(section, label)}
        parts.setdefault(label[0], {})[label[1:]] = compared[run.id, before.id].assign(other)
    by_target = [stacked(of_target, section.dims[1:]) for of_target in parts.values()]
    ds = xr.concat(by_target, xr.Variable("dataset", list(parts)), join="outer", data_vars="all")
    return ds.sel(pretraining=[start for start in section.pretrainings if start in ds.pretraining])


def _compared(section: WhereDidScratchStart, run: TrainingRun, before: TrainingRun) -> xr.Dataset:
    root = section.training_root
    trained, start = train(run, root=root), train(before, root=root).model(0)
    ds = compare_finetuned(section, start, trained, examples=0, seeds=section.draws)
    return diagonals(ds).drop_dims("iteration")


def _other_accuracy(section: WhereDidScratchStart, label: tuple[str, int, str, str]) -> float:
    target, seed, start, reading = label
    others = section.others(target)
    if not others or start in others:
        return math.nan
    if start == NONE:
        return _accuracy(section, section.from_scratch(others[0], seed, reading))
    return _accuracy(section, section.finetuning_run(others[0], seed=seed))


def _accuracy(section: WhereDidScratchStart, run: TrainingRun) -> float:
    return float(train(run, root=section.training_root).log.test_accuracy[-1])


def plan(section: WhereDidScratchStart) -> HTML:
    """Return a table of how the trainings of one seed are made under each reading."""
    rows: dict[str, dict] = {}
    seed = section.train_seeds[0]
    for label, run in section.trainings().items():
        if label[1] == seed:
            target, _, start, reading = label
            name = "from scratch" if start == NONE else f"pretrained on {start}"
            row = rows.setdefault(f"{target}, {name}", {})
            row["images"], row["epochs"] = run.n_train or "all", run.epochs
            row[STARTED[reading]] = f"{_weights(run)}; {run.optimizer}, {run.lr:g}"
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("training")
    return html_of(_html(table, "Trainings of this run"))


def _weights(run: TrainingRun) -> str:
    if run.parent is None:
        return "random weights" if run.weights is None else "ImageNet weights"
    parent, images = run.parent, run.parent.n_train or "all"
    return f"{_weights(parent)}, then {parent.dataset} ({images} images × {parent.epochs})"


def by_reading(
    rows: Iterator[tuple[str, xr.Dataset]],
    measures: Mapping[str, Callable[[xr.Dataset], xr.DataArray]],
) -> dict[str, dict[str, xr.DataArray]]:
    """Return every measure of the results of `Section.rows`, the two readings side by side."""
    return {
        title: {
            f"{name}, {STARTED[reading]}": measure(one.sel(reading=reading))
            for name, measure in measures.items()
            for reading in READINGS
        }
        for title, one in rows
    }


def accuracies(shown: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Return the test accuracy from every start, as paper A prints it and under each reading."""
    rows, table = {}, reported("A")["test_accuracy"]
    for title, ds in shown.items():
        for (target,), one in settings(ds):
            for start in one["pretraining"].values.tolist():
                each = one["test_accuracy"].sel(pretraining=start)
                if bool(each.isnull().all()):
                    continue
                row = {"the paper": table.get(start, {}).get(target, "–")}
                found = {STARTED[r]: level_in_words(each.sel(reading=r)) for r in READINGS}
                rows[title, f"{start} → {target}"] = row | found
    return pd.DataFrame.from_dict(rows, orient="index")


def distances(shown: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Return the distance that inversion left, from every start and under each reading.

    Each cell has the start, then the trained model; means of all blocks, draws and trainings.
    """
    rows = {}
    for title, ds in shown.items():
        for (target,), one in settings(ds):
            for start in one["pretraining"].values.tolist():
                left = distance_left(one.sel(pretraining=start))
                if not bool(left.isnull().all()):
                    rows[title, f"{start} → {target}"] = {
                        STARTED[r]: " and ".join(
                            f"{value:.2f}" for value in left.sel(reading=r).values
                        )
                        for r in READINGS
                    }
    return pd.DataFrame.from_dict(rows, orient="index")


def distance_left(ds: xr.Dataset) -> xr.DataArray:
    """Return the mean distance of all blocks of the start and of the trained model.

    Dims are model (pt, ft) and those that are left of pretraining and reading.
    """
    names = xr.Variable("model", ["pt", "ft"])
    both = xr.concat([ds["inversion_loss_pt"], ds["inversion_loss_ft"]], names)
    return both.sel(ref_layer=slice(1, None)).mean(["ref_layer", "seed", "train_seed"])


# --- the table and the score ----------------------------------------------------------------------


def orders(ds: xr.Dataset) -> pd.DataFrame:
    """Return what paper A prints and, under each reading, what was predicted and what was found.

    `ds` has the results on one data set. There is a row for each order that the paper prints. The
    columns of a reading are *predicted*, *found* and *number*. A number is how far that of the
    paper's claim is beyond its threshold, debiased and with the measured self term.
    """
    claims = CLAIMS["where_did_scratch_start"]
    ledger = kept_ledger(claims, ds).sel(TRUSTED)
    stand_in = _numbers_of_stand_in(ds)
    rows: dict[str, dict[str, str]] = {}
    data = paper_of("where_did_scratch_start").claims["where_did_scratch_start"]
    for claim, said in zip(claims, data, strict=True):
        reading, one = said.arguments["reading"], ledger.sel(claim=claim.id)
        row = rows.setdefault(claim.id.removesuffix(f"-{reading}"), _as_printed(said, ds))
        row[f"{reading}, predicted"] = OUTCOMES[claim.holds == "below"]
        row[f"{reading}, found"] = found = _outcome(str(one["verdict"].values), claim.holds)
        number = stand_in.get(claim.id, math.nan)
        row[f"{reading}, number"] = "" if math.isnan(number) else f"stand-in: {number:.2g}"
        if found != UNTESTABLE:
            row[f"{reading}, number"] = f"{float(one['value_mean']):.3g} {interval_text(one)}"
    return pd.DataFrame.from_dict(rows, orient="index")


def _as_printed(said: ClaimData, ds: xr.Dataset) -> dict[str, str]:
    """Return in words what the paper prints, with its number for these data, and where."""
    claim, elsewhere = printed()[said.arguments["claim"]], "elsewhere" in said.arguments
    dataset = this_dataset(ds) if this_dataset(ds) in OTHER else "cifar10"
    values, words = claim.paper_value, claim.words
    if elsewhere:
        dataset, words = OTHER[dataset], f"{words} On the other CIFAR set."
    value = values[dataset] if isinstance(values, Mapping) else values
    words += "" if math.isnan(value) else f" ({claim.number}: {value:g})"
    where = f"Figure {said.figure}" if said.figure[0].isdigit() else said.figure
    return {"the paper prints": words, "where": where}


def _outcome(verdict: str, holds: str) -> str:
    """Return whether the paper's order comes out, from the verdict on what was predicted of it."""
    if verdict not in ("reproduced", "not reproduced"):
        return verdict
    return OUTCOMES[(verdict == "reproduced") == (holds == "below")]


def _numbers_of_stand_in(ds: xr.Dataset) -> dict[str, float]:
    """Return the numbers of results that are not of CIFAR, with their starts in the paper's place.

    They decide nothing. They show what the code makes of a run that everybody can do.
    """
    if this_dataset(ds) in OTHER:
        return {}
    starts = [start for start in ds["pretraining"].values.tolist() if start != NONE]
    names = dict(zip(starts, ("imagenet", "cifar100"), strict=False)) | {NONE: NONE}
    known = ds.sel(pretraining=list(names))
    known = known.assign_coords(pretraining=list(names.values()), dataset="cifar10")
    found = {}
    for claim in CLAIMS["where_did_scratch_start"]:
        if not claim.lacking(known):
            number = claim.measure(known, TRUSTED["self_term"])
            number = number.sel(estimator="debiased") if "estimator" in number.dims else number
            found[claim.id] = float(number.mean())
    return found


def score(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each reading: how many orders come out, and how many were predicted."""
    rows = {}
    for reading in READINGS:
        found, predicted = table[f"{reading}, found"], table[f"{reading}, predicted"]
        counts, decided = Counter(found), found.isin(OUTCOMES[:2])
        rows[STARTED[reading]] = {name: counts[name] for name in OUTCOMES} | {
            "predicted so": int((decided & (found == predicted)).sum()),
            "predicted otherwise": int((decided & (found != predicted)).sum()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("reading")


def apart(table: pd.DataFrame) -> pd.DataFrame:
    """Return the orders of which the two readings predict different things."""
    plain, other = (table[f"{reading}, predicted"] for reading in READINGS)
    return table[plain != other]


def neither(table: pd.DataFrame) -> pd.DataFrame:
    """Return the orders that come out under neither reading, where both are decided."""
    plain, other = (table[f"{reading}, found"] for reading in READINGS)
    return table[(plain == OUTCOMES[1]) & (other == OUTCOMES[1])]


def tables(shown: Mapping[str, xr.Dataset]) -> HTML:
    """Return `orders` and `score` of each run and data set; those of a stand-in are folded."""
    parts = []
    for title, ds in shown.items():
        for words, one in settings(ds):
            table = orders(one)
            heading = ", ".join([title, *words])
            counted = score(table).T.rename_axis(index="orders that the paper prints", columns=None)
            body = _html(_short(table), f"Two readings, {heading}")
            body += _html(counted, f"Score of each reading, {heading}")
            decides = this_dataset(one) in OTHER
            parts.append(
                f"<h3>{html.escape(heading)}</h3>{body}"
                if decides
                else folded(heading, "a stand-in, which decides nothing", body)
            )
    return html_of("".join(parts))


def _short(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with one column of words for each reading, which fits the page."""
    short = {"the paper prints": table["where"] + ": " + table["the paper prints"]}
    for reading in READINGS:
        predicted, found = table[f"{reading}, predicted"], table[f"{reading}, found"]
        numbers = table[f"{reading}, number"].map(lambda number: f" ({number})" if number else "")
        short[STARTED[reading]] = "predicted: " + predicted + "; found: " + found + numbers
    return pd.DataFrame(short).set_index("the paper prints")


def _html(table: pd.DataFrame, caption: str) -> str:
    with pd.option_context("display.max_colwidth", None):
        text = table.reset_index().to_html(index=False, border=0, classes="claims", justify="left")
    head, rest = text.split(">", 1)
    return f"{head}>\n  <caption>{html.escape(caption)}</caption>{rest}"


def findings(ds: xr.Dataset) -> list[str]:
    """Return sentences for each data set: scores, and what the readings predict differently."""
    sentences = []
    for words, one in settings(ds):
        table, where = orders(one), f"*{', '.join(words)}*"
        for started, row in score(table).iterrows():
            yes, no, undecided, untestable = (row[name] for name in OUTCOMES)
            said = f"{where}, {started}: of the {yes + no + undecided + untestable} "
            said += f"orders that the paper prints {counted(yes, 'comes', 'come')} out and "
            said += f"{counted(no, 'does', 'do')} not; {counted(undecided, 'is', 'are')} "
            said += f"undecided and {untestable} not testable here."
            if yes + no:
                said += f" Of the {counted(yes + no, 'that is', 'that are')} decided, "
                said += f"{counted(row['predicted so'], 'was', 'were')} predicted so, and "
                said += f"{row['predicted otherwise']} otherwise."
            sentences.append(said)
        differ = apart(table)
        if not any(differ[f"{reading}, found"].isin(OUTCOMES[:2]).any() for reading in READINGS):
            continue
        counts = " and ".join(
            f"{counted(row[OUTCOMES[0]], 'of them comes', 'of them come')} out from a {started}"
            for started, row in score(differ).iterrows()
        )
        sentences.append(
            f"{where}: on {counted(len(differ), 'order')} the readings predict different things; "
            f"{counts}. {counted(len(neither(table)), 'order comes', 'orders come')} out under "
            "neither reading."
        )
    return sentences
