"""What to expect of the "Try it" items on the pages across the papers and on the engine."""

import numpy as np
import xarray as xr

from invlib.metrics.invariance import cka_divergence, compression, forgetting, invariance_flow
from papers.claims.correlation import pearson
from papers.claims.data import paper_of
from papers.engine.work.convergence import one_curve
from papers.lessons.merlin2023 import SETTLED, by_layer
from papers.lessons.words import Item, Numbers, Trial, each, listed, mean, moves, number, top
from papers.merlin2023.claims.robustness_across_settings import by_setting

__all__ = ["ITEMS"]

# ── Across the papers ─────────────────────────────────────────────────────────────────────────────


def _lens_early(ds: xr.Dataset) -> str:
    first_half = ds["place"] <= ds["place"].max() / 2
    more = mean((ds["forgetting"] - ds["learning"]).where(first_half), "case")
    case, value = top(more)
    learnt = float(mean(ds["learning"].sel(case=case).where(first_half)))
    return (
        f"{case} comes nearest: in its first half forgetting is above learning by {number(value)} "
        f"in the mean, and learning is {number(learnt)}. "
        f"{'None has it alone' if learnt > SETTLED else 'This one has'}. Such a layer newly reacts "
        "to something that it used to ignore."
    )


def _lens_self(ds: xr.Dataset) -> str:
    places = mean(ds["self_term"], "case", "place")
    lowest = places.min("place")
    case = top(-lowest)[0]
    return (
        f"{case}, at place {top(-places.sel(case=case))[0]}: {number(lowest.sel(case=case))}. The "
        f"lowest of each: {each(lowest)}. Below 1 is what inversion missed."
    )


def _nothing_forgotten(plain: Numbers, tried: Numbers) -> str:
    usual, most = (max(one["forgetting"]) for one in (plain, tried))
    return (
        f"Nothing was learnt, so nothing can be forgotten; yet forgetting reaches {number(most)}, "
        f"where the fine-tuned model of this page has {number(usual)}. The word is right for a "
        "model and its own fine-tuning alone."
    )


def _do_not_report(ds: xr.Dataset) -> str:
    (layer, most), (moved, _) = (top(mean(m(ds), "layer")) for m in (forgetting, cka_divergence))
    left = mean(ds["inversion_loss_pt"], "ref_layer").sel(ref_layer=layer)
    return (
        f"Forgetting is largest at layer {layer}, {number(most)}, with a distance of "
        f"{number(left)} left; CKA divergence at layer {moved}. The larger the distance, the more "
        "of it may be inversion."
    )


_WAYS = (("debiased", "measured"), ("biased", "measured"), ("biased", "one"))


def _turned(ds: xr.Dataset) -> str:
    ours, biased, paper = (ds["verdict"].sel(estimator=e, self_term=s) for e, s in _WAYS)
    turned = (ours == "not reproduced") & (paper == "reproduced")
    by_estimator = int((turned & (biased == "reproduced")).sum())
    if not (count := int(turned.sum())):
        return "In this run there is none."
    return (
        f"There are {count}, such as {ds['claim'].values[turned.values][0]}. {by_estimator} are "
        "reproduced with the biased estimator at the measured self term already, so the estimator "
        f"turned them; {count - by_estimator} hang on the self term too."
    )


def _undecided(ds: xr.Dataset) -> str:
    ds = ds.sel(estimator="debiased", self_term="measured")
    value, half = ds["value_mean"], (ds["images_high"] - ds["images_low"]) / 2
    away = abs(value - ds["threshold"])
    ratio = (half / away).where((away > 0) & np.isfinite(half))
    if not bool(ratio.notnull().any()):
        return "No claim here has an interval over images."
    at = int(ratio.fillna(0).values.argmax())
    return (
        f"{ds['claim'].values[at]}: {number(value[at], 3)} ± {number(half[at], 3)}, and "
        f"{number(away[at], 3)} from its threshold. Intervals shrink with the square root of the "
        f"number of images, so it takes {max(1, float(ratio[at]) ** 2):,.0f} times as many."
    )


# ── Questions that paper A leaves open ────────────────────────────────────────────────────────────


def _by_size(ds: xr.Dataset) -> Numbers:
    """Return forgetting, the mean of all blocks, and accuracy by number of images and budget."""
    forgot = mean(forgetting(ds).sel(layer=slice(1, None)), "n_train", "budget")
    accuracy = mean(ds["test_accuracy"], "n_train", "budget")
    return {"sizes": ds["n_train"].values.tolist()} | {
        budget: {
            "forgetting": forgot.sel(budget=budget).values.tolist(),
            "accuracy": accuracy.sel(budget=budget).values.tolist(),
        }
        for budget in ds["budget"].values.tolist()
    }


def _steps_or_data(_: Numbers, tried: Numbers) -> str:
    few, many = tried["sizes"]
    steps, epochs = (tried[budget]["forgetting"] for budget in ("steps", "epochs"))
    by_data, by_both = (abs(after - before) for before, after in (steps, epochs))
    more = "the images" if by_data > by_both else "the steps"
    return (
        f"From {few:,} to {many:,} images forgetting {moves(*steps)} at equal steps, and "
        f"{moves(*epochs)} at equal epochs. The first changes the images alone, the second the "
        f"steps as well: {more} make the larger difference in this run."
    )


def _by_heart(_: Numbers, tried: Numbers) -> str:
    (few, many), found = tried["sizes"], tried["steps"]
    (bad, good), (lost, usual) = found["accuracy"], found["forgetting"]
    return (
        f"With {few:,} images test accuracy is {number(bad)}, with {many:,} it is {number(good)}, "
        f"after as many steps. Forgetting is {number(lost)} and {number(usual)}: the model that "
        f"has its images by heart forgets {'more' if lost > usual else 'less'}."
    )


def _by_schedule(ds: xr.Dataset) -> Numbers:
    """Return forgetting of the last three layers by epoch and schedule."""
    late = mean(forgetting(ds).isel(layer=slice(-3, None)), "schedule", "epoch")
    curves = {name: late.sel(schedule=name).values.tolist() for name in late["schedule"].values}
    return {"epochs": ds["epoch"].values.tolist(), "forgetting": curves}


def _part(_: Numbers, tried: Numbers) -> str:
    cosine, constant = (np.array(tried["forgetting"][name]) for name in ("cosine", "constant"))
    apart = constant - cosine
    at = int(abs(apart).argmax())
    return (
        f"They are furthest apart after epoch {tried['epochs'][at]}: the last layers have "
        f"forgotten {number(constant[at])} at a constant rate and {number(cosine[at])} under the "
        f"cosine. After the last epoch it is {number(constant[-1])} and {number(cosine[-1])}."
    )


def _nearer(_: Numbers, tried: Numbers) -> str:
    ends = {name: curve[-1] for name, curve in tried["forgetting"].items()}
    cosine = ends.pop("cosine")
    nearest = min(ends, key=lambda name: abs(ends[name] - cosine))
    said = listed([f"{number(value)} ({name})" for name, value in ends.items()])
    return (
        f"{nearest}: in the end the last layers have forgotten {said}, and {number(cosine)} under "
        "the cosine."
    )


def _compressed(ds: xr.Dataset) -> Numbers:
    """Return compression beyond that of the pretrained model in itself, by data set."""
    flow = invariance_flow(ds) - invariance_flow(ds, target="pt")
    values = mean(compression(flow.sel(estimator="debiased")), "dataset")
    return {str(one["dataset"].values): float(one) for one in values}


def _known_set(_: Numbers, tried: Numbers) -> str:
    said = listed([f"{number(value)} on {name}" for name, value in tried.items()])
    return (
        f"It is {said}, most on {max(tried, key=tried.get)}. On the set of its pretraining "
        "nothing is new to the model. What moves there moves in any training."
    )


def _severities(ds: xr.Dataset) -> str:
    accuracy = mean(ds["corrupted_accuracy"].isel(dataset=0), "severity")
    falls = -accuracy.diff("severity")
    worst, by = top(falls)
    return (
        f"From {number(accuracy[0])} on clean images it falls to {number(accuracy[-1])} at "
        f"severity {int(accuracy['severity'][-1])}, and most from severity {worst - 1} to "
        f"{worst}, by {number(by)}."
    )


def _most_robust(ds: xr.Dataset) -> str:
    means = by_setting(ds.sel(estimator="debiased"))
    if not bool(means["effective"].notnull().any()):
        return "These settings are too few for a line from clean to corrupted accuracy."
    best, above = top(means["effective"])
    spread = means["spread"].sel(setting=best)
    rank = int((means["spread"] > spread).sum()) + 1
    return (
        f"{best}: {number(above)} above the line, on the logit scale. Its spread of forgetting is "
        f"{number(spread)}, rank {rank} of {means.sizes['setting']}."
    )


def _leaves_most(ds: xr.Dataset) -> str:
    means = by_setting(ds.sel(estimator="debiased"))[["spread", "corrupted"]]
    names = means["setting"].values.tolist()

    def r(part: xr.Dataset) -> float:
        return float(pearson(part["spread"], part["corrupted"]))

    if len(names) < 4 or not np.isfinite(before := r(means)):
        return f"Of {len(names)} settings, too few are left for a correlation that says anything."
    after = {name: r(means.drop_sel(setting=name)) for name in names}
    moved = max(after, key=lambda name: abs(after[name] - before))
    return f"{moved}: without it the correlation {moves(before, after[moved])}."


def _hardest(ds: xr.Dataset) -> str:
    last = ds.isel(setting=0, epoch=-1)
    right = mean(last["attacked_accuracy"], "attack")
    return (
        f"{top(-right)[0]}. Right under each attack: {each(right)}; without one, on all test "
        f"images: {number(mean(last['test_accuracy']))}."
    )


def _further(ds: xr.Dataset) -> str:
    usual = mean(ds["attacked_accuracy"].isel(setting=0, epoch=-1))
    found = mean(ds["checked_accuracy"].isel(setting=0), "check")
    stronger, large = (float(found.sel(check=name)) for name in ("stronger", "large bound"))
    return (
        f"Accuracy {moves(usual, stronger)} with the stronger attack and to {number(large)} with "
        f"the large bound, means of all attacks. The usual attack misses "
        f"{number(usual - stronger)} that can be found."
    )


def _forgets_most(ds: xr.Dataset) -> str:
    lost = mean(ds["forgetting"], "case", "place")
    at = [
        f"{top(one)[1]:.2f} at depth {float(ds['layer_depth'].sel(case=case)[top(one)[0]]):.2f} "
        f"({case})"
        for case, one in zip(lost["case"].values, lost, strict=True)
    ]
    return f"{listed(at)}."


def _moved_more(ds: xr.Dataset) -> str:
    moved, lost = (mean(ds[name], "case", "place") for name in ("cka_divergence", "forgetting"))
    counts = [
        f"{int((moved > lost).sel(case=case).sum())} of {int(lost.sel(case=case).count())} ({case})"
        for case in lost["case"].values
    ]
    return (
        f"{listed(counts)}. CKA asks whether the same images look alike to both models, forgetting "
        "which changes of an image they ignore."
    )


def _apart(_: xr.Dataset) -> str:
    claims = paper_of("where_did_scratch_start").claims["where_did_scratch_start"]
    holds = {(c.id.rpartition("-")[0], c.arguments["reading"]): c.holds for c in claims}
    orders = list(dict.fromkeys(order for order, _ in holds))
    apart = [o for o in orders if holds[o, "plain"] != holds[o, "repository"]]
    said = listed([order.removeprefix("Q-6-").replace("-", " ") for order in apart])
    return f"On {len(apart)} of {len(orders)}: {said}. On the others both readings expect the same."


def _two_scratches(ds: xr.Dataset) -> str:
    scratch = forgetting(ds.isel(dataset=0).sel(pretraining="none"))
    plain, other = (mean(scratch.sel(reading=r), "layer") for r in ("plain", "repository"))
    layer, _ = top(abs(other - plain))
    one, two = (number(values.sel(layer=layer)) for values in (plain, other))
    return (
        f"In layer {layer}: {one} after a random start, {two} after a pretrained one, debiased. "
        "Both are compared with the same random weights."
    )


# ── The engine ────────────────────────────────────────────────────────────────────────────────────


def _which_recipe(ds: xr.Dataset) -> str:
    best = ds["race_best"]
    other = [recipe for recipe in best["recipe"].values if recipe.startswith("ngd")][-1]
    fast, ngd = (best.sel(recipe=recipe) for recipe in ("fast:50", other))
    return (
        f"fast:50 comes nearer than {other} at {int((fast < ngd).sum())} of {fast.size} layers. At "
        f"the last layer they leave {number(fast[-1], 3)} and {number(ngd[-1], 3)}."
    )


def _start_at_images(ds: xr.Dataset) -> str:
    last = ds.isel(race_layer=-1)
    noise, other = (last.sel(recipe=recipe) for recipe in ("fast:50", "fast:50:images"))
    pixels = abs(noise["race_images"] / 255.0 - other["race_images"] / 255.0)
    return (
        f"In the last layer the two pictures differ by {number(pixels.mean())} of 1 in the mean "
        f"pixel. The distances left are {number(noise['race_best'])} and "
        f"{number(other['race_best'])}. What the layer does not see keeps what it started from."
    )


def _falls_most(ds: xr.Dataset) -> str:
    one = ds.isel(recipe=0, task=0, snapshot=[ds.sizes["snapshot"] // 2, -1])
    lost = mean(forgetting(one), "snapshot", "layer")
    left = mean(one["inversion_loss_pt"], "snapshot", "ref_layer")
    (layer, _), (far, _) = (top(v.isel(snapshot=0) - v.isel(snapshot=1)) for v in (lost, left))
    first, last = one["snapshot"].values
    return (
        f"Layer {layer}: from step {first} to {last} forgetting of {one['task'].item()} "
        f"{moves(*lost.sel(layer=layer).values)}, and the distance "
        f"{moves(*left.sel(ref_layer=layer).values)}. The distance itself falls most at layer "
        f"{far}, {number(left.sel(ref_layer=far)[0])} to {number(left.sel(ref_layer=far)[1])}."
    )


def _off_the_curve(ds: xr.Dataset) -> str:
    table = one_curve(ds).loc["on the way"]
    draws = table.loc["other draws"] if "other draws" in table.index else None
    apart = table.drop(index="other draws", errors="ignore").stack().dropna()
    if apart.empty:
        return "No two recipes come to the same distance in this run."
    recipe, layer = apart.idxmax()
    beside = "" if draws is None else f" Another draw lies {number(draws[layer])} off there."
    return (
        f"{recipe} at layer {layer}: at some distance that both reach, STIR differs by "
        f"{number(apart.max())} from that of {ds['recipe'].values[0]}.{beside}"
    )


def _walk_on(ds: xr.Dataset) -> str:
    ds = ds.sel(recipe=[r for r in ds["recipe"].values if r.startswith("anytime")][-1])
    error = abs(ds["measured"] - ds["truth"]).sel(similarity="debiased")
    off, left = (mean(v, "built_snapshot").values[[1, -1]] for v in (error, ds["distance"]))
    first, last = ds["built_snapshot"].values[[1, -1]]
    return (
        f"From step {first} to {last} of {ds['recipe'].values} the distance {moves(*left)}, and "
        f"the mean error of STIR {moves(*off)} (debiased)."
    )


def _kind_to_adam(ds: xr.Dataset) -> str:
    ds = ds.isel(built_snapshot=-1).sel(similarity="debiased", built_layer="linear")
    adam = [r for r in ds["recipe"].values if r.startswith("anytime") and r.endswith("images")][-1]
    error = mean(abs(ds["measured"] - ds["truth"]).sel(recipe=adam), "construction")
    return (
        f"{top(-error)[0]}. The mean error of {adam} in the linear layer: {each(error)}. Adam "
        "scales pixels one by one, which does no harm where the seen ones have like gradients."
    )


def _tokens(_: xr.Dataset) -> str:
    width = 768  # of ViT-B
    had = listed([f"ViT-B/{patch} has {(224 // patch) ** 2 + 1}" for patch in (32, 16)])
    return (
        f"24 d² t = 4 t² d gives t = 6 d, which is {6 * width:,} for a width of {width}; {had}. Up "
        "to there, products decide."
    )


def _shared_work(ds: xr.Dataset) -> str:
    passes = ds["block_passes"]
    return (
        "It goes towards 1: with one layer there is nothing to share. With all "
        f"{ds.sizes['layer']}, the most wasteful way passes "
        f"{float(passes.max() / passes.sel(way='ours')):.0f} times as many blocks as ours."
    )


def _speedups(ds: xr.Dataset) -> str:
    a, b = ds["speedup"].sel(baseline="naive truncated").mean("round").values[[0, -1]]
    few, many = ds["images"].values[[0, -1]]
    return (
        f"Against the naive loop ours is {a:.1f} times as fast with {few} images and {b:.1f} times "
        f"with {many}: the naive loop {'catches up' if b < a else 'falls back'}."
    )


ITEMS: dict[str, tuple[Item, ...]] = {
    "one_lens_on_three_papers": (_lens_early, _lens_self),
    "your_models": (Trial(by_layer, _nothing_forgotten), _do_not_report),
    "architectures": (_forgets_most, _moved_more),
    "data_set_size": (Trial(_by_size, _steps_or_data), Trial(_by_size, _by_heart)),
    "learning_rate_schedules": (Trial(_by_schedule, _part), Trial(_by_schedule, _nearer)),
    "adversarial_robustness": (_hardest, _further),
    "other_images": (Trial(_compressed, _known_set), _severities),
    "where_did_scratch_start": (_apart, _two_scratches),
    "robustness_across_settings": (_most_robust, _leaves_most),
    "claims_ledger": (_turned, _undecided),
    "how_inverted": (_which_recipe, _start_at_images),
    "convergence": (_falls_most, _off_the_curve),
    "known_invariances": (_walk_on, _kind_to_adam),
    "what_it_costs": (_tokens, _shared_work, _speedups),
}
