"""Does forgetting predict robustness? The correlation scan of paper A, section 4.4, appendix E.1.

The scan correlates, over the epochs of a fine-tuning, an aggregate over layers of learning,
forgetting and others with the mean accuracy on corrupted images. The paper tries many aggregates
(`hypotheses`) and reports the best. Functions here take a comparison Dataset with a dim `epoch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import xarray as xr

from invlib.metrics.invariance import cka_divergence, diagonal, forgetting, learning
from invlib.names import choices, unknown
from invlib.results.validation import conform
from papers.claims.correlation import correlate
from papers.merlin2023.hypotheses import AGGREGATES, QUANTITIES, Hypothesis, hypotheses

__all__ = [
    "aggregate",
    "correlation_scan",
    "forgetting_spread",
    "mean_corrupted_accuracy",
    "over_seeds",
    "quantity",
]

SEEDS = ("mean", "each")
REPEATS = ("seed", "train_seed")  # draws of images, and trainings


def quantity(ds: xr.Dataset, name: str, *, self_term: str = "measured") -> xr.DataArray:
    """Return one of `QUANTITIES` by layer, dims (…, layer); `self_term` as in `learning`.

    Raises
    ------
    KeyError
        If `ds` lacks a variable that it needs.

    Examples
    --------
    >>> quantity(_toy(), "forgetting").sel(layer=3).values.round(2)
    array([0. , 0.1, 0.1, 0.3])
    """
    match choices("name", name, QUANTITIES):
        case "learning":
            return learning(ds, self_term=self_term)
        case "forgetting":
            return forgetting(ds, self_term=self_term)
        case "learning + forgetting":
            return learning(ds, self_term=self_term) + forgetting(ds, self_term=self_term)
        case "learning - forgetting":
            return learning(ds, self_term=self_term) - forgetting(ds, self_term=self_term)
        case "CKA divergence":
            return cka_divergence(ds)
        case _:
            return diagonal(ds, "subspace_ft_pt")


def aggregate(
    values: xr.DataArray, how: str, *, first: int | None = None, last: int | None = None
) -> xr.DataArray:
    """Aggregate values over the layers `first` to `last`, both included; by default over all.

    The standard deviation has ``ddof=0``. This changes no correlation.

    Raises
    ------
    ValueError
        If `how` is not one of `AGGREGATES`, or a layer is missing.

    Examples
    --------
    >>> values = xr.DataArray([9.0, 1.0, 2.0, 3.0], {"layer": [0, 1, 2, 3]})
    >>> float(aggregate(values, "max", first=1)), float(aggregate(values, "std", first=1, last=2))
    (3.0, 0.5)
    """
    choices("how", how, AGGREGATES)
    known = values["layer"].values.tolist()
    for name, layer in {"first": first, "last": last}.items():
        if layer is not None and layer not in known:
            raise ValueError(f"{name}={layer} is not one of the layers {known}")
    return getattr(values.sel(layer=slice(first, last)), how)("layer", skipna=False)


def forgetting_spread(
    ds: xr.Dataset, *, self_term: str = "measured", seeds: str = "mean"
) -> xr.DataArray:
    """Return the standard deviation of forgetting over layers, the paper's main hypothesis.

    The paper's layers are 2-12, these are 2 to the deepest. `seeds` is as in `correlation_scan`:
    by default the spread is that of the mean over draws and trainings. Other dims (epoch,
    optimizer, estimator, …) stay.

    Examples
    --------
    >>> forgetting_spread(_toy()).values.round(3)
    array([0.  , 0.05, 0.05, 0.1 ])
    """
    values = over_seeds(forgetting(ds, self_term=self_term), seeds)
    spread = aggregate(values, "std", first=2)
    ends = Hypothesis("forgetting", 2, int(values["layer"][-1]), "std")
    return spread.rename("forgetting_spread").assign_attrs(long_name=str(ends), units="1")


def mean_corrupted_accuracy(ds: xr.Dataset, *, seeds: str = "each") -> xr.DataArray:
    """Return the accuracy averaged over severities 1-5 and over corruptions, if they are a dim.

    Severity 0, the clean test set, is left out. If a value is NaN, so is the mean, because means of
    different corruptions cannot be compared. `seeds` is as in `correlation_scan`, by default each
    training has its own.

    Raises
    ------
    KeyError
        If `ds` has no `corrupted_accuracy`.
    ValueError
        If it has no severity above 0.

    Examples
    --------
    >>> mean_corrupted_accuracy(_toy()).values
    array([0.4, 0.5, 0.5, 0.6])
    """
    if "corrupted_accuracy" not in ds:
        raise KeyError(unknown("variable", "corrupted_accuracy", map(str, ds.data_vars)))
    accuracy = ds["corrupted_accuracy"].sel(severity=slice(1, None))
    if not accuracy.sizes["severity"]:
        raise ValueError(f"severity={ds['severity'].values.tolist()} has none above 0, the clean")
    over = [dim for dim in ("severity", "corruption") if dim in accuracy.dims]
    named = {"long_name": "mean accuracy on corrupted images", "units": "1"}
    accuracy = over_seeds(accuracy.mean(over, skipna=False), seeds)
    return accuracy.rename("mean_corrupted_accuracy").assign_attrs(named)


def correlation_scan(
    ds: xr.Dataset,
    *,
    quantities: Iterable[str] | None = None,
    self_term: str = "measured",
    seeds: str = "mean",
    epochs: slice | Iterable[int] | None = None,
) -> xr.Dataset:
    """Correlate every hypothesis with the mean corrupted accuracy over the epochs of a training.

    Parameters
    ----------
    ds
        A comparison with the dim `epoch`, the variables of the quantities and `corrupted_accuracy`.
        Other dims stay. Layer 0, the input of the first block, is left out.
    quantities
        A choice of `QUANTITIES`; by default all for which `ds` has the variables.
    self_term
        As in `learning`.
    seeds
        ``"mean"`` averages a quantity over `seed` before its layers are aggregated, as the paper
        does, and over `train_seed`, if there are several trainings; accuracy is averaged over them
        as well. ``"each"`` keeps these dims, with a scan for each draw of images and training.
    epochs
        The epochs to use, by default all. ``slice(1, None)`` leaves out epoch 0, where both models
        are the same: this single point can make a correlation.

    Returns
    -------
    Dataset
        Of kind ``robustness``, with the dim `hypothesis` and its coordinates `quantity`, `layers`,
        `aggregate`. Variables are those of `papers.claims.correlation.correlate`, and both p-values
        after Bonferroni: p times `n_hypotheses`, the number in the same family of this scan, as in
        the paper. Subspace similarity has no `estimator`, so its values repeat along it.

    Raises
    ------
    ValueError
        If a quantity, `self_term` or `seeds` is unknown.
    KeyError
        If a variable or an epoch is missing.

    Examples
    --------
    >>> scan = correlation_scan(_toy(), quantities=["forgetting"])
    >>> round(float(scan.correlation.sel(hypothesis="std of forgetting, layers 2-3")), 2)
    1.0
    """
    if epochs is not None:
        ds = ds.sel(epoch=epochs if isinstance(epochs, slice) else list(epochs))
    accuracy = mean_corrupted_accuracy(ds, seeds=seeds)
    names = _present(ds, self_term) if quantities is None else list(quantities)
    arrays = [over_seeds(quantity(ds, name, self_term=self_term), seeds) for name in names]
    arrays = xr.broadcast(*(array.reset_coords(drop=True) for array in arrays))
    values = dict(zip(names, arrays, strict=True))
    layers = [layer for layer in arrays[0]["layer"].values.tolist() if layer > 0]
    tried = hypotheses(names, layers=layers)
    series = xr.concat(
        [aggregate(values[h.quantity], h.aggregate, first=h.first, last=h.last) for h in tried],
        xr.Variable("hypothesis", [str(h) for h in tried]),
    )
    scan = correlate(series, accuracy)
    size = Counter(QUANTITIES[h.quantity] for h in tried)
    scan = scan.assign_coords(
        quantity=("hypothesis", [h.quantity for h in tried]),
        layers=("hypothesis", [h.layers for h in tried]),
        aggregate=("hypothesis", [h.aggregate for h in tried]),
        n_hypotheses=("hypothesis", [size[QUANTITIES[h.quantity]] for h in tried]),
    )
    for name in ("p_value", "p_value_autocorrelation"):
        scan[f"{name}_bonferroni"] = (scan[name] * scan["n_hypotheses"]).clip(max=1)
    return conform(scan.assign_attrs(kind="robustness"))


def _present(ds: xr.Dataset, self_term: str) -> list[str]:
    """Return the quantities for which `ds` has the variables."""
    present = []
    for name in QUANTITIES:
        try:
            quantity(ds, name, self_term=self_term)
        except KeyError:
            continue
        present.append(name)
    if not present:
        raise KeyError(f"no variable of {', '.join(QUANTITIES)}; there are {sorted(ds.data_vars)}")
    return present


def over_seeds(values: xr.DataArray, seeds: str = "mean") -> xr.DataArray:
    """Average values over `REPEATS`, or keep these dims. If a seed is NaN, so is the mean."""
    over = [dim for dim in REPEATS if dim in values.dims]
    return values if choices("seeds", seeds, SEEDS) == "each" else values.mean(over, skipna=False)


def _toy() -> xr.Dataset:
    """Return four epochs of three layers; forgetting grows with depth. For the examples above."""
    grown = [[0.9, 0.9, 0.9], [0.9, 0.9, 0.8], [0.9, 0.9, 0.8], [0.9, 0.8, 0.6]]
    return xr.Dataset(
        {
            "stir_pt_pt_diagonal": ("layer", [0.9, 0.9, 0.9]),
            "stir_ft_pt_diagonal": (("epoch", "layer"), grown),
            "corrupted_accuracy": (
                ("epoch", "severity"),
                [[0.7, 0.5, 0.3], [0.8, 0.6, 0.4], [0.9, 0.6, 0.4], [0.9, 0.7, 0.5]],
            ),
        },
        {"epoch": range(4), "layer": [1, 2, 3], "severity": [0, 1, 5]},
    )
