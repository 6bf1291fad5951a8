"""What section 4.4 and appendix E of paper A claim about forgetting and robustness.

Both are followed over the epochs of one training (`SPREAD`), or of several (`ROBUSTNESS`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from papers.claims.shapes import RESOLUTION
from papers.merlin2023.claims.builders import PAPER, VARIABLES
from papers.merlin2023.claims.dynamics import claim_of_4_4, too_short

if TYPE_CHECKING:
    import xarray as xr

    from papers.claims.claim import Claim

__all__ = ["ROBUSTNESS", "SPREAD"]

NEEDS = (*VARIABLES["forgetting"], "corrupted_accuracy")
SEVERITIES = (1, 2, 3, 4, 5)  # whose mean is the accuracy on corrupted images


def _claim(
    *said: object, needs: Iterable[str] = NEEDS, unit: str = "correlation", **more: object
) -> Claim:
    return claim_of_4_4(*said, needs, severities=SEVERITIES, unit=unit, **more)


def _of_spread(name: str, epochs: slice = slice(None)) -> Callable:
    """A measure: what correlating the paper's hypothesis with accuracy gives, over some epochs."""

    def measure(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        from papers.merlin2023.correlation import correlate
        from papers.merlin2023.robustness_scan import forgetting_spread, mean_corrupted_accuracy

        ds = ds.sel(epoch=epochs)
        spread = forgetting_spread(ds, self_term=self_term, seeds="each")  # layers 2-12
        found = correlate(spread, mean_corrupted_accuracy(ds))
        return found[name].reset_coords(drop=True)

    return measure


def _bonferroni(name: str) -> Callable:
    """A measure: a p-value of the paper's hypothesis times the 352 that were tried.

    The p-value is two-sided; where the correlation is the other way round nothing has survived: 1.
    """
    tried = PAPER["hypotheses"]["learning_and_forgetting"]

    def measure(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        p, r = (_of_spread(one)(ds, self_term) for one in (name, "correlation"))
        return (p * tried).clip(max=1).where(~(r < 0), 1.0)

    return measure


def _above_best(quantity: str) -> Callable:
    """A measure: the correlation of the paper's hypothesis minus the best one of `quantity`."""

    def measure(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        from papers.merlin2023.robustness_scan import correlation_scan

        scan = correlation_scan(ds, quantities=[quantity], self_term=self_term, seeds="each")
        best = abs(scan["correlation"].reset_coords(drop=True)).max("hypothesis")
        return _of_spread("correlation")(ds, self_term) - best

    return measure


def _early(ds: xr.Dataset, self_term: str) -> xr.DataArray:
    half = slice(None, int(ds["epoch"][-1]) // 2)
    return _of_spread("correlation", epochs=half)(ds, self_term)


def _early_minus_all(ds: xr.Dataset, self_term: str) -> xr.DataArray:
    return _early(ds, self_term) - _of_spread("correlation")(ds, self_term)


def _spread() -> Iterable[Claim]:
    yield _claim(
        "spread-correlates-with-robustness",
        "5b, 5c, 11b, 13",
        "Where forgetting varies much between layers, accuracy on corrupted images is high.",
        "correlation over epochs of the standard deviation of forgetting over layers 2–12 with the "
        "mean accuracy on corrupted images",
        _of_spread("correlation"),
        0.7,  # "strong": half of the variance; the paper's lower value is 0.78
        paper_value=PAPER["robustness_correlation_forgetting"],
    )
    yield _claim(
        "spread-without-epoch-0",
        "5b, 5c, 11b, 13",
        "The same without epoch 0, where nothing is forgotten yet (our addition).",
        "that correlation over all epochs but 0",
        _of_spread("correlation", epochs=slice(1, None)),
        0.7,
    )
    yield _claim(
        "spread-survives-bonferroni",
        "",
        "That correlation passes the Bonferroni correction for the 352 hypotheses tried.",
        "its p-value times 352, 1 where it is negative",
        _bonferroni("p_value"),
        0.05,  # the usual level
        above=False,
        paper_value={
            name: 352 * value for name, value in PAPER["robustness_p_value_forgetting"].items()
        },
        unit="p",
    )
    yield _claim(
        "spread-survives-autocorrelation",
        "",
        "It does so too if neighbouring epochs do not count as independent (our addition).",
        "its p-value with the effective number of epochs, times 352, 1 where it is negative",
        _bonferroni("p_value_autocorrelation"),
        0.05,
        above=False,
        unit="p",
    )
    for quantity, fact in (
        ("CKA divergence", "robustness_correlation_cka_divergence"),
        ("subspace similarity", "robustness_correlation_subspace_similarity"),
    ):
        variables = VARIABLES.get(quantity, ("subspace_ft_pt",))
        yield _claim(
            f"spread-above-{quantity.replace(' ', '-').lower()}",
            "",
            f"It is stronger than the best of the 88 correlations of {quantity}.",
            f"that correlation minus the largest absolute one of {quantity}",
            _above_best(quantity),
            0.0,  # stronger; the paper's differences are 0.09 to 0.34
            needs=(*NEEDS, *variables),
            paper_value={
                name: round(value - PAPER[fact][name], 3)
                for name, value in PAPER["robustness_correlation_forgetting"].items()
            },
        )
    yield _claim(
        "spread-strong-in-early-epochs",
        "14",
        "Over early epochs alone that correlation is strong.",
        "that correlation over the first half of training",
        _early,
        0.7,  # what "strong" is above
    )
    yield _claim(
        "spread-early-epochs",
        "14",
        "Over early epochs alone that correlation is at least as high.",
        "correlation over the first half of training minus that over all of it",
        _early_minus_all,
        -RESOLUTION,  # "comparable or even higher": no lower by what can be seen in a figure
    )


# --- several trainings ----------------------------------------------------------------------------


def _trained_by(ds: xr.Dataset, optimizer: str) -> list[str]:
    there = ds["optimizer"].values.tolist() if "optimizer" in ds.dims else []
    return [name for name in there if name.split(":")[0] == optimizer]


def _by(optimizer: str, fewest: int, title: str) -> tuple[Callable, Callable]:
    """Return a measure, the correlations of the trainings with `optimizer`, and an obstacle."""

    def measure(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        those = ds.sel(optimizer=_trained_by(ds, optimizer))
        return _of_spread("correlation")(those, self_term)

    def obstacle(ds: xr.Dataset) -> str:
        if short := too_short(ds):
            return short
        if (found := len(_trained_by(ds, optimizer))) < fewest:
            return f"trainings with {title} in these results: {found}, the claim needs {fewest}"
        return ""

    return measure, obstacle


def _robustness() -> Iterable[Claim]:
    with_sgd, no_sgd = _by("sgd", 2, "SGD")  # one alone agrees with itself
    with_adam, no_adam = _by("adam", 1, "Adam")
    yield _claim(
        "sgd-trainings-agree",
        "6",
        "The spread of forgetting goes with robustness in every training with SGD, whatever the "
        "learning rate and augmentation.",
        "smallest correlation of any SGD training",
        lambda ds, term: with_sgd(ds, term).min("optimizer", skipna=False),
        0.5,  # "similar trends": less would be a weak one
        obstacle=no_sgd,
    )
    yield _claim(
        "adam-trainings-do-not",
        "15",
        "With Adam there is no clear trend.",
        "largest correlation of any Adam training",
        lambda ds, term: with_adam(ds, term).max("optimizer", skipna=False),
        0.5,  # what counts as a trend in the claim before
        obstacle=no_adam,
        above=False,
    )


SPREAD = tuple(_spread())
ROBUSTNESS = tuple(_robustness())
