"""What to expect of each "Try it" item: sentences with the numbers of the results.

An item either asks about results that are there, or it has a command of ``python -m papers run``.
Its answer is then a `Trial`: the numbers of that run beside those of the plain one. `make lessons`
does these runs at the laptop scale and keeps their numbers, because a page cannot wait for them.
"""

import html
import json
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from IPython.display import HTML

from invlib.metrics.invariance import (
    cka_divergence,
    diagonal,
    forgetting,
    invariance_flow,
    learning,
)
from invlib.paths import project_root, results_root
from invlib.results.netcdf import open_results
from papers.claims.correlation import correlate
from papers.merlin2023.robustness_scan import (
    correlation_scan,
    forgetting_spread,
    mean_corrupted_accuracy,
)
from papers.section import REFERENCE_SCALE

__all__ = ["ANSWERS", "KEPT", "Trial", "answers", "commands", "kept"]

Numbers = Mapping[str, object]
Shown = Mapping[str, xr.Dataset]
KEPT = results_root("laptop") / "tried.json"
ALPHA = 0.05  # what is usually called significant
SETTLED = 0.02  # a curve within this of its last value has come to rest


class Trial(NamedTuple):
    """An item with a command: what is measured of a run, and what is said of two runs."""

    measure: Callable[[xr.Dataset], Numbers]
    say: Callable[[Numbers, Numbers], str]  # of the plain run, and of the one with the command


def answers(name: str, shown: Shown) -> HTML:
    """Return what to expect of each "Try it" item of section `name`, folded.

    Items about results are answered from the last of `shown`, the reference results if there are
    any. What a command changes was measured at the laptop scale.
    """
    title, ds = list(shown.items())[-1]
    trials = iter(commands(name))
    items = []
    for item in ANSWERS[name]:
        if isinstance(item, Trial):
            one = kept().get(next(trials))
            text = item.say(one["plain"], one["tried"]) if one else "Nobody has tried it yet."
            where = "laptop scale"
        else:
            text, where = item(ds), title
        items.append(f"<li>{html.escape(text)} <em>({html.escape(where)})</em></li>")
    return HTML(
        "<details class='lesson-answers'><summary>What to expect</summary>"
        f"<ol>{''.join(items)}</ol></details>"
    )


def commands(name: str) -> list[str]:
    """Return the commands of the "Try it" items of section `name`, in order, from its notebook.

    Examples
    --------
    >>> commands("accuracy")
    ['accuracy datasets=digits,shapes']
    """
    text = (project_root() / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
    cells = ["".join(cell["source"]) for cell in json.loads(text)["cells"]]
    (asked,) = [cell for cell in cells if cell.startswith("## Try it")]
    return re.findall(r"`python -m papers run ([^`]+)`", asked)


def kept() -> dict[str, dict[str, Numbers]]:
    """Return the numbers of the runs with commands, and of the plain ones, by command."""
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}


# ── Words ─────────────────────────────────────────────────────────────────────────────────────────


def _number(value: float, digits: int = 2) -> str:
    """Return a number with a real minus sign, and without one before zero.

    Examples
    --------
    >>> _number(-0.001), _number(-0.5)
    ('0.00', '−0.50')
    """
    text = f"{float(value):.{digits}f}"
    return (text[1:] if float(text) == 0 and text[0] == "-" else text).replace("-", "−")


def _moves(before: float, after: float) -> str:
    """Return what a number does between two runs, in words.

    Examples
    --------
    >>> _moves(0.2, 0.5), _moves(0.2, 0.2)
    ('rises from 0.20 to 0.50', 'stays at 0.20')
    """
    first, second = _number(before), _number(after)
    if first == second:
        return f"stays at {first}"
    return f"{'rises' if after > before else 'falls'} from {first} to {second}"


def _list(words: list[object]) -> str:
    """Return words as a list.

    Examples
    --------
    >>> _list([]), _list([1]), _list([1, 2, 3])
    ('none', '1', '1, 2 and 3')
    """
    said = list(map(str, words))
    if len(said) < 2:
        return said[0] if said else "none"
    return f"{', '.join(said[:-1])} and {said[-1]}"


def _each(values: xr.DataArray) -> str:
    """Return the label and the value of each entry of a 1-d array, without those not measured."""
    (dim,) = values.dims
    there = values.dropna(dim)
    return _list([f"{_number(one)} ({one[dim].item()})" for one in there])


def _mean(values: xr.DataArray, *dims: str, estimator: str = "debiased") -> xr.DataArray:
    """Return the mean over everything but `dims`."""
    if "estimator" in values.dims and "estimator" not in dims:
        values = values.sel(estimator=estimator)
    return values.mean([dim for dim in values.dims if dim not in dims])


def _top(values: xr.DataArray) -> tuple[object, float]:
    """Return label and value of the largest entry of a 1-d array."""
    at = int(np.nanargmax(values.values))
    return values[values.dims[0]].values[at].item(), float(values.values[at])


def _reference(name: str) -> xr.Dataset:
    return open_results(results_root(REFERENCE_SCALE) / f"{name}.nc")


# ── Paper A ───────────────────────────────────────────────────────────────────────────────────────


def _distances(ds: xr.Dataset) -> Numbers:
    """Return distance left by layer, and how far the pixels of X′ are from X in the last one."""
    off = abs(ds["example_inverted_pt"] / 255.0 - ds["example_images"] / 255.0)
    return {
        "distance": _mean(ds["inversion_loss_pt"], "ref_layer").values.tolist(),
        "pixels": _mean(off, "ref_layer").values.tolist(),
    }


def _other_recipe(plain: Numbers, tried: Numbers) -> str:
    ratio = np.array(tried["distance"]) / plain["distance"]
    return (
        f"The distance left {_moves(plain['distance'][0], tried['distance'][0])} at layer 0 and "
        f"{_moves(plain['distance'][-1], tried['distance'][-1])} at layer {ratio.size - 1}. It is "
        f"larger at {int((ratio > 1).sum())} of {ratio.size} layers; the factor is largest at "
        f"layer {int(ratio.argmax())} ({ratio.max():.1f}) and smallest at layer "
        f"{int(ratio.argmin())} ({ratio.min():.1f})."
    )


def _more_steps(plain: Numbers, tried: Numbers) -> str:
    return (
        f"The distance left at the last layer "
        f"{_moves(plain['distance'][-1], tried['distance'][-1])}"
        f". The mean difference between the pixels of X′ and of X "
        f"{_moves(plain['pixels'][-1], tried['pixels'][-1])}, of 1. Nothing asks X′ to look like X."
    )


def _curves(ds: xr.Dataset) -> Numbers:
    """Return learning and forgetting by estimator, task and layer, and the range over seeds."""
    measures = {"learning": learning(ds), "forgetting": forgetting(ds)}
    numbers: dict[str, object] = {}
    for estimator in ("biased", "debiased"):
        for name, values in measures.items():
            values = values.sel(estimator=estimator).isel(dataset=0)
            mean = values.mean("seed").transpose("task", "layer")
            numbers[f"{name}, {estimator}"] = mean.values.tolist()
            spread = values.max("seed") - values.min("seed")
            numbers[f"range of {name}, {estimator}"] = float(spread.mean())
    return numbers | {"tasks": ds["task"].values.tolist()}


def _known_images(plain: Numbers, tried: Numbers) -> str:
    said = []
    for k, task in enumerate(tried["tasks"]):
        here = np.array(tried["learning, debiased"][k])
        there = np.array(plain["learning, debiased"][k])
        said.append(
            f"{task} learns least at layer {here.argmin()} ({_number(here.min())}) and most at "
            f"layer {here.argmax()}, {_number(here.max())}, where on digits it is at most "
            f"{_number(there.max())}"
        )
    return f"Here {'; '.join(said)}."


def _fewer_images(plain: Numbers, tried: Numbers) -> str:
    moved, spread = {}, {}
    for estimator in ("biased", "debiased"):
        names = [f"{name}, {estimator}" for name in ("learning", "forgetting")]
        parts = [np.subtract(tried[name], plain[name]) for name in names]
        moved[estimator] = float(np.abs(parts).mean())
        spread[estimator] = [np.mean([n[f"range of {x}"] for x in names]) for n in (plain, tried)]
    most = max(moved, key=moved.get)
    return (
        f"The {most} ones: the curves move by {_number(moved['biased'], 3)} in the mean (biased) "
        f"and by {_number(moved['debiased'], 3)} (debiased). The range over the seeds "
        f"{_moves(*spread['biased'])} (biased) and {_moves(*spread['debiased'])} (debiased)."
    )


def _self_term(ds: xr.Dataset) -> str:
    said = []
    for measure in (learning, forgetting):
        extra = measure(ds, self_term="one") - measure(ds)
        where = {e: _top(_mean(extra, "layer", estimator=e)) for e in ("biased", "debiased")}
        said += [
            f"{measure.__name__} by up to {_number(value)} at layer {layer} ({estimator})"
            for estimator, (layer, value) in where.items()
        ]
    return f"It adds what inversion missed: {_list(said)}."


def _starts(ds: xr.Dataset) -> str:
    ds = ds.isel(dataset=0)
    learnt, forgotten = (_mean(m(ds).isel(layer=-1), "pretraining") for m in (learning, forgetting))
    return (
        f"Learning in the last layer is {_each(learnt)}: least from {_top(-learnt)[0]}. "
        f"Forgetting there is {_each(forgotten)}: most from {_top(forgotten)[0]}."
    )


def _start_and_accuracy(ds: xr.Dataset) -> str:
    ds = ds.isel(dataset=0)
    accuracy, learnt = ds["test_accuracy"], _mean(learning(ds), "pretraining")
    best, least = _top(accuracy)[0], _top(-learnt)[0]
    same = "the same start" if best == least else "another start"
    return (
        f"{best} ends highest, of {_each(accuracy)}. In the mean over the layers {least} "
        f"learns least, {same}: {_each(learnt)}."
    )


def _flows(ds: xr.Dataset, **at: object) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the flow matrix of the first task, and that of the pretrained model with itself."""
    ds = ds.isel({dim: 0 for dim in ("dataset", "recipe") if dim in ds.dims})
    order = ("estimator", "ref_layer", "layer")
    trained = invariance_flow(ds).isel(task=0).mean("seed").transpose(*order)
    return trained, invariance_flow(ds, target="pt").mean("seed").transpose(*order)


def _nothing(ds: xr.Dataset) -> str:
    trained, nothing = (one.sel(estimator="debiased") for one in _flows(ds))
    below = np.tril_indices(trained.sizes["layer"], -1)
    a, b = trained.values[below], nothing.values[below]
    return (
        f"It is not zero: its entries have a mean size of {_number(abs(b).mean())}, those of the "
        f"fine-tuned model {_number(abs(a).mean())}, and {(np.sign(a) == np.sign(b)).mean():.0%} "
        f"have the same sign in both. The difference of the two has a mean size of "
        f"{_number(abs(a - b).mean())}. Only this part is about fine-tuning."
    )


def _swapped(ds: xr.Dataset) -> str:
    trained, _ = _flows(ds)
    swapped = trained.rename(ref_layer="layer", layer="ref_layer").transpose(*trained.dims)
    return (
        "Only the sign: the largest entry of the matrix plus the swapped one is "
        f"{_number(abs(trained + swapped).max())}. The matrix is antisymmetric, so one "
        "triangle holds all the evidence there is."
    )


def _two_estimators(ds: xr.Dataset) -> str:
    trained, _ = _flows(ds)
    below = np.tril_indices(trained.sizes["layer"], -1)
    one, other = (trained.sel(estimator=e).values[below] for e in ("biased", "debiased"))
    return (
        f"{(np.sign(one) == np.sign(other)).mean():.0%} of the entries below the diagonal have the "
        f"same sign under both. Their mean size is {_number(abs(one).mean())} (biased) and "
        f"{_number(abs(other).mean())} (debiased): the biased estimator shrinks "
        f"{'them' if abs(one).mean() < abs(other).mean() else 'nothing here'}."
    )


def _last_epoch(ds: xr.Dataset) -> Numbers:
    last = ds.isel(dataset=0, epoch=-1)
    return {
        "forgetting": _mean(forgetting(last), "layer").values.tolist(),
        "learning": _mean(learning(last), "layer").values.tolist(),
        "accuracy": float(last["test_accuracy"]),
    }


def _slow(plain: Numbers, tried: Numbers) -> str:
    here = np.array(tried["forgetting"])
    return (
        f"Layer {here.argmax()} has forgotten most, {_number(here.max())}; the mean over the "
        "layers "
        f"{_moves(np.mean(plain['forgetting']), here.mean())}, and that of learning "
        f"{_moves(np.mean(plain['learning']), np.mean(tried['learning']))}. The accuracy "
        f"{_moves(plain['accuracy'], tried['accuracy'])}."
    )


def _settled(ds: xr.Dataset) -> str:
    ds = ds.isel(dataset=0)
    change = _mean(forgetting(ds), "layer", "epoch")
    third = ds["epoch"].values[np.argmin(abs(ds["epoch"].values - ds["epoch"].values[-1] / 3))]
    left = abs(change.sel(epoch=third) - change.isel(epoch=-1))
    layers = left["layer"].values[left.values < SETTLED].tolist()
    return (
        f"After epoch {third} forgetting is within {SETTLED} of its last value at layers "
        f"{_list(layers)}. It is furthest from it at layer {_top(left)[0]}, by "
        f"{_number(_top(left)[1])}."
    )


def _peak(ds: xr.Dataset) -> str:
    said = []
    for measure in (learning, forgetting):
        course = _mean(measure(ds.isel(dataset=0)), "epoch")
        epoch, most = _top(course)
        said.append(
            f"{measure.__name__} is highest after epoch {epoch}, {_number(most)}, and "
            f"{_number(course[-1])} after the last"
        )
    return "In the mean over the layers " + ", and ".join(said) + "."


def _robust(ds: xr.Dataset) -> str:
    last = ds.isel(epoch=-1)
    spread = forgetting_spread(last)
    spread = _mean(spread, "optimizer")
    corrupted = mean_corrupted_accuracy(last)
    widest, best = _top(spread)[0], _top(corrupted)[0]
    same = "It is" if widest == best else "It is not"
    return (
        f"The spread is largest for {widest}, {_number(_top(spread)[1])}. {same} the most robust: "
        f"that is {best}, of {_each(corrupted)}."
    )


def _scan(_: xr.Dataset) -> str:
    ds, said = _reference("dynamics").isel(dataset=0), []
    for words, epochs in {"with epoch 0": slice(None), "without it": slice(1, None)}.items():
        scan = correlation_scan(ds, epochs=epochs).sel(estimator="debiased")
        scan = scan.sel(hypothesis=scan["n_hypotheses"] == 352)
        naive, other = (int((scan[p] < ALPHA).sum()) for p in ("p_value", _AUTO))
        said.append(f"{naive} of the 352 {words}, but {other} if autocorrelation is allowed for")
    return f"{'; '.join(said)}. With {ALPHA:.0%} chance alone would give {352 * ALPHA:.0f}."


_AUTO = "p_value_autocorrelation"


def _shuffled(_: xr.Dataset) -> str:
    ds = _reference("dynamics").isel(dataset=0)
    x = _mean(forgetting(ds), "epoch")
    y = mean_corrupted_accuracy(ds)
    order = np.random.default_rng(0).permutation(x.sizes["epoch"])
    both = [correlate(a, b) for a, b in ((x, y), (_shuffle(x, order), _shuffle(y, order)))]
    naive = [f"{float(one['p_value']):.2g}" for one in both]
    auto = [f"{float(one[_AUTO]):.2g}" for one in both]
    return (
        f"Pearson's, which does not know the order: {naive[0]} before and {naive[1]} after one "
        f"shuffle of both series. The other goes from {auto[0]} to {auto[1]}."
    )


def _shuffle(values: xr.DataArray, order: np.ndarray) -> xr.DataArray:
    return values.isel(epoch=order).assign_coords(epoch=values["epoch"].values)


def _accuracies(ds: xr.Dataset) -> Numbers:
    table = ds["test_accuracy"].to_pandas()
    return {str(name): {str(k): float(v) for k, v in row.items()} for name, row in table.iterrows()}


def _rows(plain: Numbers, tried: Numbers) -> str:
    said = []
    for dataset, row in tried.items():
        there = {start: value for start, value in row.items() if not np.isnan(value)}
        words = [f"{_number(value)} from {start}" for start, value in there.items()]
        said.append(f"{dataset}: {_list(words)}")
    return f"Accuracies are {'; '.join(said)}. The model was pretrained on those very shapes."


def _gap(ds: xr.Dataset) -> str:
    accuracy = ds["test_accuracy"].isel(dataset=0)
    best, most = _top(accuracy)
    scratch = float(accuracy.sel(pretraining="none"))
    return (
        f"{_number(most)} from {best} and {_number(scratch)} from scratch: "
        f"{_number(100 * (most - scratch), 0)} points at this budget."
    )


# ── Papers B and C ────────────────────────────────────────────────────────────────────────────────


def _memorised(ds: xr.Dataset) -> Numbers:
    """Return by layer how far training on random labels takes the network from its start."""
    ds = ds.isel(dataset=0, n_train=0)
    change = 1 - _mean(ds["cka_reference_memorised"], "layer")
    return {"n": int(ds["n_train"]), "change": change.values.tolist()}


def _more_epochs(plain: Numbers, tried: Numbers) -> str:
    before, after = np.array(plain["change"]), np.array(tried["change"])
    return (
        f"The change of the last layer {_moves(before[-1], after[-1])}, and the mean over the "
        f"layers {_moves(before.mean(), after.mean())} (1 − CKA to the start, {tried['n']} "
        "images). "
        f"It is larger at {int((after > before).sum())} of {after.size} layers: the number of "
        "steps "
        f"{'matters' if (after > before).all() else 'does not explain every layer'}."
    )


def _ceiling(ds: xr.Dataset) -> str:
    ds = ds.isel(dataset=0, epoch=-1)
    d = int(ds["randomness"][1])
    measured = float(ds["test_accuracy"].sel(randomness=d).mean())
    return (
        f"Anything well above 0.10, what guessing gives for ten classes. Nobody can do better than "
        f"1/(d + 1) = {_number(1 / (d + 1))} at d = {d}; measured is {_number(measured)}."
    )


def _apart(ds: xr.Dataset) -> Numbers:
    """Return how far apart both references are, by layer: the mean difference of CKA to them."""
    cka = _mean(ds["cka_reference"].isel(dataset=0).sel(task="same domain"), "reference", "layer")
    gap = abs(cka.sel(reference="initial") - cka.sel(reference="pretrained"))
    return {
        "gap": gap.values.tolist(),
        "pretrained": cka.sel(reference="pretrained").values.tolist(),
    }


def _little_pretraining(plain: Numbers, tried: Numbers) -> str:
    gaps = [np.mean(one["gap"]) for one in (plain, tried)]
    left = [1 - np.mean(one["pretrained"]) for one in (plain, tried)]
    less = "less" if left[1] < left[0] else "no less"
    return (
        f"CKA to the initial and to the pretrained network lie apart by a mean that "
        f"{_moves(*gaps)}. What changes from the pretrained network {_moves(*left)}: there is "
        f"{less} to unlearn."
    )


def _shift(ds: xr.Dataset) -> str:
    cka = ds["cka_reference"].isel(dataset=0, randomness=0).sel(reference="pretrained")
    change = 1 - _mean(cka, "task", "layer")
    apart = change.sel(task="shifted labels") - change.sel(task="same domain")
    layer = int(abs(apart.values).argmax())
    return (
        f"The layers have moved {_number(change.sel(task='shifted labels').mean())} from the "
        f"pretrained network in the mean, and {_number(change.sel(task='same domain').mean())} "
        f"with the old labels. The two differ most at layer {apart['layer'].values[layer]}, by "
        f"{_number(apart[layer])}. A shift only renames the classes, so the head alone could do it."
    )


def _loss(ds: xr.Dataset) -> xr.DataArray:
    """Return what accuracy on the plain images loses during the task with squares, by network."""
    course = ds["test_accuracy"].sel(task="squares").mean("train_seed")
    before = ds["test_accuracy"].sel(task="original").mean("train_seed").isel(epoch=-1)
    return before - course.isel(epoch=-1)


def _eroded(ds: xr.Dataset) -> Numbers:
    """Return accuracy before and after the squares, of the network trained from scratch."""
    ds = ds.isel(model=0).mean("train_seed")
    dataset = json.loads(ds.attrs.get("parameters", "{}")).get("erosion_dataset")
    ds = ds.sel(dataset=dataset) if dataset in ds["dataset"].values else ds.isel(dataset=0)
    before, after = (
        ds["test_accuracy"].sel(task=t).isel(epoch=-1) for t in ("original", "squares")
    )
    return {"before": float(before), "after": float(after)}


def _easy_digits(plain: Numbers, tried: Numbers) -> str:
    lost = [one["before"] - one["after"] for one in (plain, tried)]
    return (
        f"On street digits accuracy {_moves(plain['before'], plain['after'])}, on scanned "
        "digits it "
        f"{_moves(tried['before'], tried['after'])}: {'less' if lost[1] < lost[0] else 'more'} is "
        "lost. Where the first task is right on nearly every image, hardly any gradient is "
        "left for "
        "the squares to use."
    )


def _worst_eroded(ds: xr.Dataset) -> str:
    lost = _loss(ds).stack(network=("dataset", "model")).dropna("network")
    at = lost["network"].values[int(lost.values.argmax())]
    said = [f"{_number(one)} ({one['model'].item()} on {one['dataset'].item()})" for one in lost]
    return f"{at[1]} on {at[0]}. The accuracy that is lost: {_list(said)}."


def _relearnt(ds: xr.Dataset) -> str:
    last = ds["test_accuracy"].isel(dataset=0, epoch=-1).mean("train_seed")
    first, again = (float(last.sel(task=task)) for task in ("original", "original again"))
    return (
        f"It ends at {_number(again)}, and learning from scratch at {_number(first)}: "
        f"{'it does not catch up' if again < first - 0.005 else 'it catches up'} in the same "
        "number "
        "of epochs."
    )


def _bend(ds: xr.Dataset) -> str:
    ratio = ds["ratio_accuracy"].isel(dataset=0).mean("train_seed")
    steps = ratio.values[:-1] - ratio.values[1:]
    shares, k = ratio["ratio"].values, int(steps.argmax())
    return (
        f"Between {shares[k]:.0%} and {shares[k + 1]:.0%} of images with squares: accuracy falls "
        f"from {_number(ratio[k])} to {_number(ratio[k + 1])} there, of {_number(ratio[0])} to "
        f"{_number(ratio[-1])} in all."
    )


# ── Across, the engine ────────────────────────────────────────────────────────────────────────────


def _lens_early(ds: xr.Dataset) -> str:
    half = ds["place"].max() / 2
    more = _mean(ds["forgetting"] - ds["learning"], "case", "place")
    early = more.where(more["place"] <= half, drop=True).mean("place")
    case, value = _top(early)
    learnt = float(_mean(ds["learning"].sel(case=case).where(ds["place"] <= half)))
    none = "None has it alone" if learnt > SETTLED else "This one has"
    return (
        f"{case} comes nearest: in its first half forgetting is above learning by "
        f"{_number(value)} in the mean, and learning is {_number(learnt)}. {none}. Such a layer "
        "newly reacts to something that it used to ignore."
    )


def _lens_self(ds: xr.Dataset) -> str:
    lowest = _mean(ds["self_term"], "case", "place").min("place")
    case = lowest["case"].values[int(lowest.values.argmin())]
    place = _mean(ds["self_term"].sel(case=case), "place")
    return (
        f"{case}, at place {int(place.values.argmin())}: {_number(place.min())}. The lowest of "
        "each: "
        f"{_each(lowest)}. Below 1 is what inversion missed."
    )


def _which_recipe(ds: xr.Dataset) -> str:
    best = ds["race_best"]
    fast = best.sel(recipe="fast:50")
    other = [recipe for recipe in best["recipe"].values if recipe.startswith("ngd")][-1]
    ngd = best.sel(recipe=other)
    nearer = int((fast < ngd).sum())
    return (
        f"fast:50 comes nearer than {other} at {nearer} of {fast.size} layers. At the last layer "
        f"they leave {_number(fast[-1], 3)} and {_number(ngd[-1], 3)}."
    )


def _start_at_images(ds: xr.Dataset) -> str:
    last = ds.isel(race_layer=-1)
    noise, other = (last.sel(recipe=recipe) for recipe in ("fast:50", "fast:50:images"))
    pixels = abs(noise["race_images"] / 255.0 - other["race_images"] / 255.0)
    return (
        f"In the last layer the two pictures differ by {_number(pixels.mean())} of 1 in the mean "
        f"pixel. The distances left are {_number(noise['race_best'])} and "
        f"{_number(other['race_best'])}. What the layer does not see keeps what it started from."
    )


def _walk_on(ds: xr.Dataset) -> str:
    ds = ds.sel(recipe=[r for r in ds["recipe"].values if r.startswith("anytime")][-1])
    error = abs(ds["measured"] - ds["truth"]).sel(similarity="debiased")
    ends = [_mean(error, "built_snapshot").values[k] for k in (1, -1)]
    left = [_mean(ds["distance"], "built_snapshot").values[k] for k in (1, -1)]
    steps = ds["built_snapshot"].values[[1, -1]]
    return (
        f"From step {steps[0]} to {steps[1]} of {ds['recipe'].values} the distance "
        f"{_moves(*left)}, and the mean error of STIR {_moves(*ends)} (debiased)."
    )


def _kind_to_adam(ds: xr.Dataset) -> str:
    ds = ds.isel(built_snapshot=-1).sel(similarity="debiased", built_layer="linear")
    adam = [r for r in ds["recipe"].values if r.startswith("anytime") and r.endswith("images")][-1]
    error = _mean(abs(ds["measured"] - ds["truth"]).sel(recipe=adam), "construction")
    return (
        f"{_top(-error)[0]}. The mean error of {adam} in the linear layer: {_each(error)}. Adam "
        "scales pixels one by one, which does no harm where the seen ones have like gradients."
    )


def _tokens(_: xr.Dataset) -> str:
    width = 768  # of ViT-B
    patches = {f"ViT-B/{patch}": (224 // patch) ** 2 + 1 for patch in (32, 16)}
    had = _list([f"{name} has {n}" for name, n in patches.items()])
    return (
        f"24 d² t = 4 t² d gives t = 6 d, which is {6 * width:,} for a width of {width}; {had}. Up "
        "to there, products decide."
    )


def _shared_work(ds: xr.Dataset) -> str:
    passes = ds["block_passes"]
    most, ours = float(passes.max()), float(passes.sel(way="ours"))
    layers = ds.sizes["layer"]
    return (
        f"It goes towards 1: with one layer there is nothing to share. With all {layers}, the most "
        f"wasteful way passes {most / ours:.0f} times as many blocks as ours."
    )


def _speedups(ds: xr.Dataset) -> str:
    speedup = ds["speedup"].sel(baseline="naive truncated").mean("round")
    a, b = speedup.values[[0, -1]]
    n = ds["images"].values[[0, -1]]
    return (
        f"Against the naive loop ours is {a:.1f} times as fast with {n[0]} images and {b:.1f} "
        "times "
        f"with {n[1]}: the naive loop {'catches up' if b < a else 'falls back'}."
    )


def _untrained(ds: xr.Dataset) -> Numbers:
    return {
        "forgetting": _mean(forgetting(ds), "layer").values.tolist(),
        "self": _mean(diagonal(ds, "stir_pt_pt"), "layer").values.tolist(),
    }


def _nothing_forgotten(plain: Numbers, tried: Numbers) -> str:
    most = [max(one["forgetting"]) for one in (plain, tried)]
    return (
        f"Nothing was learnt, so nothing can be forgotten; yet forgetting reaches "
        f"{_number(most[1])}, where the fine-tuned model of this page has {_number(most[0])}. The "
        "word is right for a model and its own fine-tuning alone."
    )


def _do_not_report(ds: xr.Dataset) -> str:
    gone = _mean(forgetting(ds), "layer")
    divergence = _mean(cka_divergence(ds), "layer")
    left = _mean(ds["inversion_loss_pt"], "ref_layer")
    return (
        f"Forgetting is largest at layer {_top(gone)[0]}, {_number(_top(gone)[1])}, with a "
        "distance "
        f"of {_number(left.sel(ref_layer=_top(gone)[0]))} left; CKA divergence at layer "
        f"{_top(divergence)[0]}. The larger the distance, the more of it may be inversion."
    )


def _turned(ds: xr.Dataset) -> str:
    verdict = ds["verdict"]
    ours, biased, paper = (verdict.sel(estimator=e, self_term=s) for e, s in _WAYS)
    turned = (ours == "not reproduced") & (paper == "reproduced")
    by_estimator = int((turned & (biased == "reproduced")).sum())
    count = int(turned.sum())
    if not count:
        return "In this run there is none."
    one = ds["claim"].values[turned.values][0]
    return (
        f"There are {count}, such as {one}. {by_estimator} are reproduced with the biased "
        "estimator "
        f"at the measured self term already, so the estimator turned them; {count - by_estimator} "
        "hang on the self term too."
    )


_WAYS = (("debiased", "measured"), ("biased", "measured"), ("biased", "one"))


def _undecided(ds: xr.Dataset) -> str:
    ds = ds.sel(estimator="debiased", self_term="measured")
    value, half = ds["value_mean"], (ds["images_high"] - ds["images_low"]) / 2
    away = abs(value - ds["threshold"])
    ratio = (half / away).where((away > 0) & np.isfinite(half))
    if not bool(ratio.notnull().any()):
        return "No claim here has an interval over images."
    at = int(ratio.fillna(0).values.argmax())
    return (
        f"{ds['claim'].values[at]}: {_number(value[at], 3)} ± {_number(half[at], 3)}, and "
        f"{_number(away[at], 3)} from its threshold. Intervals shrink with the square root of the "
        f"number of images, so it takes {max(1, float(ratio[at]) ** 2):,.0f} times as many."
    )


ANSWERS: dict[str, tuple[Trial | Callable[[xr.Dataset], str], ...]] = {
    "what_is_an_inversion": (Trial(_distances, _other_recipe), Trial(_distances, _more_steps)),
    "finetuning_task": (Trial(_curves, _known_images), Trial(_curves, _fewer_images), _self_term),
    "pretraining_dataset": (_starts, _start_and_accuracy),
    "compression_expansion": (_nothing, _swapped, _two_estimators),
    "dynamics": (Trial(_last_epoch, _slow), _peak, _settled),
    "robustness": (_robust, _scan, _shuffled),
    "accuracy": (Trial(_accuracies, _rows), _gap),
    "learning_from_random_labels": (Trial(_memorised, _more_epochs), _ceiling),
    "unlearning": (Trial(_apart, _little_pretraining), _shift),
    "feature_erosion": (Trial(_eroded, _easy_digits), _worst_eroded),
    "collapse_and_plasticity": (_relearnt, _bend),
    "one_lens_on_three_papers": (_lens_early, _lens_self),
    "your_models": (Trial(_untrained, _nothing_forgotten), _do_not_report),
    "claims_ledger": (_turned, _undecided),
    "how_inverted": (_which_recipe, _start_at_images),
    "known_invariances": (_walk_on, _kind_to_adam),
    "what_it_costs": (_tokens, _shared_work, _speedups),
}
