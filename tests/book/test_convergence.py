"""The numbers that the page on convergence states are those of its reference result."""

import json

import pytest

import papers.sections  # noqa: F401  registers its kind of result
from invlib.metrics.invariance import forgetting
from invlib.paths import project_root, results_root
from invlib.results.netcdf import open_results
from papers.across.work.claims_ledger import CLAIMS
from papers.engine.work.convergence import (
    beside_untrained,
    by_choice,
    common_distance,
    extrapolations,
    findings,
    one_curve,
    shared_distance,
)


@pytest.fixture(scope="module")
def text():
    cells = json.loads((project_root() / "notebooks/convergence.ipynb").read_text())["cells"]
    return " ".join(" ".join("".join(cell["source"]).split()) for cell in cells)


@pytest.fixture(scope="module")
def ds():
    return open_results(results_root("cifar") / "convergence.nc")


@pytest.fixture(scope="module")
def forgotten(ds):
    return forgetting(ds).sel(estimator="debiased")


def span(values):
    return f"{float(values.min()):.2f} to {float(values.max()):.2f}"


def test_how_far_recipes_lie_off_the_curve(text, ds):
    table = one_curve(ds)
    way, end = (table.loc[where] for where in ("on the way", "at the end"))
    images, draws = way.loc["lbfgs:200:images", 0:8], way.loc["other draws"]
    assert (images > draws.loc[0:8]).all()
    where = f"{span(images)} off the curve of `lbfgs` from noise on the way in layers 0 to 8"
    assert f"{where}, where other draws lie {span(draws.loc[0:8])} off" in text
    kin = ["anytime:200", "tv:100", "fourier:100"]
    near = way.loc[kin, 1:2]
    assert (near > draws.loc[1:2]).all(axis=None)
    said = f"{span(near.values)} off on the way in layers 1 and 2, where other draws are "
    assert f"{said}{span(draws.loc[1:2])} off" in text


def test_what_driven_images_do(text, ds):
    stir, own, left = by_choice(ds, "classification").values()
    panels = dict(stir=stir, own=own, left=left)
    plain, driven = (
        {name: values.sel(choice=choice) for name, values in panels.items()}
        for choice in ("plain", "+0.3")
    )

    def at(which, name, layer):
        return f"{float(which[name].sel(layer=layer)):.2f}"

    for layer in (6, 8):
        assert f"of {at(driven, 'stir', layer)} instead of {at(plain, 'stir', layer)}" in text
    for name, words in dict(left="distance left is", own="self term").items():
        pair = [" and ".join(at(w, name, k) for k in (6, 8)) for w in (driven, plain)]
        assert f"{words} {pair[0]} instead of {pair[1]}" in text


def test_what_is_left_and_forgotten_late(text, ds, forgotten):
    main = forgotten.sel(recipe="lbfgs:400", task="classification", snapshot=400, layer=12)
    a, b, c = (f"{value:.2f}" for value in main.values)
    left = ds.inversion_loss_pt.sel(recipe="lbfgs:400", snapshot=400, ref_layer=12)
    assert f"layer 12 is at {span(left)}" in text and f"{a}, {b} and {c} in the three draws" in text
    for recipe, words in {
        "anytime:200": "`anytime` has",
        "lbfgs:200:images": "from images",
    }.items():
        cell = dict(recipe=recipe, task="classification", snapshot=200, seed=0)
        value = float(forgotten.sel(cell).sel(layer=12))
        distance = float(ds.inversion_loss_pt.sel(cell).sel(ref_layer=12))
        assert f"{words} {value:.2f} at {distance:.2f}" in text
    nine = forgotten.sel(recipe="lbfgs:400", task="classification", layer=9).mean("seed")
    ends = [f"{float(nine.sel(snapshot=s)):.2f}" for s in (50, 400)]
    assert f"it falls from {ends[0]} to {ends[1]} between 50 and 400" in text
    row = extrapolations(ds).loc[(9, "classification")]
    forms = [f"{value:.2f}" for name, value in row.items() if name.startswith("at 0")]
    assert f"one form says {forms[0]} and the other {forms[1]}" in text


def test_early_forgetting_of_reconstruction(text, forgotten):
    main = forgotten.sel(recipe="lbfgs:400", task="reconstruction")
    three, two = (
        [
            "{:.2f}, {:.2f} and {:.2f}".format(*main.sel(layer=k, snapshot=s).values)
            for s in (50, 400)
        ]
        for k in (3, 2)
    )
    assert f"it is {three[0]} after 50 steps, {three[1]} after 400" in text
    assert f"in layer 2 {two[0]}, then {two[1]}" in text


def test_how_many_claims_hang_on_the_reading(text, ds):
    claims = [*CLAIMS["finetuning_task"], *CLAIMS["compression_expansion"]]
    _, holds = findings(ds, claims, *sorted({common_distance(ds), shared_distance(ds)}))
    same = holds.apply(lambda row: row.dropna().nunique() == 1, axis=1)
    assert f"Of the {len(same)} claims above, {same.sum()} have the same answer" in text
    assert f"**What does not:** {(~same).sum()} of them" in text
    sought = [name for name in holds if " " in name.split(", ")[0]]  # X′ driven or drawn near
    plain = holds.drop(columns=sought).apply(lambda row: row.dropna().nunique() == 1, axis=1)
    assert f"and {plain.sum()} if X′ that are driven or drawn near are left out" in text
    recipes = [name for name in holds if name.endswith("its end")]
    beyond = holds.loc[holds.index.str.endswith("beyond-pretrained"), recipes]
    assert len(beyond) == 5 and (beyond.nunique(axis=1) == 2).sum() == 4
    assert (
        not holds.loc[["A-4.1-u-shape-learning", "A-4.1-u-shape-forgetting"]]
        .eq(True)
        .any(axis=None)
    )


def test_the_baseline_is_drawn_by_layer(ds):
    assert beside_untrained(ds).dims == ("which", "layer")
