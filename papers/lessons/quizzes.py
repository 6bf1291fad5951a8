"""Quizzes: a question of a page, its options with feedback, and the right one from the results.

`book/_static/quiz.js` shows the feedback of what was chosen. Without scripts, and in print, the
question stands there with its answer folded.
"""

import html
from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr
from IPython.display import HTML

from invlib.metrics.invariance import forgetting, invariance_flow
from papers.lessons.goerttler_masarczyk import accuracy_lost
from papers.lessons.words import mean, number
from papers.merlin2023.claims.robustness_across_settings import by_setting
from papers.merlin2023.robustness_scan import correlation_scan

__all__ = ["QUIZZES", "quiz"]

Asked = tuple[str, dict[str, str], str]  # question, options with feedback, the right option


def quiz(name: str, shown: Mapping[str, xr.Dataset]) -> HTML:
    """Return the quiz of section `name` on the last of `shown`."""
    title, ds = list(shown.items())[-1]
    question, options, right = QUIZZES[name](ds)
    labels = "".join(
        f"<label><input type='radio' name='quiz-{name}' data-right='{str(option == right).lower()}'"
        f" data-feedback='{html.escape(feedback, quote=True)}'> {html.escape(option)}</label><br>"
        for option, feedback in options.items()
    )
    return HTML(
        f"<fieldset class='book-quiz'><legend>{html.escape(question)} "
        f"<em>({html.escape(title)})</em></legend>{labels}<p role='status'></p>"
        f"<details><summary>Answer</summary>{html.escape(right)}. {html.escape(options[right])}"
        "</details></fieldset>"
    )


def _which(question: str, values: Mapping[object, float], words: str, label: str = "{}") -> Asked:
    """Return a question whose right option has the largest of `values`, each said in `words`."""
    options = {label.format(name): f"{words} {number(value, 3)}." for name, value in values.items()}
    return question, options, label.format(max(values, key=values.get))


def _some(values: xr.DataArray, count: int = 4) -> dict[object, float]:
    """Return up to `count` entries of a 1-d array, evenly spaced, by label."""
    (dim,) = values.dims
    values = values.dropna(dim)
    at = np.unique(np.linspace(0, values.size - 1, count).astype(int))
    return {one[dim].item(): float(one) for one in values.isel({dim: at})}


def _range(share: float, limits: Mapping[str, float]) -> str:
    """Return the first label whose limit is above a share."""
    return next(label for label, top in limits.items() if share < top)


def _deepest(ds: xr.Dataset) -> Asked:
    values = mean(forgetting(ds.isel(dataset=0)).sel(task="reconstruction"), "layer")
    question = "Of these layers, which forgets most in reconstruction?"
    return _which(question, _some(values), "Forgetting there is", "layer {}")


def _twins(ds: xr.Dataset) -> Asked:
    values = mean(forgetting(ds.isel(dataset=0)), "task")
    question = "Of which task do two trainings that were made alike differ more in forgetting?"
    return _which(question, _some(values), "Their mean over the layers is")


def _furthest_start(ds: xr.Dataset) -> Asked:
    values = mean(forgetting(ds.isel(dataset=0)), "pretraining").dropna("pretraining")
    question = "From which start does the network forget most, in the mean over its layers?"
    return _which(question, _some(values), "Forgetting from there is")


def _baseline(ds: xr.Dataset) -> Asked:
    ds = ds.isel({dim: 0 for dim in ("dataset", "recipe") if dim in ds.dims})
    nothing = mean(invariance_flow(ds, target="pt"), "ref_layer", "layer")
    size = float(abs(nothing).mean())
    text = f"The mean size of its entries is {size:.2f}."
    zero, other = "zero everywhere", "not zero"
    right = zero if size < 0.005 else other
    options = {zero: text, other: f"{text} It compares different layers, trained or not."}
    return "Nothing was fine-tuned. What is the flow matrix of a model with itself?", options, right


def _highest_epoch(ds: xr.Dataset) -> Asked:
    values = mean(forgetting(ds.isel(dataset=0)).isel(layer=-1), "epoch")
    question = "After which of these epochs has the last layer forgotten most?"
    return _which(question, _some(values.sel(epoch=slice(1, None))), "It has forgotten", "epoch {}")


def _chance(ds: xr.Dataset) -> Asked:
    scan = correlation_scan(ds.isel(dataset=0), epochs=slice(1, None)).sel(estimator="debiased")
    scan = scan.sel(hypothesis=scan["n_hypotheses"] == scan["n_hypotheses"].max())
    found, tried = int((scan["p_value"] < 0.05).sum()), scan.sizes["hypothesis"]
    words = f"{found} of {tried}. Chance alone would give {0.05 * tried:.0f}."
    limits = {"under 10 %": 0.1, "10 to 50 %": 0.5, "over 50 %": 1.01}
    question = "Without epoch 0, how many aggregates correlate with robustness at p < 0.05?"
    return question, dict.fromkeys(limits, words), _range(found / tried, limits)


def _goes_with_robustness(ds: xr.Dataset) -> Asked:
    ds = by_setting(ds.sel(estimator="debiased"))
    names = {
        "the spread of forgetting over layers": "spread",
        "the mean of forgetting": "forgetting",
        "accuracy on clean images": "clean",
    }
    values = {
        words: abs(float(xr.corr(ds[name], ds["corrupted"]))) for words, name in names.items()
    }
    question = "Over settings, what goes most closely with accuracy on corrupted images?"
    return _which(question, values, "The size of its correlation is")


def _best_start(ds: xr.Dataset) -> Asked:
    values = mean(ds["test_accuracy"].isel(dataset=0), "pretraining").dropna("pretraining")
    question = "Which start ends with the highest test accuracy?"
    return _which(question, _some(values), "Its accuracy is")


def _memory(ds: xr.Dataset) -> Asked:
    random = ds["cka_reference"].isel(dataset=0, randomness=-1)
    question = "With random labels only, which layer moves furthest from its start?"
    return _which(question, _some(1 - mean(random, "layer"), 5), "1 − CKA is", "layer {}")


def _nearer(ds: xr.Dataset) -> Asked:
    cka = ds["cka_reference"].isel(dataset=0, randomness=-1).sel(task="same domain")
    question = "After random labels, to which network is a pretrained one nearer?"
    return _which(question, _some(mean(cka, "reference")), "CKA to it is", "to the {} one")


def _share_lost(ds: xr.Dataset) -> Asked:
    ds = ds.isel(dataset=0, model=0)
    learnt = float(ds["test_accuracy"].sel(task="original").isel(epoch=-1).mean() - ds["chance"])
    share = float(accuracy_lost(ds)) / learnt
    words = f"Of {number(learnt)} above guessing {number(share * learnt)} is lost: {share:.0%}."
    limits = {"less than a third": 1 / 3, "one to two thirds": 2 / 3, "more": np.inf}
    question = "How much of what the first network had learnt do the squares cost?"
    return question, dict.fromkeys(limits, words), _range(share, limits)


def _probe(ds: xr.Dataset) -> Asked:
    after = ds.isel(dataset=0).sel(task="squares")
    probe = after["probe_accuracy"].sel(carrying="original").isel(layer=-1).mean()
    own = after["test_accuracy"].dropna("epoch", how="all").isel(epoch=-1).mean()
    values = {"the network itself": float(own), "a linear probe of its last layer": float(probe)}
    question = "After the squares, what tells the original classes better?"
    return _which(question, values, "Its accuracy is")


QUIZZES: dict[str, Callable[[xr.Dataset], Asked]] = {
    "finetuning_task": _deepest,
    "placebo": _twins,
    "pretraining_dataset": _furthest_start,
    "compression_expansion": _baseline,
    "dynamics": _highest_epoch,
    "robustness": _chance,  # on the results of dynamics
    "robustness_across_settings": _goes_with_robustness,
    "accuracy": _best_start,
    "learning_from_random_labels": _memory,
    "unlearning": _nearer,
    "feature_erosion": _share_lost,
    "collapse_and_plasticity": _probe,
}
