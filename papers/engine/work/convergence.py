"""Compute the section on convergence: one run a recipe, measured after more and more steps."""

from collections.abc import Iterable, Mapping
from math import ceil

import numpy as np
import pandas as pd
import xarray as xr
from pandas.io.formats.style import Styler

from invlib import compare, forgetting, invert, learning, load_images, train
from invlib.comparison.stacking import stack
from invlib.data.images import ImageSet
from invlib.metrics.distances import at_distance, extrapolate, gap
from invlib.metrics.invariance import diagonal
from invlib.models.staged import StagedModel
from invlib.names import SIMILARITIES
from papers.claims.claim import Claim
from papers.claims.curves import kept_curves
from papers.engine.convergence import Convergence
from papers.merlin2023.work.base import as_untrained, pretrained_model, untrained_model
from papers.parameters import split
from papers.work import best_device, written

_KEPT = ("stir", "inversion_loss", "cka")
_MEASURES = {"forgetting": (forgetting, "pt"), "learning": (learning, "ft")}
_ENDING = ("fast", "adam")  # their schedules end with their steps


@written("convergence", seeds=lambda section: section.convergence_seeds)
def dataset(section: Convergence) -> xr.Dataset:
    """Compare the pretrained model with each fine-tuned one, by recipe and snapshot."""
    dataset, device = section.datasets[0], best_device()
    pretrained = pretrained_model(section).to(device)
    pool = load_images(dataset, "test")
    finetuned = {
        task: train(section.finetuning_run(dataset, task), root=section.training_root)
        .model()
        .to(device)
        for task in section.tasks
    }
    parts = {}
    for recipe, against in section.recipes().items():
        alone = bool(parts)
        by_task = {
            task: _compared(section, recipe, pretrained, model, pool, alone=alone, against=against)
            for task, model in finetuned.items()
        }
        parts[recipe] = stack(by_task, "task", shared=not section.convergence_against)
    ds = xr.concat(parts.values(), xr.Variable("recipe", list(parts)), join="outer")
    ds = ds.sel(estimator=list(SIMILARITIES))  # the join has sorted them
    ds = ds.merge(_along_the_way(section, pretrained, pool), join="exact")
    baseline = _untrained(section, pretrained, pool)
    return ds.merge(baseline, join="exact", compat="no_conflicts")


def piece(section: Convergence, name: str) -> xr.Dataset:
    """Compare by one recipe, task and seed, so that the inversions are in the cache."""
    recipe, task, seed = name.split(", ")
    run, device = section.pieces()[name].run, best_device()
    pretrained = pretrained_model(section).to(device)
    model = train(run, root=section.training_root).model().to(device)
    one = section.model_copy(update=dict(convergence_seeds=[int(seed)]))
    pool, against = load_images(run.dataset, "test"), section.recipes()[recipe]
    return _compared(one, recipe, pretrained, model, pool, alone=True, against=against)


def _split(recipe: str) -> tuple[str, int, str]:
    return split(recipe.split(" ")[0])


def _compared(
    section: Convergence,
    recipe: str,
    pretrained: StagedModel,
    finetuned: StagedModel,
    pool: ImageSet,
    *,
    alone: bool,
    against: float | None = None,
) -> xr.Dataset:
    """Return a comparison with snapshots by one recipe; `alone` means the first seed only."""
    rule, steps, init = _split(recipe)
    ds = compare(
        pretrained,
        finetuned,
        pool,
        n=section.convergence_n,
        seeds=section.convergence_seeds[: 1 if alone else None],
        layers=section.convergence_layers,
        inverted=("pt", "ft") if section.convergence_learning else ("pt",),
        optimizer=rule,
        iterations=steps,
        init=init,
        snapshots=[s for s in section.convergence_snapshots if s <= steps],
        against=against,
        similarities=() if alone else SIMILARITIES,
        subspace_k=section.directions(section.convergence_n),
        examples=0,
        cache=section.inversions,
    )
    kept = [name for name in ds if str(name).startswith(_KEPT)]
    if alone:  # their spread over images is not shown
        kept = [name for name in kept if not str(name).endswith("_jackknife")]
    return ds[kept].drop_attrs(deep=False)


def _untrained(section: Convergence, pretrained: StagedModel, pool: ImageSet) -> xr.Dataset:
    """Return STIR of an untrained model on the last X′ of the first recipe and seed: a baseline."""
    seeds = section.convergence_seeds[:1]
    alone = section.model_copy(update=dict(convergence_seeds=seeds, convergence_learning=False))
    other = untrained_model(section).to(pretrained.device)
    ds = _compared(alone, section.convergence[0], pretrained, other, pool, alone=False)
    return as_untrained(ds.isel(seed=0, snapshot=-1, drop=True))


def _along_the_way(section: Convergence, model: StagedModel, pool: ImageSet) -> xr.Dataset:
    """Return two images and their X′ of the pretrained model after more and more steps."""
    rule, steps, init = split(section.convergence[0])
    looks = list(section.convergence_snapshots)
    seed = section.convergence_seeds[0]
    x = pool.sample(section.convergence_n, seed).tensor(model.img_size)[:2].to(model.device)
    layers = [layer for layer in section.convergence_shown if layer in model.layers]
    found = invert(
        model, x, layers=layers, iterations=steps, optimizer=rule, init=init, snapshots=looks,
        seed=seed,
    )  # fmt: skip
    picture = ("example", "y", "x", "channel")

    def pixels(images) -> np.ndarray:
        return (images * 255).round().byte().movedim(-3, -1).cpu().numpy()

    return xr.Dataset(
        {
            "example_images": (picture, pixels(x)),
            "way_images": (("snapshot", "shown_layer", *picture), pixels(found.images)),
            "way_loss": (("snapshot", "shown_layer", "example"), found.best.cpu().numpy()),
        },
        dict(
            snapshot=looks, shown_layer=layers, example=[0, 1], y=range(x.shape[-1]),
            x=range(x.shape[-1]), channel=["red", "green", "blue"],
        ),
    )  # fmt: skip


def measures(ds: xr.Dataset) -> xr.Dataset:
    """Return what is followed, by recipe, task, snapshot, estimator, seed and layer."""
    models = {
        "pt": ("pretrained", "forgetting", forgetting),
        "ft": ("fine-tuned", "learning", learning),
    }
    out = {}
    for short in _inverted(ds):
        model, name, compute = models[short]
        out[name] = compute(ds)
        out[f"self term, {model}"] = diagonal(ds, f"stir_{short}_{short}")
        left = ds[f"inversion_loss_{short}"].rename(ref_layer="layer")
        out[f"distance left, {model}"] = left
    return xr.Dataset(out)


def _inverted(ds: xr.Dataset) -> list[str]:
    """Return which of the models were inverted: forgetting needs the pretrained one alone."""
    return [short for short in ("ft", "pt") if f"inversion_loss_{short}" in ds]


def by_steps(ds: xr.Dataset, task: str) -> dict[str, xr.DataArray]:
    """Return the panels of the first figure: debiased, of the first recipe and one task."""
    one = measures(ds.isel(recipe=0)).sel(estimator="debiased", task=task)
    kinds = ("learning", "forgetting", "distance left", "self term")
    return {str(name): one[name] for kind in kinds for name in one if str(name).startswith(kind)}


def beside_untrained(ds: xr.Dataset) -> xr.DataArray:
    """Return debiased STIR by layer at the end of the first recipe, (which, layer).

    Of the fine-tuned models, of the pretrained one and of an untrained one, all given the same X′:
    what the pretrained one cannot tell apart.
    """
    main = ds.isel(recipe=0, seed=0, snapshot=-1).sel(estimator="debiased")
    kept = diagonal(main, "stir_ft_pt")
    parts = {f"fine-tuned: {task}": kept.sel(task=task) for task in ds["task"].values}
    own = diagonal(main, "stir_pt_pt")  # the same for all tasks
    parts["pretrained itself"] = own.isel(task=0) if "task" in own.dims else own
    parts["untrained"] = ds["stir_untrained_pt"].sel(estimator="debiased")
    bare = [part.reset_coords(drop=True) for part in parts.values()]
    return xr.concat(bare, xr.Variable("which", list(parts)), join="exact")


def by_choice(ds: xr.Dataset, task: str) -> dict[str, xr.DataArray]:
    """Return panels (choice, layer) of X′ driven from what the other model makes of X, or drawn.

    Beside the plain X′ of the same rule, start, steps and images: debiased STIR(fine-tuned |
    pretrained), its self term and the distance left.
    """
    first, *others = (str(name) for name in ds["recipe"].values)
    driven = {name.split(" ")[1]: name for name in others if " " in name}
    recipes = {"plain": first} | driven
    steps = _split(next(iter(driven.values())))[1] if driven else int(ds["snapshot"][-1])
    one = ds.sel(task=task, snapshot=steps, estimator="debiased", recipe=list(recipes.values()))
    one = one.isel(seed=0).assign_coords(recipe=list(recipes)).rename(recipe="choice")
    return {
        "STIR(fine-tuned | pretrained)": diagonal(one, "stir_ft_pt"),
        "self term, pretrained": diagonal(one, "stir_pt_pt"),
        "distance left, pretrained": one["inversion_loss_pt"].rename(ref_layer="layer"),
    }


def common_distance(ds: xr.Dataset, *, recipe: str | None = None) -> float:
    """Return the least distance, to a twentieth, that a recipe reaches at every layer and model.

    By default the first recipe.
    """
    recipe = recipe or str(ds["recipe"].values[0])
    ends = [
        float(ds[f"inversion_loss_{short}"].sel(recipe=recipe).min("snapshot").max())
        for short in _inverted(ds)
    ]
    return ceil(20 * np.nanmax(ends)) / 20  # NaN where a model was not inverted by this recipe


def settled(ds: xr.Dataset) -> xr.Dataset:
    """Return the comparison without looks into the middle of a schedule that ends with its steps.

    Half a run of such a rule is not a run of half the length.
    """
    free = [_split(name)[0] not in _ENDING for name in ds["recipe"].values]
    return ds.where(xr.DataArray(free, {"recipe": ds["recipe"]}, ["recipe"]) | _last(ds))


def _last(ds: xr.Dataset) -> xr.DataArray:
    """Return whether a snapshot is the end of a recipe."""
    ends = [_split(name)[1] for name in ds["recipe"].values]
    return ds["snapshot"] == xr.DataArray(ends, {"recipe": ds["recipe"]}, ["recipe"])


def one_curve(ds: xr.Dataset, *, stir: str = "ft_pt", unit: str = "relative") -> pd.DataFrame:
    """Return how far STIR of each recipe lies from the first one's curve over distance, by layer.

    It is the difference of debiased STIR at equal distance, the largest over the tasks: of
    STIR(fine-tuned | pretrained), which forgetting rests on, or with ``stir="pt_ft"`` of
    STIR(pretrained | fine-tuned), which learning rests on. The first rows have the largest one on
    the way, the others that at the least distance which both reach. The last row of each is the
    yardstick: how far the other seeds of the first recipe lie. With ``unit="centred"`` the distance
    is that of `invlib.metrics.distances.at_distance`. Of schedules only the end is taken.
    """
    short = stir.split("_")[1]
    of = {"relative": f"inversion_loss_{short}", "centred": f"inversion_loss_centred_{short}"}
    ds = settled(ds[[f"stir_{stir}", of[unit]]]).sel(estimator="debiased")
    values = diagonal(ds, f"stir_{stir}")
    left = ds[of[unit]].rename(ref_layer="layer").broadcast_like(values)
    one, others, parts = dict(seed=ds["seed"].values[0]), slice(1, None), {}
    for name, measure in {"on the way": gap, "at the end": _end_gap}.items():
        recipes = measure(values.sel(one), left.sel(one), "recipe").isel(recipe=others)
        parts[name] = recipes.max("task").transpose("recipe", "layer").to_pandas()
        if ds.sizes["seed"] > 1:
            draws = measure(values.isel(recipe=0), left.isel(recipe=0), "seed").isel(seed=others)
            parts[name].loc["other draws"] = draws.max(("task", "seed")).values
    names = ["", "from " + str(ds["recipe"].values[0])]
    return pd.concat(parts, names=names)


def _end_gap(values: xr.DataArray, left: xr.DataArray, dim: str) -> xr.DataArray:
    """Return how far curves lie from the first of `dim` at the least distance that both reach."""
    first = values.isel({dim: 0}), left.isel({dim: 0})
    dims = [["snapshot"]] * 4
    return xr.apply_ufunc(_at_end, values, left, *first, input_core_dims=dims, vectorize=True)


def _at_end(values: np.ndarray, left: np.ndarray, first: np.ndarray, its: np.ndarray) -> float:
    curves = []
    for y, x in ((values, left), (first, its)):
        known = np.isfinite(y) & np.isfinite(x)
        order = np.argsort(x[known])
        curves.append((x[known][order], y[known][order]))
    if not all(len(x) for x, _ in curves):
        return np.nan
    at = max(x[0] for x, _ in curves)
    if any(at > x[-1] for x, _ in curves):
        return np.nan
    one, other = (np.interp(at, x, y) for x, y in curves)
    return abs(one - other)


def by_rule(ds: xr.Dataset) -> xr.Dataset:
    """Return results that have one run a number of steps as curves, (recipe, snapshot, …).

    A recipe is then a rule and its start, and a snapshot a run of so many steps.
    """
    names = [
        str(rule) if init == "noise" else f"{rule}:{init}"
        for rule, init in zip(ds["rule"].values, ds["init"].values, strict=True)
    ]
    runs = pd.MultiIndex.from_arrays([names, ds["steps"].values], names=["curve", "snapshot"])
    coords = xr.Coordinates.from_pandas_multiindex(runs, "recipe")
    bare = ds.drop_vars(["recipe", "rule", "init", "steps"]).assign_coords(coords)
    return bare.unstack("recipe").rename(curve="recipe")


def shared_distance(ds: xr.Dataset) -> float:
    """Return the least distance, to a twentieth, that every recipe without a schedule reaches."""
    recipes = [name for name in ds["recipe"].values if _split(name)[0] not in _ENDING]
    return max(common_distance(ds, recipe=name) for name in recipes)


def readings(ds: xr.Dataset, *distances: float) -> dict[str, xr.Dataset]:
    """Return the comparison as read in several ways: after steps, at distances, otherwise.

    Each has neither ``recipe`` nor ``snapshot``, and one estimator: whatever takes a comparison
    takes it. Other similarities are read at the first of the distances.
    """
    first, *others = (str(name) for name in ds["recipe"].values)
    rules = {recipe: _split(recipe) for recipe in (first, *others)}
    # nobody asks here what a single image does
    ds = ds.drop_vars([name for name in ds if str(name).endswith(("_jackknife", "_left_out"))])
    debiased = ds.sel(estimator=["debiased"])
    early = debiased.sel(recipe=first).sel(snapshot=50, method="nearest")
    out = {f"{first}, {early['snapshot'].item()} steps": early}
    out |= {
        f"{recipe}, its end": debiased.sel(recipe=recipe, snapshot=rules[recipe][1])
        for recipe in (first, *others)
    }
    out |= {
        f"{recipe}, at {distance:g}": at_distance(debiased.sel(recipe=recipe), distance)
        for distance in distances
        for recipe in (first, *others)
        if rules[recipe][0] not in _ENDING
    }
    main = at_distance(ds.sel(recipe=first), distances[0])
    for similarity in ds["estimator"].values:
        if similarity != "debiased":
            name = f"{first}, at {distances[0]:g}, {similarity}"
            out[name] = main.sel(estimator=[similarity])
    return out


def findings(
    ds: xr.Dataset, claims: Iterable[Claim], *distances: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two tables, claims by readings: the number that decides, and whether it holds.

    A number is NaN where the claim needs layers that were not read. Whether it holds is also
    unknown where the claim's threshold is that of another similarity.
    """
    numbers: dict[str, dict[str, float]] = {}
    holds: dict[str, dict[str, bool | None]] = {}
    for name, part in readings(ds, *distances).items():
        estimator = part["estimator"].item()
        with kept_curves():
            for claim in claims:
                if not claim.lacking(part):
                    value = float(claim.measure(part, "measured").mean(skipna=True))
                    numbers.setdefault(claim.id, {})[name] = value
                    holds.setdefault(claim.id, {})[name] = claim.met(value, estimator, "measured")
    tables = (pd.DataFrame.from_dict(numbers, orient="index", dtype=float),
              pd.DataFrame.from_dict(holds, orient="index", dtype=object))  # fmt: skip
    return tuple(table.rename_axis("claim") for table in tables)


def side_by_side(
    runs: Mapping[str, xr.Dataset], claims: Iterable[Claim]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return `findings` of several runs: debiased, by the first recipe of each.

    At its end, and at the least distance that it reaches at every layer.
    """
    claims, numbers, holds = list(claims), [], []
    for title, ds in runs.items():
        main = ds.isel(recipe=[0]).sel(estimator=["debiased"])
        for tables, table in zip((numbers, holds), findings(main, claims, common_distance(main)),
                                 strict=True):  # fmt: skip
            ends = table.drop(columns=[name for name in table if str(name).endswith(" steps")])
            tables.append(ends.rename(columns=lambda name, title=title: f"{title}: {name}"))
    return pd.concat(numbers, axis=1), pd.concat(holds, axis=1)


def marked(numbers: pd.DataFrame, holds: pd.DataFrame) -> Styler:
    """Return the numbers of `findings` for a page, bold where the claim's condition holds."""
    marks = holds.map(lambda yes: "font-weight: bold" if yes is True else "")
    return numbers.style.apply(lambda _: marks, axis=None).format(precision=2, na_rep="")


def at_one_distance(
    runs: Mapping[str, xr.Dataset], distance: float, measure: str = "forgetting"
) -> pd.DataFrame:
    """Return debiased forgetting or learning at one distance, (task, run and draw) × layer.

    Of the first recipe of each run that was made for it, and of the layers that all of these have;
    NaN where a layer was not read.
    """
    compute, short = _MEASURES[measure]
    parts = {}
    for title, ds in runs.items():
        if short not in _inverted(ds):
            continue
        one = compute(at_distance(ds.isel(recipe=0).sel(estimator="debiased"), distance))
        for seed in one["seed"].values:
            name = f"{title}, draw {seed}" if one.sizes["seed"] > 1 else title
            parts[name] = one.sel(seed=seed, drop=True).reset_coords(drop=True)
    table = xr.concat(parts.values(), xr.Variable("run", list(parts)), join="inner")
    return table.stack(row=["task", "run"]).transpose("row", "layer").to_pandas().round(3)


def extrapolations(ds: xr.Dataset, measure: str = "forgetting") -> pd.DataFrame:
    """Return forgetting or learning of the first recipe at its end and extrapolated to distance 0.

    Debiased, in the mean over seeds. How far the forms differ is a lower bound of the error; the
    last columns are what each form misses the last look by, if that is held out.
    """
    one = ds.isel(recipe=0).sel(estimator="debiased").mean("seed", keep_attrs=True)
    compute, short = _MEASURES[measure]
    values = compute(one)
    found = extrapolate(values, one[f"inversion_loss_{short}"].rename(ref_layer="layer"))
    at_zero, held_out = ({str(f): found[name].sel(form=f, drop=True) for f in found["form"].values}
                         for name in ("at_zero", "held_out"))  # fmt: skip
    columns = {"end": values.isel(snapshot=-1, drop=True)}
    columns |= {f"at 0, {form}": value for form, value in at_zero.items()}
    columns["forms differ by"] = found["at_zero"].max("form") - found["at_zero"].min("form")
    columns |= {f"held out, {form}": value for form, value in held_out.items()}
    return xr.Dataset(columns).to_dataframe()[list(columns)].round(3)
