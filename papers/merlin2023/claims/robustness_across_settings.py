r"""Measures of forgetting and robustness across settings of the training.

The unit is the setting: a quantity is its mean over draws and over trainings with other seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import logit
from scipy.stats import t as student

from invlib.metrics.invariance import forgetting
from invlib.names import choices
from papers.claims.correlation import partial, pearson
from papers.claims.measures import obstacle
from papers.claims.statistics import LEVEL
from papers.merlin2023.robustness_scan import forgetting_spread, mean_corrupted_accuracy

__all__ = ["across_settings"]

ROBUSTNESS = ("corrupted", "given clean", "effective")
EXTREME = 0.001  # an accuracy nearer to 0 or 1 is moved here, because its logit may be infinite


def by_setting(ds: xr.Dataset, *, self_term: str = "measured") -> xr.Dataset:
    """Return spread and mean of forgetting, and accuracies, of each setting.

    ``effective`` is `effective_robustness`. The dims are estimator, where there is one, and
    setting.
    """
    means = {
        "spread": forgetting_spread(ds, self_term=self_term, seeds="each"),
        "forgetting": forgetting(ds, self_term=self_term).mean("layer"),
        "clean": ds["test_accuracy"],
        "corrupted": mean_corrupted_accuracy(ds),
    }
    means = {name: values.reset_coords(drop=True) for name, values in means.items()}
    over = ("seed", "train_seed")
    for name, values in means.items():
        means[name] = values.mean([dim for dim in over if dim in values.dims], skipna=False)
    means["effective"] = xr.apply_ufunc(
        effective_robustness, means["clean"], means["corrupted"],
        input_core_dims=[["setting"]] * 2, output_core_dims=[["setting"]],
    )  # fmt: skip
    return xr.Dataset(means)


def effective_robustness(clean: ArrayLike, corrupted: ArrayLike) -> np.ndarray:
    r"""Return how far corrupted accuracy is above what other settings of that clean accuracy have.

    .. math:: \operatorname{logit} c_i - \big(\alpha_{-i} + \beta_{-i} \operatorname{logit} a_i\big)

    (Taori et al. 2020; Miller et al. 2021). The line is fitted by least squares to all settings but
    i, so a setting that lies far off does not pull the line to itself. NaN if all settings have the
    same clean accuracy, or all but one.

    Examples
    --------
    >>> effective_robustness([0.5, 0.6, 0.7, 0.8], [0.5, 0.6, 0.7, 0.9]).round(2)
    array([ 0.48, -0.09, -0.43,  0.81])
    """
    x, y = (
        logit(np.clip(np.asarray(values, float), EXTREME, 1 - EXTREME))
        for values in (clean, corrupted)
    )
    x, y = x - x.mean(), y - y.mean()
    total = (x**2).sum()
    if not total > 0:
        return np.full(x.shape, np.nan)
    leverage = 1 / x.size + x**2 / total  # of a point on its own fit: the rest is as left out
    rest = np.where(leverage < 1 - 1e-9, 1 - leverage, np.nan)
    return (y - x * (x @ y) / total) / rest


def correlation(means: xr.Dataset, quantity: str, robustness: str) -> xr.DataArray:
    """Return the correlation over settings of a quantity with one kind of robustness.

    The coordinate ``points`` is the number of settings, less one where clean accuracy is used up.
    It is NaN with fewer than four points, because such a correlation has no interval.
    """
    settings = means.sizes["setting"]
    points = settings - (choices("robustness", robustness, ROBUSTNESS) != "corrupted")
    given = [means["clean"]] if robustness == "given clean" else []
    outcome = means["effective" if robustness == "effective" else "corrupted"]
    series = xr.broadcast(means[quantity], outcome, *given)
    r = xr.apply_ufunc(
        partial if given else pearson, *series, input_core_dims=[["setting"]] * len(series)
    )
    return r.where(points > 3).assign_coords(points=points)


def pair_of(setting: str) -> str:
    """Return the optimiser and the learning rate of a setting, which may have an augmentation.

    >>> pair_of("sgd:0.02:crop")
    'sgd:0.02'
    """
    return ":".join(setting.split(":")[:2])


def without_pairs(ds: xr.Dataset) -> list[xr.Dataset]:
    """Return `by_setting` without the settings of each pair of `pair_of`."""
    pairs = np.array([pair_of(name) for name in ds["setting"].values.tolist()])
    return [by_setting(ds.isel(setting=pairs != pair)) for pair in np.unique(pairs)]


def interval_by_pair(
    means: xr.Dataset, without: Sequence[xr.Dataset], quantity: str, robustness: str
) -> tuple[float, float]:
    r"""Return the ends of an interval of a `correlation` whose unit is the pair, not the setting.

    Settings that differ in their augmentation alone are alike, so they are not independent. With
    :math:`z_{-g}` the inverse hyperbolic tangent of the correlation without pair g of G, which
    `without_pairs` prepares,

    .. math:: \tanh\Big(z \pm t_{G-1} \sqrt{\tfrac{G-1}{G} \textstyle\sum_g
              (z_{-g} - \bar z_{-\cdot})^2}\Big),

    the delete-a-group jackknife (Kott 2001). NaN with fewer than three pairs.
    """
    count = len(without)
    if count < 3:
        return np.nan, np.nan
    z, *left = (
        float(np.arctanh(correlation(part, quantity, robustness))) for part in (means, *without)
    )
    half = student.ppf(0.5 + LEVEL / 2, count - 1) * np.sqrt((count - 1) * np.var(left))
    low, high = np.tanh([z - half, z + half]).tolist()
    return low, high


def _too_few(ds: xr.Dataset, *, fewest: int, **_: object) -> str:
    if (count := ds.sizes.get("setting", 0)) < fewest:
        return f"settings in these results: {count}, the claim needs {fewest}"
    return ""


@obstacle(_too_few)
def across_settings(
    ds: xr.Dataset,
    *,
    quantity: str,
    robustness: str,
    fewest: int,
    self_term: str = "measured",
) -> xr.DataArray:
    """Return that `correlation` of results; `fewest` settings are needed for a claim."""
    means = by_setting(ds, self_term=self_term)
    return correlation(means, choices("quantity", quantity, means), robustness)


def reliability(ds: xr.Dataset) -> float:
    """Return the share of the variance of corrupted accuracy over settings that is no noise.

    The halves of the corrupted images give two series over settings, with a correlation r. All
    images together have the reliability 2r / (1 + r) (Spearman and Brown 1910). A perfect sign of
    robustness correlates with corrupted accuracy by its square root at most: the noise ceiling.
    """
    halves = ds["half_accuracy"].mean([d for d in ("severity", "train_seed") if d in ds.dims])
    r = float(pearson(*halves.transpose("half", "setting").values))
    return 2 * r / (1 + r) if r > -1 else -np.inf
