"""All claims by the section (notebook) whose results decide them, and the ledger of verdicts."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pandas as pd
import xarray as xr

from invlib.names import ESTIMATORS
from invlib.paths import runs_root
from invlib.results.netcdf import open_results
from papers.across.claims_ledger import ClaimsLedger
from papers.claims.claim import Claim, check_claims
from papers.claims.data import paper_of, sections_with_claims
from papers.claims.measures import claims_of
from papers.claims.settings import SETTINGS, settings
from papers.section import section_class
from papers.work import written

__all__ = ["CLAIMS", "dataset", "judged", "verdict_counts"]


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
    for section, claims in list(CLAIMS.items()):  # all are read before the first is judged
        path, rest = folder / f"{section}.nc", list(paper_of(section).datasets[section])
        if path.is_file():
            ds = open_results(path)
            ledgers = [check_claims(claims, part) for _, part in settings(ds)]
            run = ds["dataset"].values.reshape(-1).tolist() if "dataset" in ds.coords else rest
            rest = [name for name in rest if name not in run]
        else:
            ledgers = [_not_run(claims)]
        yield section, path, ledgers, rest


def _not_run(claims: tuple[Claim, ...]) -> xr.Dataset:
    nothing = xr.Dataset(coords={"estimator": list(ESTIMATORS)})
    ledger = check_claims(claims, nothing)
    return ledger.assign(reason=ledger["reason"].copy(data=["not run"] * len(claims)))


def verdict_counts(ledgers: Mapping[str, list[xr.Dataset]]) -> pd.DataFrame:
    """Count the verdicts of each section, computed as in the paper and as here.

    A claim is counted once for each data set and recipe it is judged for.
    """
    ways = {
        "debiased": dict(estimator="debiased", self_term="measured"),
        "as the paper": dict(estimator="biased", self_term="one"),
    }
    verdicts = ("reproduced", "not reproduced", "undecided", "not testable here")
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
