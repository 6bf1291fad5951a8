"""What section 4.4 and appendix E of paper A claim about epochs, forgetting and robustness."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from invlib.claims import Claim

from .curve_claims import EARLY, LATE, LAYERS, PAPER, VARIABLES, curve, span_words
from .curves import RESOLUTION, least, level
from .epochs import early_peak, gain, loss_since_best

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["DYNAMICS", "ROBUSTNESS"]

SPREAD = "std of forgetting, layers 2-12"  # the paper's own hypothesis
SEVERE = PAPER["severities_that_peak"]
_EARLY, _LATE = map(span_words, (EARLY, LATE))
_ACCURACY = ("corrupted_accuracy",)
_FORGETTING = VARIABLES["forgetting"]


def _claim(
    id: str,
    figure: str,
    words: str,
    number: str,
    measure: Callable[[xr.Dataset, str], xr.DataArray],
    threshold: float,
    variables: Iterable[str],
    **more: object,
) -> Claim:
    return Claim(
        id=f"A-4.4-{id}",
        paper="A",
        section="4.4",
        figure=figure,
        words=words,
        number=number,
        measure=measure,
        threshold=threshold,
        needs={"variables": tuple(variables), "layer": LAYERS},
        **more,
    )


def _peak_of(quantity: str, layers: Iterable[int]) -> Callable:
    def measure(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        return early_peak(level(curve(ds, self_term, quantity), layers))

    return measure


def _clean(shape: Callable) -> Callable:
    return lambda ds, self_term: shape(ds["corrupted_accuracy"].sel(severity=0, drop=True))


def _severe(ds: xr.Dataset, self_term: str) -> xr.DataArray:
    return least(*(early_peak(ds["corrupted_accuracy"].sel(severity=s, drop=True)) for s in SEVERE))


# --- correlations ---------------------------------------------------------------------------------


def _scan(ds: xr.Dataset, self_term: str, quantities: Iterable[str], **how) -> xr.Dataset:
    from invlib.robustness import correlation_scan

    return correlation_scan(
        ds, quantities=quantities, self_term=self_term, seeds="each", **how
    ).reset_coords(drop=True)


def _of_spread(name: str, **how: object) -> Callable:
    """A measure: what the scan of forgetting says of the paper's hypothesis."""

    def measure(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        scan = _scan(ds, self_term, ["forgetting"], **how)
        return scan[name].sel(hypothesis=SPREAD, drop=True)

    return measure


def _bonferroni(name: str) -> Callable:
    """A measure: a p-value of the paper's hypothesis times the 352 that were tried."""
    tried = PAPER["hypotheses"]["learning_and_forgetting"]

    def measure(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        return (_of_spread(name)(ds, self_term) * tried).clip(max=1)

    return measure


def _above_best(quantity: str) -> Callable:
    """A measure: the correlation of the paper's hypothesis minus the best one of `quantity`."""

    def measure(ds: xr.Dataset, self_term: str) -> xr.DataArray:
        best = abs(_scan(ds, self_term, [quantity])["correlation"]).max("hypothesis")
        return _of_spread("correlation")(ds, self_term) - best

    return measure


def _early_minus_all(ds: xr.Dataset, self_term: str) -> xr.DataArray:
    half = slice(None, int(ds["epoch"][-1]) // 2)
    early, whole = (_of_spread("correlation", epochs=e)(ds, self_term) for e in (half, None))
    return early - whole


def _dynamics() -> Iterable[Claim]:
    for quantity, figure in (("learning", "5a, 11a"), ("forgetting", "5b, 11b")):
        yield _claim(
            f"early-peak-{quantity}",
            figure,
            f"In late layers {quantity} has a peak in early epochs.",
            f"mean {quantity} of layers {_LATE}: highest of the first half of training minus last",
            _peak_of(quantity, LATE),
            RESOLUTION,  # less is no peak
            VARIABLES[quantity],
            unit="STIR",
        )
    yield _claim(
        "early-peak-early-layers-forgetting",
        "5b, 11b",
        "In early layers forgetting has a peak in early epochs.",
        f"mean forgetting of layers {_EARLY}: highest of the first half of training minus last",
        _peak_of("forgetting", EARLY),
        RESOLUTION,
        VARIABLES["forgetting"],
        unit="STIR",
    )
    yield _claim(
        "no-peak-early-layers-learning",
        "5a, 11a",
        "Only learning of the early layers has no peak.",
        f"mean learning of layers {_EARLY}: highest of the first half of training minus last",
        _peak_of("learning", EARLY),
        RESOLUTION,
        VARIABLES["learning"],
        above=False,
        unit="STIR",
    )
    yield _claim(
        "early-peak-cka",
        "12",
        "CKA divergence has a peak in early epochs.",
        f"mean CKA divergence of layers {_LATE}: highest of the first half of training minus last",
        _peak_of("CKA divergence", LATE),
        RESOLUTION,
        VARIABLES["CKA divergence"],
        unit="CKA",
    )
    yield _claim(
        "clean-accuracy-rises",
        "5c, 13",
        "Accuracy on clean test images rises with training.",
        "clean accuracy after the last epoch minus after the first",
        _clean(gain),
        0.0,  # the paper gives no size
        _ACCURACY,
        unit="accuracy",
    )
    yield _claim(
        "clean-accuracy-has-no-early-peak",
        "5c, 13",
        "Accuracy on clean test images ends at its best.",
        "best clean accuracy of any epoch minus the last",
        _clean(loss_since_best),
        0.02,  # two standard errors of an accuracy of 0.9 on 1,000 images
        _ACCURACY,
        above=False,
        unit="accuracy",
    )
    yield _claim(
        "severe-corruptions-peak-early",
        "5c, 13",
        f"Accuracy at severities {span_words(SEVERE)} has a peak in early epochs.",
        "best accuracy of the first half of training minus last, at the severity where it is least",
        _severe,
        0.02,  # as in the claim before
        _ACCURACY,
        unit="accuracy",
    )
    needs = (*_FORGETTING, *_ACCURACY)
    yield _claim(
        "spread-correlates-with-robustness",
        "5, 6",
        "Where forgetting varies much between layers, accuracy on corrupted images is high.",
        "correlation over epochs of the standard deviation of forgetting over layers 2–12 with the "
        "mean accuracy on corrupted images",
        _of_spread("correlation"),
        0.7,  # "strong": half of the variance; the paper's lower value is 0.78
        needs,
        paper_value=PAPER["robustness_correlation_forgetting"],
        unit="correlation",
    )
    yield _claim(
        "spread-without-epoch-0",
        "5, 6",
        "The same without epoch 0, where nothing is forgotten yet (our addition).",
        "that correlation over all epochs but 0",
        _of_spread("correlation", epochs=slice(1, None)),
        0.7,
        needs,
        unit="correlation",
    )
    yield _claim(
        "spread-survives-bonferroni",
        "",
        "That correlation passes the Bonferroni correction for the 352 hypotheses tried.",
        "its p-value times 352",
        _bonferroni("p_value"),
        0.05,  # the usual level
        needs,
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
        "its p-value with the effective number of epochs, times 352",
        _bonferroni("p_value_autocorrelation"),
        0.05,
        needs,
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
            (*needs, *variables),
            paper_value={
                name: round(value - PAPER[fact][name], 3)
                for name, value in PAPER["robustness_correlation_forgetting"].items()
            },
            unit="correlation",
        )
    yield _claim(
        "spread-early-epochs",
        "14",
        "Over early epochs alone that correlation is at least as high.",
        "correlation over the first half of training minus that over all of it",
        _early_minus_all,
        -RESOLUTION,  # "comparable or even higher"
        needs,
        unit="correlation",
    )


# --- several trainings ----------------------------------------------------------------------------


def _by_optimizer(ds: xr.Dataset, self_term: str, word: str) -> xr.DataArray:
    names = [n for n in ds["optimizer"].values.tolist() if n.split(":")[0] == word]
    if not names:
        return _of_spread("correlation")(ds.isel(optimizer=[0]), self_term) * float("nan")
    return _of_spread("correlation")(ds.sel(optimizer=names), self_term)


def _robustness() -> Iterable[Claim]:
    needs = (*_FORGETTING, *_ACCURACY)
    yield _claim(
        "sgd-trainings-agree",
        "6",
        "The spread of forgetting goes with robustness in every training with SGD.",
        "smallest correlation of any SGD training",
        lambda ds, term: _by_optimizer(ds, term, "sgd").min("optimizer", skipna=False),
        0.5,  # "similar trends": less would be a weak one
        needs,
        unit="correlation",
    )
    yield _claim(
        "adam-trainings-do-not",
        "15",
        "With Adam there is no clear trend.",
        "largest correlation of any Adam training",
        lambda ds, term: _by_optimizer(ds, term, "adam").max("optimizer", skipna=False),
        0.5,  # what counts as a trend in the claim before
        needs,
        above=False,
        unit="correlation",
    )


DYNAMICS = tuple(_dynamics())
ROBUSTNESS = tuple(_robustness())
