"""Judge claims: compare a number from a section's results with a threshold.

A `Claim` is a statement of a paper with the number that decides it. `check_claims` computes the
number for every training and every draw of images, with both CKA estimators and both self terms.
The verdict is that of an interval over trainings (`papers.claims.statistics`).
"""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import xarray as xr

from invlib.metrics.jackknife import interval, left_one_out
from invlib.names import SELF_TERMS, choices
from invlib.results.schema import STACKING
from invlib.results.validation import conform
from papers.claims.columns import ByColumn, each_number, in_column, in_words
from papers.claims.correlation import detectable_correlation, fisher_interval
from papers.claims.curves import kept_curves
from papers.claims.statistics import EQUIVALENT, LEVEL, interval_over_trainings, verdict
from papers.claims.tables import REPEATS, UNTESTABLE
from papers.words import counted

__all__ = ["Claim", "check_claims", "judge", "numbers", "over_columns"]

SIGNS = {"above": "> ", "below": "< ", "within": "within ±"}


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
        ``measure(ds, self_term) -> DataArray`` over a subset of (estimator, train_seed, seed). A
        correlation over settings has the coordinate ``points``, their number, less one for each
        quantity held fixed. Its interval is that of `papers.claims.correlation.fisher_interval`.
    threshold : float or mapping
        A number, or one for each column of the ledger (`papers.claims.columns`).
    holds : str
        The claim holds if the number is ``"above"`` or ``"below"`` the threshold, or if it is
        nearer to 0 than the threshold, ``"within"`` it.
    primary : bool
        Whether the claim was marked, before its results were made, as one that matters most.
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
    by_self_term : bool
        Whether the number may depend on the self term; if not, it is computed once.
    inverted : bool
        Whether an inversion is behind the number; if not, no recipe of inversion can change it.
    """

    id: str
    paper: str
    section: str
    figure: str
    words: str
    number: str
    measure: Callable[[xr.Dataset, str], xr.DataArray]
    threshold: ByColumn
    holds: str = "above"
    primary: bool = False
    unit: str = "1"
    paper_value: float | Mapping[str, float] = math.nan
    needs: Mapping[str, tuple | int] = field(default_factory=dict)
    obstacle: Callable[[xr.Dataset], str] | None = None
    by_self_term: bool = True
    inverted: bool = True

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, each_number(self.threshold))):
            raise ValueError(f"claim {self.id}: threshold={self.threshold!r} is not finite")
        choices("holds", self.holds, SIGNS)

    @property
    def condition(self) -> str:
        """The condition as text: ``"> 0.5"``, or ``"within ±0.014 (biased: 0.004)"``."""
        return SIGNS[self.holds] + in_words(self.threshold)

    def condition_in(self, estimator: str, self_term: str) -> str:
        """Return the condition of one column as text."""
        return f"{SIGNS[self.holds]}{in_column(self.threshold, estimator, self_term):g}"

    def met(self, number: float, estimator: str, self_term: str) -> bool | None:
        """Return whether a number alone, without an interval, meets the condition of a column.

        None if the number is NaN, or if there is no threshold for this estimator.
        """
        threshold = in_column(self.threshold, estimator, self_term)
        if math.isnan(number) or math.isnan(threshold):
            return None
        if self.holds == "within":
            return abs(number) < threshold
        return number > threshold if self.holds == "above" else number < threshold

    def lacking(self, ds: xr.Dataset) -> str:
        """Return why `ds` cannot decide this claim; empty if it can."""
        reasons = (_lacking(ds, what, wanted) for what, wanted in self.needs.items())
        return next(filter(None, reasons), "") or (self.obstacle(ds) if self.obstacle else "")


def over_columns(
    number: ByColumn, estimator: xr.DataArray, self_term: xr.DataArray | str
) -> xr.DataArray:
    """Return a number for these estimators and self terms, with their dims.

    Examples
    --------
    >>> names = xr.DataArray(["debiased", "biased"], dims="estimator")
    >>> over_columns({"debiased": 0.014, "biased": 0.004}, names, "measured").values
    array([0.014, 0.004])
    """
    return xr.apply_ufunc(
        partial(in_column, number), estimator, self_term, vectorize=True, output_dtypes=[float]
    )


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
            had = f"these results have {counted(count, 'epoch')} of training"
            return f"{had}, the claim needs {wanted}" if count < wanted else ""
    labels = ds[what].values.tolist() if what in ds.dims else []
    if what == "layer" and labels and labels != list(wanted):
        return (
            f"the paper's network has layers {wanted[0]}–{wanted[-1]}, these results have "
            f"{counted(len(labels), 'layer')}, {labels[0]}–{labels[-1]}"
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
        With dim estimator, and those that the claims select from, such as task. It must be of one
        data set: ``ds.sel(dataset="cifar10")``. Without a dim train_seed it has one training.
    self_terms
        First terms of learning and forgetting, as in `invlib.learning`.

    Returns
    -------
    Dataset
        Of kind ``claims``. ``value`` has dims (claim, estimator, self_term, train_seed, seed). What
        `judge` returns has dims (claim, estimator, self_term). A claim that these results cannot
        decide is *not testable here*, with a ``reason``. ``distance_low`` and ``distance_high`` are
        the smallest and the largest relative distance left of the inversions behind the number,
        over layers and models; NaN if there are none. The attributes are those of `ds` and
        ``claims``, the texts of the claims as JSON.

    Raises
    ------
    ValueError
        For a repeated claim, a `ds` without estimators, or a number with other dims.

    Examples
    --------
    >>> claim = Claim(id="A-0-high", paper="A", section="0", figure="", words="The score is high.",
    ...               number="the score", measure=lambda ds, self_term: ds.score, threshold=0.5)
    >>> scores = [[0.9, 0.8, 0.85], [0.6, 0.4, 0.7]]
    >>> ds = xr.Dataset({"score": (("estimator", "train_seed"), scores)},
    ...                 {"estimator": ["biased", "debiased"], "train_seed": [0, 1, 2]})
    >>> check_claims([claim], ds).verdict.sel(claim="A-0-high", self_term="one").values.tolist()
    ['reproduced', 'undecided']
    """
    claims = list(claims)
    terms = [choices("self_terms", term, SELF_TERMS) for term in self_terms]
    ids = [claim.id for claim in claims]
    if not ids or not terms or len(set(ids)) < len(ids):
        raise ValueError(f"claims={ids}, self_terms={terms}: at least one of each, each once")
    if "estimator" not in ds.dims:
        raise ValueError(f"ds has no dim 'estimator'; its dims are {', '.join(map(str, ds.dims))}")

    values, without = numbers(claims, ds, self_terms=terms)
    found = judge(claims, values, without)
    thresholds = _thresholds(claims, values)
    reasons = [claim.lacking(ds) for claim in claims]
    for i, reason in enumerate(reasons):
        if not reason and found["value_mean"][i].isnull().any():
            reasons[i] = "the number is undefined: a run is missing, or a curve is constant"
        elif not reason and thresholds[i].isnull().any():
            reasons[i] = "the threshold is known for biased and debiased CKA only"
    dataset = str(ds["dataset"].values) if "dataset" in ds.coords else ""
    left = np.array([_distances(claim, ds) for claim in claims])
    out = found.assign(
        {
            "value": values.drop_vars(["drawn", "points"]),
            "threshold": thresholds,
            "paper_value": ("claim", [_paper_value(claim, dataset) for claim in claims]),
            "distance_low": ("claim", left[:, 0]),
            "distance_high": ("claim", left[:, 1]),
            "reason": ("claim", reasons),
        }
    )
    # The ledger keeps coordinates that were selected before, such as the data set.
    chosen = [name for name in STACKING if name in ds.coords and ds[name].ndim == 0]
    out = out.assign_coords({name: ds[name].variable for name in chosen if name not in REPEATS})
    fields = ("id", "paper", "section", "figure", "words", "number", "condition", "unit", "primary")
    text = [{name: getattr(claim, name) for name in fields} for claim in claims]
    out.attrs = ds.attrs | {"kind": "claims", "claims": json.dumps(text, ensure_ascii=False)}
    return conform(out)


def numbers(
    claims: Iterable[Claim], ds: xr.Dataset, *, self_terms: Iterable[str] = SELF_TERMS
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Return the numbers of `claims`, (claim, estimator, self_term, train_seed, seed).

    The coordinate ``drawn`` says which claims depend on the draw of images; ``points`` are those of
    a correlation over settings, else NaN. The second array has the numbers with each image left
    out, and the dim left_out; it is None if no claim has these. A number that `ds` cannot give is
    NaN.
    """
    claims, terms = list(claims), list(self_terms)
    grid = {"claim": [claim.id for claim in claims], "estimator": ds["estimator"].values}
    grid |= {"self_term": terms}
    grid |= {dim: ds[dim].values if dim in ds.dims else [0] for dim in REPEATS}
    values, without = xr.DataArray(np.nan, grid, list(grid)), None
    drawn, points = dict.fromkeys(grid["claim"], False), dict.fromkeys(grid["claim"], math.nan)
    left_out: dict[tuple, xr.Dataset | None] = {}
    with kept_curves():
        for claim in claims:
            if claim.lacking(ds):
                continue
            whole = claim.needs.get("matrices")  # a claim uses either matrices or diagonals
            names = tuple(whole or claim.needs.get("variables", ()))
            if (names, bool(whole)) not in left_out:
                left_out[names, bool(whole)] = left_one_out(ds, names, whole=bool(whole))
            each = left_out[names, bool(whole)]
            if each is not None and without is None:
                without = values.expand_dims(left_out=each["left_out"]).transpose(..., "left_out")
                without = without.copy(data=np.full(without.shape, np.nan))
            each_term = {term: term for term in terms} if claim.by_self_term else {terms[0]: terms}
            for term, places in each_term.items():
                at = (claim.id, slice(None), places)
                number = _number(claim, ds, term)
                drawn[claim.id] |= "seed" in number.dims
                points[claim.id] = float(number.coords.get("points", math.nan))
                values.loc[at] = _like(number, values.loc[at])
                if each is not None:
                    number = _number(claim, each, term, "left_out")
                    without.loc[at] = _like(number, without.loc[at])
    known = {"drawn": drawn, "points": points}
    known = {name: ("claim", list(of_claim.values())) for name, of_claim in known.items()}
    return values.assign_coords(known), without


def judge(
    claims: Iterable[Claim], values: xr.DataArray, without: xr.DataArray | None
) -> xr.Dataset:
    """Return the verdicts on `numbers`, and the intervals that decide them.

    Returns
    -------
    Dataset
        ``verdict``: *reproduced*, *not reproduced* or *undecided*, as
        `papers.claims.statistics.verdict` says, or *not testable here* where the number is NaN. A
        single training decides nothing. ``value_mean``, ``value_low``, ``value_high`` and
        ``detectable`` are those of `papers.claims.statistics.interval_over_trainings`, or of a
        correlation over settings.
        ``images_low`` and ``images_high`` are the interval over images alone, for these trainings.
        The dims are those of `values` without train_seed and seed.
    """
    claims = list(claims)
    points = values.coords.get("points", xr.full_like(values["drawn"], math.nan, float)).values
    groups = defaultdict(list)
    for i, (claim, drawn, images, seeds) in enumerate(
        zip(claims, values["drawn"].values, *_from(values, without), strict=True)
    ):
        points_or_none = None if math.isnan(points[i]) else points[i]
        groups[claim.holds, points_or_none, drawn, drawn and images, tuple(seeds)].append(i)
    values = values.drop_vars(["drawn", "points"], errors="ignore")
    found = []
    for (_, of, drawn, images, _), places in groups.items():
        some = values.isel(claim=places)
        some = some if drawn else some.isel(seed=0, drop=True)
        each = without.isel(claim=places) if images else None
        found.append(_judged([claims[i] for i in places], some, each, of))
    order = np.argsort([i for places in groups.values() for i in places])
    return xr.concat(found, "claim").isel(claim=order)


def _from(values: xr.DataArray, without: xr.DataArray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return for each claim whether it has numbers with an image left out, and in which draws."""
    drawn = values.mean("train_seed", skipna=False).notnull()
    seeds = drawn.any([dim for dim in drawn.dims if dim not in ("claim", "seed")])
    if without is None:
        return np.zeros(values.sizes["claim"], bool), seeds.transpose("claim", "seed").values
    images = without.notnull().any([dim for dim in without.dims if dim != "claim"])
    return images.values, seeds.transpose("claim", "seed").values


def _judged(
    claims: Sequence[Claim], values: xr.DataArray, without: xr.DataArray | None, of: float | None
) -> xr.Dataset:
    """Judge claims that hold alike and have the same draws; a correlation is one `of` so many."""
    holds = claims[0].holds
    level, threshold = EQUIVALENT if holds == "within" else LEVEL, _thresholds(claims, values)
    if of is None:
        found = interval_over_trainings(values, without, level=level)
    else:
        at = -threshold if holds == "below" else threshold
        found = _of_correlation(values.mean("train_seed"), of, at, level)
    said = verdict(found["low"], found["high"], threshold, holds=holds)
    known = found["mean"].notnull() & threshold.notnull()
    images = found["mean"] * np.nan, found["mean"] * np.nan
    if without is not None:
        mean = values.mean("train_seed", skipna=False).dropna("seed", how="all")
        images = interval(mean, without.mean("train_seed", skipna=False).sel(seed=mean["seed"]))
    return xr.Dataset(
        {
            "verdict": xr.where(known, said, UNTESTABLE),
            "value_mean": found["mean"],
            "value_low": found["low"],
            "value_high": found["high"],
            "images_low": images[0],
            "images_high": images[1],
            "detectable": found["detectable"],
        }
    )


def _thresholds(claims: Sequence[Claim], values: xr.DataArray) -> xr.DataArray:
    """Return the thresholds of claims in the columns of `values`, (claim, estimator, self_term)."""
    columns = {name: values[name].values.tolist() for name in ("estimator", "self_term")}
    each = [
        [in_column(claim.threshold, *column) for column in itertools.product(*columns.values())]
        for claim in claims
    ]
    coords = {"claim": [claim.id for claim in claims]} | columns
    return xr.DataArray(np.reshape(each, [len(names) for names in coords.values()]), coords)


def _of_correlation(r: xr.DataArray, points: float, at: xr.DataArray, level: float) -> xr.Dataset:
    """Return the interval of a correlation over settings, and what is seen beyond a threshold."""
    ends = r.expand_dims(end=2, axis=-1).copy(data=fisher_interval(r, points, level=level))
    seen = xr.apply_ufunc(
        lambda one: detectable_correlation(points, threshold=one, level=level) - one,
        at, vectorize=True,
    )  # fmt: skip
    low, high = (ends.isel(end=i) for i in (0, 1))
    return xr.Dataset(dict(mean=r, low=low, high=high, detectable=r * 0 + seen))


def _distances(claim: Claim, ds: xr.Dataset) -> tuple[float, float]:
    """Return the smallest and largest mean distance left of the models that the claim inverts."""
    names = [*claim.needs.get("variables", ()), *claim.needs.get("matrices", ())]
    inverted = {str(name).split("_")[2] for name in names if str(name).startswith("stir_")}
    left = [f"inversion_loss_{model}" for model in sorted(inverted)]
    left = [] if claim.lacking(ds) else [ds[name] for name in left if name in ds]
    means = [one.mean([dim for dim in REPEATS if dim in one.dims]) for one in left]
    if not means:
        return math.nan, math.nan
    return min(float(one.min()) for one in means), max(float(one.max()) for one in means)


def _like(number: xr.DataArray, place: xr.DataArray) -> np.ndarray:
    """Return a number with all dims of the place that it is for, in their order."""
    return number.broadcast_like(place).transpose(*place.dims).values


def _number(claim: Claim, ds: xr.Dataset, self_term: str, *more: str) -> xr.DataArray:
    """Return the number of a claim, dims a subset of (estimator, train_seed, seed, *more).

    It is NaN if infinite.
    """
    number = claim.measure(ds, self_term)
    if extra := set(number.dims) - {"estimator", *REPEATS, *more}:
        raise ValueError(
            f"claim {claim.id}: a number for each of {', '.join(sorted(map(str, extra)))}; "
            "select one first, as in ds.sel(dataset='cifar10')"
        )
    return number.where(abs(number) < math.inf)


def _paper_value(claim: Claim, dataset: str) -> float:
    if isinstance(claim.paper_value, Mapping):
        return float(claim.paper_value.get(dataset, math.nan))
    return float(claim.paper_value)
