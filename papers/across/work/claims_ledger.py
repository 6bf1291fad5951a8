"""All claims by the section (notebook) whose results decide them, and the ledger of verdicts."""

import html
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pandas as pd
import xarray as xr

from invlib.names import ESTIMATORS
from invlib.paths import runs_root
from invlib.results.netcdf import open_results
from papers.across.claims_ledger import ClaimsLedger
from papers.claims.agreement import DECIDED, EVERY, HANGS, ONE, STANDINGS, WITHOUT, Agreement
from papers.claims.claim import Claim, check_claims
from papers.claims.columns import TRUSTED
from papers.claims.data import OURS, paper_of, sections_with_claims, statements
from papers.claims.kept import kept_ledger
from papers.claims.measures import claims_of
from papers.claims.settings import SETTINGS, settings
from papers.kinds import VERDICTS
from papers.section import section_class
from papers.words import counted
from papers.work import written

__all__ = [
    "CLAIMS",
    "at_a_glance",
    "dataset",
    "judged",
    "open_questions",
    "standings",
    "standings_at_a_glance",
    "standings_in_words",
    "verdict_counts",
    "verdicts_in_words",
    "worked_example",
]


class _Claims(Mapping[str, tuple[Claim, ...]]):
    """The claims of each section, read on first use: a mistake in their files stops no import."""

    def __getitem__(self, section: str) -> tuple[Claim, ...]:
        return _claims(section)

    def __iter__(self) -> Iterator[str]:
        return iter(sections_with_claims())

    def __len__(self) -> int:
        return len(sections_with_claims())


@cache
def _claims(section: str) -> tuple[Claim, ...]:
    file = paper_of(section).file
    try:
        measures = section_class(section).measures()
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    return claims_of(section, measures)


CLAIMS = _Claims()


def judged(folder: Path) -> Iterator[tuple[str, Path, list[xr.Dataset], list[str]]]:
    """Judge all claims on the results in `folder`, section by section.

    Yields
    ------
    section, path of its results, ledgers, data sets
        There is a ledger for each of its `settings`. Without results there is one ledger, in which
        no claim is testable. The data sets are those of the paper that were not run.
    """
    for section, _ in list(CLAIMS.items()):  # all are read before the first is judged
        path, rest = folder / f"{section}.nc", list(paper_of(section).datasets[section])
        if path.is_file():
            ledgers, run = _on_results(section, path, path.stat().st_mtime_ns)
            rest = [name for name in rest if name not in run] if run is not None else []
        else:
            ledgers = [_not_run(section)]
        yield section, path, list(ledgers), rest


@cache
def _on_results(
    section: str, path: Path, written_at: int
) -> tuple[tuple[xr.Dataset, ...], list[str] | None]:
    """Return the ledgers of a file as it is now, and the data sets that it says it is about."""
    ds = open_results(path)
    ledgers = tuple(kept_ledger(CLAIMS[section], part) for _, part in settings(ds))
    run = ds["dataset"].values.reshape(-1).tolist() if "dataset" in ds.coords else None
    return ledgers, run


@cache
def _not_run(section: str) -> xr.Dataset:
    claims = CLAIMS[section]
    nothing = xr.Dataset(coords={"estimator": list(ESTIMATORS)})
    ledger = check_claims(claims, nothing)
    return ledger.assign(reason=ledger["reason"].copy(data=["not run"] * len(claims)))


AS_THE_PAPER = dict(estimator="biased", self_term="one")


def verdict_counts(ledgers: Mapping[str, list[xr.Dataset]]) -> pd.DataFrame:
    """Count the verdicts of each section, computed as in the paper and as here.

    A claim is counted once for each data set and recipe it is judged for.
    """
    ways = {
        "debiased": TRUSTED,
        "as the paper": AS_THE_PAPER,
    }
    verdicts = VERDICTS
    rows = {}
    for section, of_section in ledgers.items():
        by_way = {
            way: [v for ds in of_section for v in ds["verdict"].sel(**cell).values.tolist()]
            for way, cell in ways.items()
        }
        rows[section] = {
            (way, verdict): by_way[way].count(verdict) for way in ways for verdict in verdicts
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    table.loc["all"] = table.sum()
    return table


def at_a_glance(counts: pd.DataFrame) -> pd.DataFrame:
    """Return `verdict_counts` as text: those debiased, and in brackets those as the paper.

    Examples
    --------
    >>> ways = pd.MultiIndex.from_product([["debiased", "as the paper"], ["reproduced"]])
    >>> at_a_glance(pd.DataFrame([[22, 24]], ["compression_expansion"], ways))
                          reproduced
    compression expansion    22 (24)
    """
    trusted, paper = (counts[way].astype(str) for way in ("debiased", "as the paper"))
    return (trusted + " (" + paper + ")").rename(index=lambda name: name.replace("_", " "))


def standings(
    ledgers: Mapping[str, list[xr.Dataset]], agreement: Mapping[str, Mapping[str, Agreement]]
) -> pd.DataFrame:
    """Count the decided verdicts of each section, debiased, by what other recipes say of them.

    `agreement` has for each section that about its claims, see `papers.engine.agreement`. The
    columns are a standing and a verdict. Sections without a decided verdict are left out.
    """
    columns = pd.MultiIndex.from_product([STANDINGS, DECIDED])
    rows = {}
    for section, of_section in ledgers.items():
        counts = Counter(
            (agreement[section][id].standing(verdict), verdict)
            for ds in of_section
            for id, verdict in ds["verdict"].sel(TRUSTED).to_series().items()
        )
        rows[section] = [counts[column] for column in columns]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table[table.any(axis=1)]


def standings_at_a_glance(table: pd.DataFrame) -> pd.DataFrame:
    """Return `standings` as text: those *reproduced*, and in brackets those *not reproduced*.

    Examples
    --------
    >>> columns = pd.MultiIndex.from_product([["by every recipe"], DECIDED])
    >>> standings_at_a_glance(pd.DataFrame([[5, 2]], ["finetuning_task"], columns))
                    by every recipe
    finetuning task           5 (2)
    """
    yes, no = (table.xs(verdict, axis=1, level=1).astype(str) for verdict in DECIDED)
    return (yes + " (" + no + ")").rename(index=lambda name: name.replace("_", " "))


_VERBS = {
    EVERY: ("holds by every recipe", "hold by every recipe"),
    HANGS: ("hangs on the recipe", "hang on the recipe"),
    ONE: ("was read by one recipe", "were read by one recipe"),
    WITHOUT: ("needs no inversion", "need no inversion"),
}


def standings_in_words(
    table: pd.DataFrame, agreement: Mapping[str, Mapping[str, Agreement]]
) -> str:
    """Return in words how many verdicts of `standings` hold by every recipe of inversion.

    First those of sections that were read by several recipes, then all others.
    """
    read = [name for name in table.index if any(a.recipes for a in agreement[name].values())]
    parts = {"of sections that were read by several recipes": table.loc[read]}
    parts["of all other sections"] = table.drop(index=read)
    said = []
    for where, rows in parts.items():
        counts = {name: int(rows[name].to_numpy().sum()) for name in STANDINGS}
        each = [counted(count, *_VERBS[name]) for name, count in counts.items() if count]
        total = counted(sum(counts.values()), "decided verdict")
        said.append(f"Of {total} {where}, {', '.join(each) or 'there is nothing to say'}.")
    return " ".join(said)


def verdicts_in_words(ledgers: Iterable[xr.Dataset]) -> str:
    """Return how many verdicts there are of each kind, why, and how many may be false by chance.

    Verdicts are debiased, with the measured self term. One that is decided is false with a chance
    of 2.5 % if its number lies at the threshold, and of less if it lies elsewhere (5 % for a claim
    that names a margin). The sum counts the undecided ones that have an interval, too.
    """
    counts, primary, single, chance = Counter(), Counter(), 0, 0.0
    others = opposite = 0
    for ds in ledgers:
        texts = {text["id"]: text for text in json.loads(ds.attrs["claims"])}
        one = ds.sel(TRUSTED)
        for claim in one["claim"].values.tolist():
            said = str(one["verdict"].sel(claim=claim).values)
            counts[said] += 1
            primary[said] += texts[claim]["primary"]
            known = bool(one["value_low"].sel(claim=claim).notnull())
            single += said == "undecided" and not known
            if said in DECIDED or (said == "undecided" and known):
                chance += 0.05 if texts[claim]["condition"].startswith("within") else 0.025
            papers_way = str(ds["verdict"].sel(AS_THE_PAPER | {"claim": claim}).values)
            others += papers_way != said
            opposite += papers_way != said and {papers_way, said} == set(DECIDED)
    each = ", ".join(f"{counts[v]} {v}" for v in VERDICTS)
    marked = ", ".join(f"{primary[v]} {v}" for v in VERDICTS)
    return (
        f"Of {counted(counts.total(), 'verdict')}, debiased, there are {each}. "
        f"{counted(single, 'is', 'are')} undecided because there is a single training. Of the "
        f"{primary.total()} on claims that were marked beforehand as primary: {marked}. Computed "
        f"as in the paper, {counted(others, 'is another', 'are others')}, and {opposite} of these "
        f"the opposite. By chance {chance:.2g} false verdicts are expected at most, as many as if "
        "every number lay at its threshold."
    )


def open_questions(ledgers: Mapping[str, list[xr.Dataset]]) -> str:
    """Return a table in HTML: each open question, what its claims say so far, how sure, the page.

    Verdicts are debiased, with the measured self term, on the first data set of a page.
    """
    rows = []
    section_of = {claim.id: name for name, claims in CLAIMS.items() for claim in claims}
    for said in statements()[OURS]:
        section = section_of[said.claims[0]]
        one = ledgers[section][0].sel(TRUSTED).sel(claim=list(said.claims))
        counts = Counter(one["verdict"].values.tolist())
        run = counts["not testable here"] < counts.total()
        each = ", ".join(f"{counts[v]} {v}" for v in VERDICTS if counts[v])
        trained = counted(int(one["value"].notnull().any(("claim", "seed")).sum()), "training")
        expected = counted(counts.total(), "expectation")
        rows.append(
            {
                "question, and what was expected": f"<b>{html.escape(said.place)}.</b> "
                + html.escape(said.says),
                "answer": f"Of {expected}: {each}." if run else "not answered",
                "confidence": f"{trained} of a kind" if run else "none: not run yet",
                "page": f"<a href='{section}.html'>{section.replace('_', ' ')}</a>",
            }
        )
    return pd.DataFrame(rows).to_html(index=False, escape=False, border=0)


def worked_example(ledgers: Iterable[xr.Dataset]) -> str:
    """Return in words how one verdict came about: the first with an interval, of most trainings."""
    best = None
    for ds in ledgers:
        one = ds.sel(TRUSTED)
        known = one["claim"].values[one["value_low"].notnull().values]
        count = one.sizes["train_seed"]
        if known.size and (best is None or count > best[0]):
            best = count, one.sel(claim=known[0]), str(known[0]), ds
    if best is None:
        return "No result has several trainings, so there is no interval to show."
    count, one, claim, ds = best
    text = next(text for text in json.loads(ds.attrs["claims"]) if text["id"] == claim)
    means = one["value"].mean("seed").values
    low, high = float(one["value_low"]), float(one["value_high"])
    return (
        f"{text['words']} ({claim}.) The number is the {text['number']}; the claim holds if it is "
        f"{text['condition']}. The {count} trainings give {', '.join(f'{x:.3g}' for x in means)}, "
        f"so the mean is {float(one['value_mean']):.3g} and its interval {low:.3g} to {high:.3g}. "
        f"The verdict is {one['verdict'].item()}. With as many trainings that spread as much, a "
        f"distance of {float(one['detectable']):.2g} from the threshold is seen four times in five."
    )


@written("claims", device="cpu", keep=("claims",))
def dataset(section: ClaimsLedger) -> xr.Dataset:
    """Join the ledgers of this run. A claim's name is its id, then its data set and recipe."""
    parts, texts = [], []
    for _, _, ledgers, _ in judged(runs_root(section.scale)):
        for ledger in ledgers:
            words = [str(ledger[dim].values) for dim in SETTINGS if dim in ledger.coords]
            names = [" @ ".join([id, *words]) for id in ledger["claim"].values.tolist()]
            claims = json.loads(ledger.attrs["claims"])
            texts += [text | {"id": name} for text, name in zip(claims, names, strict=True)]
            scalars = [name for name in ledger.coords if ledger[name].ndim == 0]
            parts.append(ledger.drop_vars(scalars).assign_coords(claim=names))
    ds = xr.concat(parts, "claim", join="outer", fill_value={"reason": ""})
    return ds.assign_attrs(claims=json.dumps(texts, ensure_ascii=False))
