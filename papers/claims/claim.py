"""Judge claims: compare a number from a section's results with a threshold, for every seed.

A `Claim` is a statement of a paper with the number that decides it. `check_claims` computes the
number for every seed, with both CKA estimators and both self terms, and counts the seeds in which
the claim holds. It adds an interval for the draw of the images.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from invlib.metrics.jackknife import interval, left_one_out
from invlib.names import SELF_TERMS, choices
from invlib.results.schema import STACKING
from invlib.results.validation import conform
from papers.claims.tables import UNTESTABLE

__all__ = ["Claim", "check_claims", "numbers", "verdicts"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Claim:
    """One statement of a paper, and the number that decides it.

    Parameters
    ----------
    id : str
        ``"A-4.1-..."``: paper, section, and a name that never changes.
    paper, section, figure : str
        The place of the statement.
    words : str
        The statement, in our words.
    number : str
        The number that `measure` returns, in words.
    measure : callable
        ``measure(ds, self_term) -> DataArray`` over a subset of (estimator, seed).
    threshold : float
    above : bool
        The claim holds if the number is above the threshold; False: below.
    unit : str
        The unit of the number, for readers.
    paper_value : float or mapping
        The paper's number, or one for each data set; NaN if the paper has none.
    needs : mapping
        ``"variables"``: those whose diagonal is enough (`metrics.invariance.diagonal`).
        ``"matrices"``: those that must be stored as whole matrices. ``"dataset"``: the data sets
        that the statement is about. ``"epochs"``: the number of epochs after 0. Any other key is a
        dim with the labels it must have. The labels of ``"layer"`` must be exactly these, and the
        last of them the network's last layer, because layers of other networks cannot be compared.
    obstacle : callable, optional
        ``obstacle(ds) -> str``: another reason why these results cannot decide the claim; empty if
        there is none.
    """

    id: str
    paper: str
    section: str
    figure: str
    words: str
    number: str
    measure: Callable[[xr.Dataset, str], xr.DataArray]
    threshold: float
    above: bool = True
    unit: str = "1"
    paper_value: float | Mapping[str, float] = math.nan
    needs: Mapping[str, tuple | int] = field(default_factory=dict)
    obstacle: Callable[[xr.Dataset], str] | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise ValueError(f"claim {self.id}: threshold={self.threshold!r} is not finite")

    @property
    def condition(self) -> str:
        """The condition as text: ``"> 0.5"``."""
        return f"{'>' if self.above else '<'} {self.threshold:g}"

    def lacking(self, ds: xr.Dataset) -> str:
        """Return why `ds` cannot decide this claim; empty if it can."""
        reasons = (_lacking(ds, what, wanted) for what, wanted in self.needs.items())
        return next(filter(None, reasons), "") or (self.obstacle(ds) if self.obstacle else "")


def _lacking(ds: xr.Dataset, what: str, wanted: tuple | int) -> str:
    """Return why `ds` does not meet one need of a claim; empty if it does."""
    match what:
        case "variables":
            missing = [name for name in wanted if not {name, f"{name}_diagonal"} & set(ds)]
            return f"these results have no {missing[0]}" if missing else ""
        case "matrices":
            missing = [name for name in wanted if name not in ds]
            return f"these results have no whole {missing[0]}" if missing else ""
        case "dataset":
            fits = "dataset" in ds.coords and ds["dataset"].item() in wanted
            return "" if fits else f"the paper says this of {', '.join(wanted)} only"
        case "epochs":
            count = int((ds["epoch"] > 0).sum()) if "epoch" in ds.dims else 0
            short = f"these results have {count} epochs of training, the claim needs {wanted}"
            return short if count < wanted else ""
    labels = ds[what].values.tolist() if what in ds.dims else []
    if what == "layer" and labels and labels != list(wanted):
        return (
            f"the paper's network has layers {wanted[0]}–{wanted[-1]}, these results have "
            f"{len(labels)} layers, {labels[0]}–{labels[-1]}"
        )
    if missing := [str(label) for label in wanted if label not in labels]:
        return f"these results have no {what} {', '.join(missing)}"
    if what == "layer" and "depth" in ds.coords and float(ds["depth"][-1]) < 1:
        return "this network has more layers than the paper's"
    return ""


def check_claims(
    claims: Iterable[Claim], ds: xr.Dataset, *, self_terms: Iterable[str] = SELF_TERMS
) -> xr.Dataset:
    """Judge `claims` on the results of one section.

    Parameters
    ----------
    claims
        For instance ``papers.across.work.claims_ledger.CLAIMS[section]``.
    ds : Dataset
        With dims estimator and seed, and those that the claims select from, such as task. It must
        be of one data set: ``ds.sel(dataset="cifar10")``.
    self_terms
        First terms of learning and forgetting, as in `invlib.learning`.

    Returns
    -------
    Dataset
        Of kind ``claims``. ``value`` has dims (claim, estimator, self_term, seed), ``verdict``
        (claim, estimator, self_term). A verdict is *reproduced* if the claim holds in all seeds,
        *not reproduced* if in none, else *mixed*; or *not testable here*, with a ``reason``.
        ``value_low`` and ``value_high`` are the 95 % interval of the mean over seeds, from a
        jackknife over the images (`metrics.jackknife.interval`). It does not enter the verdict. It
        is NaN if `ds` lacks the values with an image left out. The attributes are those of `ds` and
        ``claims``, the texts of the claims as JSON.

    Raises
    ------
    ValueError
        For a repeated claim, a `ds` without seeds or estimators, or a number with other dims.

    Examples
    --------
    >>> claim = Claim(id="A-0-high", paper="A", section="0", figure="", words="The score is high.",
    ...               number="the score", measure=lambda ds, self_term: ds.score, threshold=0.5)
    >>> ds = xr.Dataset({"score": (("estimator", "seed"), [[0.9, 0.8], [0.6, 0.4]])},
    ...                 {"estimator": ["biased", "debiased"], "seed": [0, 1]})
    >>> check_claims([claim], ds).verdict.sel(claim="A-0-high", self_term="one").values.tolist()
    ['reproduced', 'mixed']
    """
    claims = list(claims)
    terms = [choices("self_terms", term, SELF_TERMS) for term in self_terms]
    ids = [claim.id for claim in claims]
    if not ids or not terms or len(set(ids)) < len(ids):
        raise ValueError(f"claims={ids}, self_terms={terms}: at least one of each, each once")
    for dim in ("estimator", "seed"):
        if dim not in ds.dims:
            raise ValueError(f"ds has no dim {dim!r}; its dims are {', '.join(map(str, ds.dims))}")

    values, without = numbers(claims, ds, self_terms=terms)
    low, high = (values.isel(seed=0, drop=True) * np.nan,) * 2
    if without is not None:
        low, high = interval(values, without)
    reasons = [claim.lacking(ds) for claim in claims]
    known = values.notnull().all("seed")
    for i, reason in enumerate(reasons):
        if not reason and not known[i].all():
            reasons[i] = "the number is undefined: a run is missing, or a curve is constant"
    dataset = str(ds["dataset"].values) if "dataset" in ds.coords else ""
    out = xr.Dataset(
        {
            "value": values,
            "value_low": low,
            "value_high": high,
            "verdict": verdicts(claims, values),
            "threshold": ("claim", [float(claim.threshold) for claim in claims]),
            "paper_value": ("claim", [_paper_value(claim, dataset) for claim in claims]),
            "reason": ("claim", reasons),
        }
    )
    # The ledger keeps coordinates that were selected before, such as the data set.
    chosen = [name for name in STACKING if name in ds.coords and ds[name].ndim == 0]
    out = out.assign_coords({name: ds[name].variable for name in chosen})
    fields = ("id", "paper", "section", "figure", "words", "number", "condition", "unit")
    text = [{name: getattr(claim, name) for name in fields} for claim in claims]
    out.attrs = ds.attrs | {"kind": "claims", "claims": json.dumps(text, ensure_ascii=False)}
    return conform(out)


def numbers(
    claims: Iterable[Claim], ds: xr.Dataset, *, self_terms: Iterable[str] = SELF_TERMS
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Return the numbers of `claims`, (claim, estimator, self_term, seed), as in `check_claims`.

    The second array has them with each image left out, and the dim left_out; it is None if no claim
    has these. A number that `ds` cannot give is NaN.
    """
    claims, terms = list(claims), list(self_terms)
    grid = {"claim": [claim.id for claim in claims], "estimator": ds["estimator"].values}
    grid |= {"self_term": terms, "seed": ds["seed"].values}
    values, without = xr.DataArray(np.nan, grid, list(grid)), None
    for claim in claims:
        if claim.lacking(ds):
            continue
        whole = claim.needs.get("matrices")  # a claim uses either matrices or diagonals
        each = left_one_out(ds, whole or claim.needs.get("variables", ()), whole=bool(whole))
        if each is not None and without is None:
            without = values.expand_dims(left_out=each["left_out"]).transpose(..., "left_out")
            without = without.copy(data=np.full(without.shape, np.nan))
        for term in terms:
            at = (claim.id, slice(None), term)
            number = _number(claim, ds, term).broadcast_like(values.loc[at])
            values.loc[at] = number.transpose(..., "seed").values
            if each is not None:
                number = _number(claim, each, term, "left_out").broadcast_like(without.loc[at])
                without.loc[at] = number.transpose(..., "seed", "left_out").values
    return values, without


def verdicts(claims: Iterable[Claim], values: xr.DataArray) -> xr.DataArray:
    """Return the verdicts on `numbers`, dims (claim, …, seed) -> (claim, …), see `check_claims`."""
    claims = list(claims)
    ids = {"claim": [claim.id for claim in claims]}
    threshold = xr.DataArray([float(claim.threshold) for claim in claims], ids)
    above = xr.DataArray([claim.above for claim in claims], ids)
    holds = xr.where(above, values > threshold, values < threshold)
    agreed = xr.where(holds.all("seed"), "reproduced", "mixed")
    verdict = xr.where(holds.any("seed"), agreed, "not reproduced")
    return xr.where(values.notnull().all("seed"), verdict, UNTESTABLE)


def _number(claim: Claim, ds: xr.Dataset, self_term: str, *more: str) -> xr.DataArray:
    """Return the number of a claim, dims a subset of (estimator, seed, *more*); NaN if infinite."""
    number = claim.measure(ds, self_term)
    if extra := set(number.dims) - {"estimator", "seed", *more}:
        raise ValueError(
            f"claim {claim.id}: a number for each of {', '.join(sorted(map(str, extra)))}; "
            "select one first, as in ds.sel(dataset='cifar10')"
        )
    return number.where(abs(number) < math.inf)


def _paper_value(claim: Claim, dataset: str) -> float:
    if isinstance(claim.paper_value, Mapping):
        return float(claim.paper_value.get(dataset, math.nan))
    return float(claim.paper_value)
