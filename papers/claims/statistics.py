r"""From numbers of several trainings and draws to an interval, a verdict, and what could be seen.

The training is the unit of replication. Draws of images and noise are crossed with trainings: all
trainings are measured on the same draws. So a number has two independent errors. Trainings differ,
which the spread of the training means shows. And the images were drawn, which all trainings share;
a jackknife over the images shows this part.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.stats import t as student

__all__ = ["EQUIVALENT", "LEVEL", "interval_over_trainings", "level_in_words", "verdict"]

LEVEL = 0.95
POWER = 0.80
EQUIVALENT = 0.90  # two one-sided tests at 5 % each are an interval of 90 %


def interval_over_trainings(
    values: xr.DataArray, without: xr.DataArray | None = None, *, level: float = LEVEL
) -> xr.Dataset:
    r"""Return the mean over trainings, its interval, and the smallest effect that would be seen.

    With :math:`\theta_{ts}` for training t and draw s, T trainings, and the D draws that all of
    them have,

    .. math:: \mathrm{SE}^2 = \frac1T \operatorname{var}_t\Big(\frac1D\sum_s\theta_{ts}\Big)
              + \frac1{D^2} \sum_s \frac{n-1}{n} \sum_i
              \big(\bar\theta_{s,-i} - \overline{\bar\theta_{s,-\cdot}}\big)^2,

    where :math:`\bar\theta_{s,-i}` is the mean over trainings without image i. The quantile is
    Student's t with the degrees of freedom of Satterthwaite (1946), from T − 1 and n − 1.

    Parameters
    ----------
    values
        (…, train_seed, seed), NaN where a training was not measured on a draw. Without a dim
        ``seed`` nothing was drawn, as for an accuracy on all test images.
    without
        (…, train_seed, seed, left_out), the same with each image left out. Without it, the spread
        of the draws takes the place of the jackknife; of a single draw it is unknown.

    Returns
    -------
    xarray.Dataset
        ``mean``, ``low``, ``high``, ``error``, ``df``, and ``detectable``: the true distance from a
        threshold at which 80 % of such intervals exclude it. All but ``mean`` are NaN for a single
        training, or where no error is known.

    Raises
    ------
    ValueError
        Without a dim train_seed.

    Examples
    --------
    >>> values = xr.DataArray([1.0, 2.0, 3.0], dims="train_seed")  # a textbook t interval
    >>> found = interval_over_trainings(values)
    >>> [round(float(found[name]), 3) for name in ("mean", "low", "high", "df")]
    [2.0, -0.484, 4.484, 2.0]
    """
    if "train_seed" not in values.dims:
        raise ValueError(f"the numbers have no dim 'train_seed'; they have {values.dims}")
    if "seed" in values.dims:
        values = values.where(values.notnull().all("train_seed"))  # the draws that all have
    trainings = values.sizes["train_seed"]
    per_training = values.mean("seed") if "seed" in values.dims else values
    mean = per_training.mean("train_seed", skipna=False)
    parts = [(per_training.var("train_seed", ddof=1) / trainings, trainings - 1)]
    if trainings < 2:
        parts = [(mean * np.nan, np.nan)]
    if "seed" in values.dims:
        parts.append(_of_draws(values, without))
    variance = sum(part for part, _ in parts)
    # a part without spread has no say in the degrees of freedom
    below = sum(np.square(part) / df for part, df in parts)
    df = np.square(variance) / below.where(below > 0)
    df = df.where(variance > 0, np.inf).where(variance.notnull())
    error = np.sqrt(variance)
    half = error * _quantile(0.5 + level / 2, df)
    seen = error * (_quantile(0.5 + level / 2, df) + _quantile(POWER, df))
    return xr.Dataset(
        dict(mean=mean, low=mean - half, high=mean + half, error=error, df=df, detectable=seen)
    )


def _of_draws(values: xr.DataArray, without: xr.DataArray | None) -> tuple[xr.DataArray, object]:
    """Return the part of the variance that all trainings share, and its degrees of freedom."""
    by_draw = values.mean("train_seed", skipna=False)
    draws = by_draw.notnull().sum("seed")
    if without is None:
        few = draws < 2
        return (by_draw.var("seed", ddof=1) / draws).where(~few), (draws - 1).where(~few)
    n = without.sizes["left_out"]
    each = without.mean("train_seed", skipna=False).where(by_draw.notnull())
    spread = each - each.mean("left_out")
    jackknifed = (n - 1) / n * np.square(spread).sum("left_out", skipna=False)
    return jackknifed.sum("seed") / np.square(draws), n - 1


def _quantile(p: float, df: xr.DataArray) -> xr.DataArray:
    return xr.apply_ufunc(lambda d: student.ppf(p, d), df)


def verdict(
    low: xr.DataArray, high: xr.DataArray, threshold: xr.DataArray | float, *, holds: str = "above"
) -> xr.DataArray:
    """Return *reproduced*, *not reproduced* or *undecided* from both ends of an interval.

    A claim holds ``"above"`` or ``"below"`` the threshold, or ``"within"`` it: the number is
    nearer to 0 than the threshold, a margin. For the last, give the interval of level `EQUIVALENT`;
    it decides as two one-sided tests do (Schuirmann 1987). NaN is undecided.

    Examples
    --------
    >>> low, high = xr.DataArray([0.1, -0.1, -0.3]), xr.DataArray([0.3, 0.1, -0.1])
    >>> verdict(low, high, 0.0).values.tolist()
    ['reproduced', 'undecided', 'not reproduced']
    >>> verdict(low, high, 0.2, holds="within").values.tolist()
    ['undecided', 'reproduced', 'undecided']
    """
    if holds == "within":
        yes = (low > -threshold) & (high < threshold)
        no = (low >= threshold) | (high <= -threshold)
    elif holds == "below":
        yes, no = high < threshold, low >= threshold
    else:
        yes, no = low > threshold, high <= threshold
    return xr.where(yes, "reproduced", xr.where(no, "not reproduced", "undecided"))


def level_in_words(values: xr.DataArray) -> str:
    """Return a mean over trainings with its interval; without one for one training, or no dim.

    Examples
    --------
    >>> level_in_words(xr.DataArray([0.1, 0.2, 0.3], dims="train_seed"))
    '0.20 [-0.05, 0.45]'
    """
    if "train_seed" not in values.dims:
        values = values.expand_dims("train_seed")
    found = {k: float(v) for k, v in interval_over_trainings(values).items()}
    if found["low"] != found["low"]:
        return f"{found['mean']:.2f}"
    return f"{found['mean']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
