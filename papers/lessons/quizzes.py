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


def _deepest(ds: xr.Dataset) -> Asked:
    values = forgetting(ds.isel(dataset=0)).sel(estimator="debiased").mean("seed")
    values = values.sel(task="reconstruction").dropna("layer")
    some = values.isel(layer=np.linspace(0, values.sizes["layer"] - 1, 4).astype(int))
    said = {int(one["layer"]): f"Forgetting there is {float(one):.2f}." for one in some}
    best = int(some["layer"][int(some.values.argmax())])
    options = {f"layer {layer}": words for layer, words in said.items()}
    return "Of these layers, which forgets most in reconstruction?", options, f"layer {best}"


def _baseline(ds: xr.Dataset) -> Asked:
    ds = ds.isel({dim: 0 for dim in ("dataset", "recipe") if dim in ds.dims})
    nothing = invariance_flow(ds, target="pt").sel(estimator="debiased").mean("seed")
    size = float(abs(nothing).mean())
    text = f"The mean size of its entries is {size:.2f}."
    zero, other = "zero everywhere", "not zero"
    right = zero if size < 0.005 else other
    options = {zero: text, other: f"{text} It compares different layers, trained or not."}
    return "Nothing was fine-tuned. What is the flow matrix of a model with itself?", options, right


def _chance(ds: xr.Dataset) -> Asked:
    scan = correlation_scan(ds.isel(dataset=0), epochs=slice(1, None)).sel(estimator="debiased")
    scan = scan.sel(hypothesis=scan["n_hypotheses"] == scan["n_hypotheses"].max())
    found, tried = int((scan["p_value"] < 0.05).sum()), scan.sizes["hypothesis"]
    words = f"{found} of {tried}. Chance alone would give {0.05 * tried:.0f}."
    limits = {"under 10 %": 0.1, "10 to 50 %": 0.5, "over 50 %": 1.01}
    right = next(label for label, top in limits.items() if found / tried < top)
    question = "Without epoch 0, how many aggregates correlate with robustness at p < 0.05?"
    return question, dict.fromkeys(limits, words), right


QUIZZES: dict[str, Callable[[xr.Dataset], Asked]] = {
    "finetuning_task": _deepest,
    "compression_expansion": _baseline,
    "dynamics": _chance,
}
