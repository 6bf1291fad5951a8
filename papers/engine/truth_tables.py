"""Read the results of known invariances: tables, relations between quantities, sentences."""

from __future__ import annotations

from itertools import product
from math import ceil

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import rankdata

from invlib.data.embedded.shapes import CHANGES
from invlib.metrics.distances import at_distance
from invlib.names import ESTIMATORS, SIMILARITIES
from papers.claims.statistics import interval_over_trainings
from papers.engine.blind import PAIRS, basis_of, limit
from papers.engine.known_invariances import COLOUR, DATA_SETS, FORM, MARGIN
from papers.parameters import split

__all__ = [
    "accuracy_table", "answer", "built_says", "by_reading", "by_layer", "by_number",
    "common_distance", "contrast", "corrected", "error_table", "errors", "errors_over_distance",
    "followed", "given_depth", "last_look", "looked", "mean_and_half", "relations",
    "similarity_table", "spearman", "trained_says", "training_rows", "truths_say",
]  # fmt: skip


def errors(ds: xr.Dataset) -> xr.DataArray:
    """Return measured minus true STIR, of the same images and starts."""
    return (ds["measured"] - ds["truth"]).assign_attrs(long_name="measured − true", units="1")


def last_look(values: xr.DataArray, dim: str = "built_snapshot") -> xr.DataArray:
    """Return the values of the last snapshot that a recipe has."""
    last = values[dim].where(values.notnull()).max(dim)
    return values.where(values[dim] == last).max(dim)


def error_table(ds: xr.Dataset) -> pd.DataFrame:
    """Return, by recipe, the largest mean error of each pair, drift, and distance left.

    Debiased, all images, last snapshot; the mean is over draws, the largest over constructions,
    layers and sides.
    """
    error = last_look(errors(ds)).sel(similarity="debiased").isel(n_images=-1).mean("seed")
    others = [dim for dim in error.dims if dim not in ("recipe", "shared")]
    flat = error.stack(cell=others)
    worst = flat.isel(cell=abs(flat).argmax("cell")).drop_vars(["cell", *others])
    table = worst.transpose("recipe", "shared").to_pandas().add_prefix("error: ")
    for name in ("distance", "drift"):
        values = last_look(ds[name])
        table[f"largest {name}"] = values.max([d for d in values.dims if d != "recipe"]).values
    return table.astype(float)


def similarity_table(ds: xr.Dataset) -> pd.DataFrame:
    """Return the largest mean error of each similarity by recipe, all targets, last snapshot."""
    error = abs(last_look(errors(ds)).isel(n_images=-1).mean("seed"))
    worst = error.max([dim for dim in error.dims if dim not in ("recipe", "similarity")])
    return worst.transpose("recipe", "similarity").to_pandas().astype(float)


def errors_over_distance(ds: xr.Dataset) -> xr.Dataset:
    """Return error, its spread, and the distance left, by snapshot, for targets that see some.

    Recipes that start at other images if there are such, without `ngd` if there are others. All are
    means over constructions, layers, and the targets "less" and "some"; of the error, over draws
    too. The spread is the standard deviation over draws.
    """
    recipes = [r for r in ds["recipe"].values if split(r)[2] == "images"] or ds["recipe"].values
    one = ds.sel(recipe=[r for r in recipes if split(r)[0] != "ngd"] or recipes)
    error, over = errors(one).sel(shared=["less", "some"]), ["construction", "built_layer"]
    spread = error.std("seed", ddof=1) if error.sizes["seed"] > 1 else error.mean("seed") * np.nan
    parts = {
        "error": error.mean(["seed", "shared", *over]),
        "spread": spread.mean(["shared", *over]),
        "distance": one["distance"].mean(["seed", *over]),
    }
    return xr.Dataset(parts)


def by_number(ds: xr.Dataset) -> pd.DataFrame:
    """Return bias and spread of true STIR by similarity, number of images, and numbers seen.

    Linear layer, target "less", starts at other images if there are such. The bias of CKA and
    Procrustes is that against infinitely many images, in closed form; that of the others, which
    have none, against the most images of this run. Both are largest values over constructions; the
    spread is the standard deviation over draws.
    """
    recipe = [r for r in ds["recipe"].values if split(r)[2] == "images"] or ds["recipe"].values
    one = ds.sel(recipe=recipe[0], built_layer="linear", shared="less")
    truth, mean = one["truth"], one["truth"].mean("seed")
    ends = xr.concat([_limits(one, name) for name in SIMILARITIES], truth["similarity"])
    off = mean - ends.fillna(mean.isel(n_images=-1, drop=True))
    off = off.where(ends.notnull() | (off["n_images"] < off["n_images"][-1]))
    spread = truth.std("seed", ddof=1) if truth.sizes["seed"] > 1 else mean * np.nan
    parts = {"bias": _farthest(off, "construction"), "spread": spread.max("construction")}
    table = xr.concat(parts.values(), xr.Variable("part", list(parts)))
    seen = ds["n_seen"].max("construction").astype(int).values
    table = table.assign_coords(side=seen).rename(side="numbers seen")
    table = table.stack(row=["similarity", "n_images"], column=["part", "numbers seen"])
    return table.transpose("row", "column").to_pandas()


def _limits(one: xr.Dataset, similarity: str) -> xr.DataArray:
    """Return a similarity for infinitely many images, (construction, side); NaN if not known."""
    if similarity in ESTIMATORS:
        return one["truth_limit"]
    start, values = split(str(one["recipe"].values))[2], one["truth_limit"] * np.nan
    if similarity != "procrustes" or start not in ("images", "noise"):
        return values
    for construction, side in product(one["construction"].values, one["side"].values.tolist()):
        rows, block = basis_of(construction, side)
        seen, sees = (rows[np.isin(block, PAIRS[name])] for name in ("all", "less"))
        here = dict(construction=construction, side=side)
        values.loc[here] = limit(seen, sees, side, start, similarity=similarity)
    return values


def _farthest(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Return the value farthest from 0, with its sign."""
    low, high = values.min(dim), values.max(dim)
    return xr.where(-low > high, low, high)


def corrected(values: xr.DataArray) -> xr.DataArray:
    """Return what training on the *other* labels does beyond the placebo, by `pretraining`."""
    parts = []
    for first in values["pretraining"].values.tolist():
        (other,) = set(DATA_SETS) - {first}
        of_first = values.sel(pretraining=first)
        after, placebo = (of_first.sel(dataset=name, drop=True) for name in (other, first))
        parts.append(after - placebo)
    return xr.concat(parts, "pretraining")


def mean_and_half(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the mean over trainings and half its 95 % interval; NaN for one of them.

    Examples
    --------
    >>> mean, half = mean_and_half(xr.DataArray([1.0, 2.0, 3.0], dims="train_seed"))
    >>> float(mean), round(float(half), 2)
    (2.0, 2.48)
    """
    found = interval_over_trainings(values)
    return found["mean"], found["high"] - found["mean"]


def answer(mean: float, half: float) -> str:
    """Return "yes" or "no" if the interval is all above or all below 0, else "cannot tell".

    Examples
    --------
    >>> answer(0.5, 0.2), answer(-0.5, 0.2), answer(0.1, 0.2), answer(0.5, np.nan)
    ('yes', 'no', 'cannot tell', 'cannot tell')
    """
    if mean - half > 0:
        return "yes"
    return "no" if mean + half < 0 else "cannot tell"


def spearman(x: xr.DataArray, y: xr.DataArray) -> xr.DataArray:
    """Return Spearman's correlation over layers, of every training.

    Examples
    --------
    >>> x = xr.DataArray([1.0, 2.0, 9.0], dims="layer")
    >>> round(float(spearman(x, x**3)), 12), round(float(spearman(x, -x)), 12)
    (1.0, -1.0)
    """
    x, y = (v.copy(data=rankdata(v, axis=v.get_axis_num("layer"))) for v in (x, y))
    return xr.corr(x, y, "layer")


def given_depth(x: xr.DataArray, y: xr.DataArray) -> xr.DataArray:
    """Return Pearson's partial correlation over layers with the layer's number held fixed.

    Examples
    --------
    >>> z = xr.DataArray([0.0, 1, 2, 3], {"layer": [0, 1, 2, 3]})
    >>> off = xr.DataArray([1.0, -1, -1, 1], {"layer": [0, 1, 2, 3]})
    >>> x, y = 9 * z + off, 9 * z - off
    >>> float(xr.corr(x, y).round(1)), float(given_depth(x, y).round(6))
    (1.0, -1.0)
    """
    xy, xz, yz = (xr.corr(a, b, "layer") for a, b in ((x, y), (x, x["layer"]), (y, y["layer"])))
    return ((xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))).clip(-1, 1)


def looked(ds: xr.Dataset, distance: float | None = None) -> xr.Dataset:
    """Return debiased learning and forgetting of the last snapshot, or at a distance.

    At a distance, a measure has only the layers that were read there in all trainings.
    """
    one = ds.sel(estimator="debiased").drop_vars(["layer_name", "depth"], errors="ignore")
    if distance is None:
        return one[["forgetting", "learning"]].isel(snapshot=-1, drop=True)
    read = {}
    for name, inverted in (("forgetting", "pt"), ("learning", "ft")):
        left = one[f"distance_{inverted}"].rename(layer="ref_layer")
        curves = {f"stir_{inverted}": one[name], f"inversion_loss_{inverted}": left}
        read[name] = at_distance(xr.Dataset(curves), distance)[f"stir_{inverted}"].dropna("layer")
    return xr.merge([values.rename(name) for name, values in read.items()], join="outer")


def common_distance(ds: xr.Dataset) -> float:
    """Return the least distance, to a twentieth, that all inversions of trained networks reach."""
    last = ds[["distance_pt", "distance_ft"]].isel(snapshot=-1).max()
    return ceil(20 * max(float(last["distance_pt"]), float(last["distance_ft"]))) / 20


def expected(
    ds: xr.Dataset, distance: float | None = None
) -> dict[str, tuple[str, xr.DataArray, xr.DataArray]]:
    """Return, by first data set, a measure and the movement it should follow, both corrected.

    Where colour starts to matter, the network stops ignoring it: forgetting should be where a
    change moves pictures *more* than after the placebo. Where it becomes noise, learning should be
    where a change moves them *less*. They are read as by `looked`.
    """
    measured = {FORM: ("forgetting", 1), COLOUR: ("learning", -1)}
    moved_more, read, out = corrected(ds["moved_after"]), looked(ds, distance), {}
    for first in ds["pretraining"].values.tolist():
        name, sign = measured[first]
        values = corrected(read[name].dropna("layer")).sel(pretraining=first)
        movement = sign * moved_more.sel(pretraining=first, layer=values["layer"])
        out[first] = name, values, movement
    return out


def _said(mean: float, half: float, digits: str = ".2f") -> str:
    """Return a mean with the half of its interval, which a single training does not have."""
    return f"{mean:{digits}}" + (f" ± {half:{digits.lstrip('+')}}" if half == half else "")


def relations(ds: xr.Dataset, distance: float | None = None) -> pd.DataFrame:
    """Return how measures follow movement over layers: correlations, mean over trainings ± half."""
    rows = {}
    for first, (name, values, movement) in expected(ds, distance).items():
        for change in CHANGES:
            x, y, row = movement.sel(change=change, drop=True), values, {}
            ways = {"Pearson": xr.corr(x, y, "layer"), "given depth": given_depth(x, y)}
            for title, r in (ways | {"Spearman": spearman(x, y)}).items():
                mean, half = map(float, mean_and_half(r))
                row[title] = _said(mean, half)
            rows[f"{name}, first {first}", change] = row | {"follows": answer(mean, half)}
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis(["measure", "movement under a change of"])


def by_layer(ds: xr.Dataset) -> pd.DataFrame:
    """Return movement under a change of colour and the measures by layer, corrected: mean ± half.

    The last columns are those of `contrast`.
    """
    columns = {}
    for first, (name, values, movement) in expected(ds).items():
        sign = "more" if first == FORM else "less"
        columns[f"first {first}", f"colour moves {sign}"] = movement.sel(change="colour", drop=True)
        columns[f"first {first}", name] = values
    if (both := contrast(ds)) is not None:
        for name in both["measure"].values:
            columns["between the two", name] = both.sel(measure=name, drop=True)
    texts = {title: [_said(m, h, "+.3f") for m, h in _pairs(v)] for title, v in columns.items()}
    return pd.DataFrame(texts, index=pd.Index(values["layer"].values, name="layer"))


def by_reading(ds: xr.Dataset) -> pd.DataFrame:
    """Return what forgetting and learning follow, at the last snapshot and at equal distance.

    Rank and partial correlations over layers, and the mean of `contrast` over layers: mean over
    trainings ± half.
    """
    columns = {}
    for distance in (None, common_distance(ds)):
        both = contrast(ds, distance)
        for name, values, movement in expected(ds, distance).values():
            colour, place = (movement.sel(change=c, drop=True) for c in ("colour", "place"))
            rows = {
                "colour, rank": spearman(colour, values),
                "colour, given depth": given_depth(colour, values),
                "place, given depth": given_depth(place, values),
            }
            if both is not None:
                rows["more than the other way"] = both.sel(measure=name, drop=True).mean("layer")
            pairs = {title: map(float, mean_and_half(v)) for title, v in rows.items()}
            texts = {title: _said(*pair) for title, pair in pairs.items()}
            layers = ", ".join(map(str, values["layer"].values))
            read = "last look" if distance is None else f"at {distance:.2f}"
            columns[name, read] = {"layers read": layers} | texts
    return pd.DataFrame(dict(sorted(columns.items(), key=lambda column: column[0][0])))


def accuracy_table(ds: xr.Dataset) -> pd.DataFrame:
    """Return test accuracy after the first and the second trainings: mean and range."""
    rows = {}
    for first in ds["pretraining"].values.tolist():
        values = {"first training": ds["pretraining_accuracy"].sel(pretraining=first)}
        for second in ds["dataset"].values.tolist():
            name = "placebo" if second == first else "other labels"
            values[name] = ds["test_accuracy"].sel(pretraining=first, dataset=second)
        rows[f"first {first}"] = {
            name: f"{float(v.mean()):.2f} ({float(v.min()):.2f} to {float(v.max()):.2f})"
            for name, v in values.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _pairs(values: xr.DataArray) -> list[tuple[float, float]]:
    """Return mean and half interval of each layer."""
    return list(zip(*(part.values.tolist() for part in mean_and_half(values)), strict=True))


def _where(values: xr.DataArray) -> str:
    """Return in which layers `values` are above 0 for certain, in words."""
    layers = zip(values["layer"].values, _pairs(values), strict=True)
    sure = [str(layer) for layer, (m, h) in layers if answer(m, h) == "yes"]
    return f"in layers {', '.join(sure)}" if sure else "in no layer for certain"


def contrast(ds: xr.Dataset, distance: float | None = None) -> xr.DataArray | None:
    """Return what the two directions differ by, (measure, train_seed, layer); None with only one.

    Forgetting where colour starts to matter minus forgetting where it becomes noise, and learning
    the other way round; each minus its placebo. Both should be above 0. They are read as by
    `looked`; layers that were not are NaN.
    """
    if ds.sizes["pretraining"] < 2:
        return None
    parts, read = [], looked(ds, distance)
    for name, more, less in (("forgetting", FORM, COLOUR), ("learning", COLOUR, FORM)):
        values = corrected(read[name])
        parts.append(
            values.sel(pretraining=more, drop=True) - values.sel(pretraining=less, drop=True)
        )
    return xr.concat(parts, xr.Variable("measure", ["forgetting", "learning"]))


# ── For figures ──────────────────────────────────────────────────────────────────────────────────


def training_rows(ds: xr.Dataset, first: str) -> dict[str, dict[str, xr.DataArray]]:
    """Return movement, then forgetting and learning, by layer after each training of `first`.

    They are rows for `invlib.plots.layer_curves`: trainings are its seeds.
    """
    names = {name: "placebo" if name == first else f"then {name}" for name in DATA_SETS}
    one = ds[["moved_before", "moved_after"]].merge(looked(ds)).sel(pretraining=first)
    one = one.rename(train_seed="seed", dataset="then").assign_coords(
        then=[names[name] for name in ds["dataset"].values]
    )
    before = one["moved_before"].expand_dims(then=["before"])
    movement = xr.concat([before, one["moved_after"]], "then")
    moved = {f"moved by {c}": movement.sel(change=c, drop=True) for c in CHANGES}
    stir = {name: one[name] for name in ("forgetting", "learning")}
    return {f"first {first}": moved, "STIR": stir}


def followed(ds: xr.Dataset) -> dict[str, dict[str, tuple[xr.DataArray, xr.DataArray]]]:
    """Return the pairs of quantities whose relation is asked for, for `dots`."""
    return {
        f"{name} − placebo\nfirst {first}": {
            f"moved {'more' if first == FORM else 'less'} by {c}": (movement.sel(change=c), values)
            for c in CHANGES
        }
        for first, (name, values, movement) in expected(ds).items()
    }


# ── Sentences ────────────────────────────────────────────────────────────────────────────────────


def built_says(ds: xr.Dataset) -> str:
    """Return what the networks that are built show, as a list with this run's numbers."""
    error = last_look(errors(ds)).sel(similarity="debiased").isel(n_images=-1).mean("seed")
    left, drift = (last_look(ds[name]).mean("seed") for name in ("distance", "drift"))
    sentences = []
    for recipe in ds["recipe"].values.tolist():
        blind, sees = (
            _worst(error.sel(recipe=recipe, shared=names))
            for names in (["all", "more"], ["less", "some"])
        )
        inside = max(abs(blind), abs(sees)) < MARGIN
        sentences.append(
            f"- `{recipe}` leaves a distance of {float(left.sel(recipe=recipe).min()):.2f} to "
            f"{float(left.sel(recipe=recipe).max()):.2f}, and moves the unseen part by up to "
            f"{float(drift.sel(recipe=recipe).max()):.2f} of its spread. Its largest error is "
            f"{blind:+.2f} where the target sees nothing of the unseen part, and {sees:+.2f} where "
            f"it sees some: {'within' if inside else '**outside**'} the margin of {MARGIN}."
        )
    starts = error["recipe"].copy(data=[split(recipe)[2] for recipe in error["recipe"].values])
    for start in dict.fromkeys(starts.values.tolist()):
        one = error.sel(recipe=starts == start, shared=["less", "some"])
        outside = float(ds["outside"].sel(recipe=starts == start).mean())
        sentences.append(
            f"- Starts `{start}`: the true X′ has {outside:.0%} of its numbers outside [0, 1]. "
            f"Errors where the target sees some of the unseen part are {float(one.min()):+.2f} to "
            f"{float(one.max()):+.2f}. {_sign(float(one.min()), float(one.max()))}"
        )
    return "\n".join(sentences)


def _sign(low: float, high: float) -> str:
    """Return in words what errors of one sign do to learning and forgetting."""
    if high > MARGIN and low > -MARGIN:
        return "STIR comes out too high, and so learning and forgetting too low."
    if low < -MARGIN and high < MARGIN:
        return "STIR comes out too low, and so learning and forgetting too high."
    return "They have no common sign beyond the margin."


def _worst(error: xr.DataArray) -> float:
    return float(error.isel(abs(error).argmax(error.dims)))


def truths_say(ds: xr.Dataset) -> str:
    """Return how much the two meanings of the truth differ, in a sentence."""
    both = ds[["truth", "truth_conditional"]].sel(similarity="debiased", shared=["less", "some"])
    both = both.isel(n_images=-1).where(both["truth_conditional"].notnull()).mean("seed")
    if not bool(both["truth"].notnull().any()):
        return "No recipe of this run starts at noise, so the second truth was not computed."
    off, kept = both["truth_conditional"] - both["truth"], both["truth"]
    return (
        f"Where it can be computed, the truth by the second meaning differs by "
        f"{float(off.min()):+.2f} to {float(off.max()):+.2f}; that by the first is "
        f"{float(kept.min()):.2f} to {float(kept.max()):.2f} (targets that see some of the unseen "
        "part)."
    )


def trained_says(ds: xr.Dataset) -> str:
    """Return what the networks that are trained show, as a list with this run's numbers."""
    n, stir = ds.sizes["train_seed"], ds.sel(estimator="debiased").isel(snapshot=-1)
    left = max(float(stir[f"distance_{short}"].max()) for short in ("pt", "ft"))
    self_term = min(float(stir[f"self_term_{short}"].min()) for short in ("pt", "ft"))
    sentences = [
        f"- Inversions leave a distance of {left:.2f} or less; self terms are {self_term:.3f} or "
        f"more."
    ]
    for first, (name, values, movement) in expected(ds).items():
        colour = movement.sel(change="colour", drop=True)
        mean, half = map(float, mean_and_half(spearman(colour, values)))
        fixed, around = map(float, mean_and_half(given_depth(colour, values)))
        follows = answer(mean, half).capitalize()
        if follows == "Yes" and answer(fixed, around) != "yes":
            follows += ", but not for certain beyond what depth explains"
        others = [
            f"{float(spearman(movement.sel(change=c, drop=True), values).mean()):.2f} ({c})"
            for c in CHANGES
            if c != "colour"
        ]
        sentences.append(
            f"- First `{first}`: colour moves pictures {'more' if first == FORM else 'less'} than "
            f"after the placebo {_where(colour)}, and {name} exceeds that of the placebo "
            f"{_where(values)}. Does one follow the other over layers? "
            f"**{follows}**: the rank correlation is {mean:.2f} ± "
            f"{half:.2f} ({n} training{'s' if n > 1 else ': no interval'}). With other changes it "
            f"is {', '.join(others)}. With depth held fixed, the correlation is {fixed:.2f} ± "
            f"{around:.2f}: {answer(fixed, around)}."
        )
    if (both := contrast(ds)) is not None:
        parts = {name: both.sel(measure=name, drop=True) for name in ("forgetting", "learning")}
        sentences.append(
            f"- Between the two: forgetting is greater where colour starts to matter than where it "
            f"becomes noise {_where(parts['forgetting'])}; learning is greater where colour "
            f"becomes noise {_where(parts['learning'])}."
        )
    return "\n".join(sentences)
