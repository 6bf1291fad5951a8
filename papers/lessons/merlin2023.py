"""What to expect of the "Try it" items on the pages of paper A."""

import numpy as np
import xarray as xr

from invlib.metrics.invariance import (
    cka_divergence,
    diagonal,
    forgetting,
    invariance_flow,
    learning,
)
from invlib.paths import results_root
from invlib.results.netcdf import open_results
from papers.claims.correlation import correlate
from papers.lessons.words import Item, Numbers, Trial, each, listed, mean, moves, number, top
from papers.merlin2023.robustness_scan import (
    correlation_scan,
    forgetting_spread,
    mean_corrupted_accuracy,
)
from papers.section import REFERENCE_SCALE

__all__ = ["ITEMS", "by_layer"]

ALPHA = 0.05  # what is usually called significant
SETTLED = 0.02  # a curve within this of its last value has come to rest
AUTO = "p_value_autocorrelation"


def by_layer(ds: xr.Dataset) -> Numbers:
    """Return learning, forgetting and the self term by layer after the last epoch."""
    ds = ds.isel({dim: at for dim, at in (("dataset", 0), ("epoch", -1)) if dim in ds.dims})
    curves = dict(learning=learning(ds), forgetting=forgetting(ds), self=diagonal(ds, "stir_pt_pt"))
    found = {name: mean(curve, "layer").values.tolist() for name, curve in curves.items()}
    accuracy = {"accuracy": float(ds["test_accuracy"].mean())} if "test_accuracy" in ds else {}
    return found | accuracy


def _distances(ds: xr.Dataset) -> Numbers:
    """Return distance left by layer, and how far the pixels of X′ are from X in the last one."""
    off = abs(ds["example_inverted_pt"] / 255.0 - ds["example_images"] / 255.0)
    parts = dict(distance=ds["inversion_loss_pt"], pixels=off)
    return {name: mean(values, "ref_layer").values.tolist() for name, values in parts.items()}


def _other_recipe(plain: Numbers, tried: Numbers) -> str:
    before, after = np.array(plain["distance"]), np.array(tried["distance"])
    ratio = after / before
    return (
        f"The distance left {moves(before[0], after[0])} at layer 0 and "
        f"{moves(before[-1], after[-1])} at layer {ratio.size - 1}. It is larger at "
        f"{int((ratio > 1).sum())} of {ratio.size} layers; the factor is largest at layer "
        f"{ratio.argmax()} ({ratio.max():.1f}) and smallest at layer {ratio.argmin()} "
        f"({ratio.min():.1f})."
    )


def _more_steps(plain: Numbers, tried: Numbers) -> str:
    distance, pixels = (moves(plain[k][-1], tried[k][-1]) for k in ("distance", "pixels"))
    return (
        f"The distance left at the last layer {distance}. The mean difference between the pixels "
        f"of X′ and of X {pixels}, of 1. Nothing asks X′ to look like X."
    )


def _curves(ds: xr.Dataset) -> Numbers:
    """Return learning and forgetting by estimator, task and layer, and the range over seeds."""
    numbers: dict[str, object] = {"tasks": ds["task"].values.tolist()}
    for estimator in ("biased", "debiased"):
        for name, measure in {"learning": learning, "forgetting": forgetting}.items():
            values = measure(ds).sel(estimator=estimator).isel(dataset=0)
            values = mean(values, "seed", "task", "layer").transpose("seed", "task", "layer")
            numbers[f"{name}, {estimator}"] = values.mean("seed").values.tolist()
            numbers[f"range of {name}, {estimator}"] = float(np.ptp(values.values, axis=0).mean())
    return numbers


def _known_images(plain: Numbers, tried: Numbers) -> str:
    said = []
    for task, here, there in zip(
        tried["tasks"], tried["learning, debiased"], plain["learning, debiased"], strict=True
    ):
        said.append(
            f"{task} learns least at layer {np.argmin(here)} ({number(min(here))}) and most at "
            f"layer {np.argmax(here)}, {number(max(here))}, where on digits it is at most "
            f"{number(max(there))}"
        )
    return f"Here {'; '.join(said)}."


def _fewer_images(plain: Numbers, tried: Numbers) -> str:
    moved, spread = {}, {}
    for estimator in ("biased", "debiased"):
        names = [f"{name}, {estimator}" for name in ("learning", "forgetting")]
        moved[estimator] = np.abs([np.subtract(tried[n], plain[n]) for n in names]).mean()
        spread[estimator] = [np.mean([n[f"range of {x}"] for x in names]) for n in (plain, tried)]
    return (
        f"The {max(moved, key=moved.get)} ones: the curves move by {number(moved['biased'], 3)} in "
        f"the mean (biased) and by {number(moved['debiased'], 3)} (debiased). The range over the "
        f"seeds {moves(*spread['biased'])} (biased) and {moves(*spread['debiased'])} (debiased)."
    )


def _self_term(ds: xr.Dataset) -> str:
    said = []
    for measure in (learning, forgetting):
        extra = measure(ds, self_term="one") - measure(ds)
        for estimator in ("biased", "debiased"):
            layer, most = top(mean(extra, "layer", estimator=estimator))
            said.append(
                f"{measure.__name__} by up to {number(most)} at layer {layer} ({estimator})"
            )
    return f"It adds what inversion missed: {listed(said)}."


def _apart(ds: xr.Dataset) -> str:
    ds = ds.isel(dataset=0)
    quantities = {"learning": learning, "forgetting": forgetting, "CKA divergence": cka_divergence}
    values = {name: float(mean(measure(ds))) for name, measure in quantities.items()}
    said = each(xr.DataArray(list(values.values()), {"quantity": list(values)}))
    return f"{max(values, key=values.get)}, in the mean over layers and tasks: {said}."


def _apart_where(ds: xr.Dataset) -> str:
    (layer, most), (moved, _) = (
        top(mean(measure(ds.isel(dataset=0)), "layer")) for measure in (forgetting, cka_divergence)
    )
    return (
        f"At layer {layer}, {number(most)} in the mean over tasks and pairs; CKA divergence is "
        f"largest at layer {moved}. A change after fine-tuning has to be larger to mean anything."
    )


def _starts(ds: xr.Dataset) -> str:
    curves = [measure(ds.isel(dataset=0)) for measure in (learning, forgetting)]
    learnt, forgotten = (mean(curve.isel(layer=-1), "pretraining") for curve in curves)
    return (
        f"Learning in the last layer is {each(learnt)}: least from {top(-learnt)[0]}. "
        f"Forgetting there is {each(forgotten)}: most from {top(forgotten)[0]}."
    )


def _start_and_accuracy(ds: xr.Dataset) -> str:
    ds = ds.isel(dataset=0)
    accuracy, learnt = (mean(one, "pretraining") for one in (ds["test_accuracy"], learning(ds)))
    best, least = top(accuracy)[0], top(-learnt)[0]
    return (
        f"{best} ends highest, of {each(accuracy)}. In the mean over the layers {least} learns "
        f"least, {'the same' if best == least else 'another'} start: {each(learnt)}."
    )


def _below(ds: xr.Dataset, estimator: str = "debiased", **options: str) -> np.ndarray:
    """Return the flow below the diagonal: of the first task or, with target="pt", of none."""
    ds = ds.isel({dim: 0 for dim in ("dataset", "recipe", "task") if dim in ds.dims})
    flow = mean(invariance_flow(ds, **options), "ref_layer", "layer", estimator=estimator)
    flow = flow.transpose("ref_layer", "layer").values
    return flow[np.tril_indices(len(flow), -1)]


def _agree(one: np.ndarray, other: np.ndarray) -> tuple[str, str, str]:
    """Return the mean size of the entries of both matrices, and the share of like signs."""
    sizes = (number(abs(values).mean()) for values in (one, other))
    return *sizes, f"{(np.sign(one) == np.sign(other)).mean():.0%}"


def _nothing(ds: xr.Dataset) -> str:
    trained, nothing = _below(ds), _below(ds, target="pt")
    size, of_nothing, same = _agree(trained, nothing)
    return (
        f"It is not zero: its entries have a mean size of {of_nothing}, those of the fine-tuned "
        f"model {size}, and {same} have the same sign in both. The difference of the two has a "
        f"mean size of {number(abs(trained - nothing).mean())}. Only this part is about "
        "fine-tuning."
    )


def _swapped(ds: xr.Dataset) -> str:
    ds = ds.isel({dim: 0 for dim in ("dataset", "recipe", "task") if dim in ds.dims})
    flow = invariance_flow(ds)
    swapped = flow.rename(ref_layer="layer", layer="ref_layer").transpose(*flow.dims)
    return (
        "Only the sign: the largest entry of the matrix plus the swapped one is "
        f"{number(abs(flow + swapped.values).max())}. The matrix is antisymmetric, so one triangle "
        "holds all the evidence there is."
    )


def _two_estimators(ds: xr.Dataset) -> str:
    biased, debiased, same = _agree(_below(ds, "biased"), _below(ds))
    return (
        f"{same} of the entries below the diagonal have the same sign under both. Their mean size "
        f"is {biased} (biased) and {debiased} (debiased): the biased estimator shrinks "
        f"{'them' if biased < debiased else 'nothing here'}."
    )


def _slow(plain: Numbers, tried: Numbers) -> str:
    here = np.array(tried["forgetting"])
    forgot, learnt = (
        moves(np.mean(plain[k]), np.mean(tried[k])) for k in ("forgetting", "learning")
    )
    return (
        f"Layer {here.argmax()} has forgotten most, {number(here.max())}; the mean over the layers "
        f"{forgot}, and that of learning {learnt}. The accuracy "
        f"{moves(plain['accuracy'], tried['accuracy'])}."
    )


def _peak(ds: xr.Dataset) -> str:
    said = []
    for measure in (learning, forgetting):
        course = mean(measure(ds.isel(dataset=0)), "epoch")
        epoch, most = top(course)
        said.append(
            f"{measure.__name__} is highest after epoch {epoch}, {number(most)}, and "
            f"{number(course[-1])} after the last"
        )
    return f"In the mean over the layers {', and '.join(said)}."


def _settled(ds: xr.Dataset) -> str:
    ds = ds.isel(dataset=0)
    change = mean(forgetting(ds), "layer", "epoch")
    third = ds["epoch"].values[np.argmin(abs(ds["epoch"].values - ds["epoch"].values[-1] / 3))]
    left = abs(change.sel(epoch=third) - change.isel(epoch=-1))
    layers = left["layer"].values[left.values < SETTLED].tolist()
    furthest, by = top(left)
    return (
        f"After epoch {third} forgetting is within {SETTLED} of its last value at layers "
        f"{listed(layers)}. It is furthest from it at layer {furthest}, by {number(by)}."
    )


def _robust(ds: xr.Dataset) -> str:
    last = ds.isel(epoch=-1)
    spread = mean(forgetting_spread(last), "optimizer")
    corrupted = mean_corrupted_accuracy(last, seeds="mean")
    (widest, by), (best, _) = top(spread), top(corrupted)
    return (
        f"The spread is largest for {widest}, {number(by)}. It is "
        f"{'' if widest == best else 'not '}the most robust: that is {best}, of {each(corrupted)}."
    )


def _dynamics() -> xr.Dataset:
    return open_results(results_root(REFERENCE_SCALE) / "dynamics.nc").isel(dataset=0)


def _scan(_: xr.Dataset) -> str:
    said = []
    for words, epochs in {"with epoch 0": slice(None), "without it": slice(1, None)}.items():
        scan = correlation_scan(_dynamics(), epochs=epochs).sel(estimator="debiased")
        scan = scan.sel(hypothesis=scan["n_hypotheses"] == 352)
        naive, other = (int((scan[p] < ALPHA).sum()) for p in ("p_value", AUTO))
        said.append(f"{naive} of the 352 {words}, but {other} if autocorrelation is allowed for")
    return f"{'; '.join(said)}. With {ALPHA:.0%} chance alone would give {352 * ALPHA:.0f}."


def _shuffled(_: xr.Dataset) -> str:
    ds = _dynamics()
    both = [mean(forgetting(ds), "epoch"), mean_corrupted_accuracy(ds, seeds="mean")]
    order = np.random.default_rng(0).permutation(both[0].sizes["epoch"])
    mixed = [one.isel(epoch=order).assign_coords(epoch=one["epoch"].values) for one in both]
    found = [correlate(*pair) for pair in (both, mixed)]
    naive, auto = ([f"{float(one[p]):.2g}" for one in found] for p in ("p_value", AUTO))
    return (
        f"Pearson's, which does not know the order: {naive[0]} before and {naive[1]} after one "
        f"shuffle of both series. The other goes from {auto[0]} to {auto[1]}."
    )


def _accuracies(ds: xr.Dataset) -> Numbers:
    table = mean(ds["test_accuracy"], "dataset", "pretraining").to_pandas()
    return {str(name): {str(k): float(v) for k, v in row.items()} for name, row in table.iterrows()}


def _rows(plain: Numbers, tried: Numbers) -> str:
    rows = {dataset: each(xr.DataArray(list(row.values()), {"start": list(row)}))
            for dataset, row in tried.items()}  # fmt: skip
    said = "; ".join(f"{dataset}: {row}" for dataset, row in rows.items())
    return f"By start, accuracies are {said}. The model was pretrained on those very shapes."


def _gap(ds: xr.Dataset) -> str:
    accuracy = mean(ds["test_accuracy"].isel(dataset=0), "pretraining")
    best, most = top(accuracy)
    scratch = float(accuracy.sel(pretraining="none"))
    return (
        f"{number(most)} from {best} and {number(scratch)} from scratch: "
        f"{number(100 * (most - scratch), 0)} points at this budget."
    )


ITEMS: dict[str, tuple[Item, ...]] = {
    "what_is_an_inversion": (Trial(_distances, _other_recipe), Trial(_distances, _more_steps)),
    "finetuning_task": (Trial(_curves, _known_images), Trial(_curves, _fewer_images), _self_term),
    "placebo": (_apart, _apart_where),
    "pretraining_dataset": (_starts, _start_and_accuracy),
    "compression_expansion": (_nothing, _swapped, _two_estimators),
    "dynamics": (Trial(by_layer, _slow), _peak, _settled),
    "robustness": (_robust, _scan, _shuffled),
    "accuracy": (Trial(_accuracies, _rows), _gap),
}
