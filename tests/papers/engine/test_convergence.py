"""Convergence: tables read the curves rightly, unfit snapshots are named, a small run is whole."""

import numpy as np
import pytest
import xarray as xr

from invlib.results.netcdf import open_results
from papers.across.work.claims_ledger import CLAIMS
from papers.engine.work.convergence import (
    at_one_distance,
    beside_untrained,
    by_choice,
    by_rule,
    by_steps,
    common_distance,
    extrapolations,
    findings,
    marked,
    measures,
    one_curve,
    readings,
    settled,
    shared_distance,
    side_by_side,
)
from papers.parameters import ParameterError
from papers.sections import SECTIONS

LAYERS = np.arange(13)
STEPS = [25, 50, 100, 200]
RECIPES = ["anytime:200", "fast:50", "ngd:100"]
ENDS = [200, 50, 100]


def followed(off: float = 0.0) -> xr.Dataset:
    """STIR is linear in the distance; that of the last recipe lies `off` by more in layer 5.

    The distance is halved with every snapshot and grows with the layer. ngd is always a snapshot
    behind, so that it shares distances with the first recipe.
    """
    coords = dict(
        recipe=RECIPES, task=["classification", "reconstruction"], snapshot=STEPS,
        estimator=["biased", "debiased"], seed=[0, 1], ref_layer=LAYERS, layer=LAYERS,
        depth=("layer", LAYERS / 12),
    )  # fmt: skip
    step = xr.DataArray([0, 1, 2, 3], coords={"snapshot": STEPS}, dims="snapshot")
    row = xr.DataArray(LAYERS, coords={"ref_layer": LAYERS}, dims="ref_layer")
    behind = xr.DataArray([0, 0, 1], coords={"recipe": RECIPES}, dims="recipe")
    ends = xr.DataArray(ENDS, coords={"recipe": RECIPES}, dims="recipe")
    seed = xr.DataArray([0, 1], coords={"seed": [0, 1]}, dims="seed")
    left = (0.8 + 0.02 * row) / 2.0 ** (step - behind)
    left = left.where((step.snapshot <= ends) & ((seed == 0) | (behind.recipe == RECIPES[0])))
    task = xr.DataArray([0.1, 0.2], coords={"task": coords["task"]}, dims="task")
    layer = xr.DataArray(LAYERS, coords={"layer": LAYERS}, dims="layer")
    estimator = xr.DataArray([0.05, 0], coords={"estimator": coords["estimator"]}, dims="estimator")
    far = off * (behind.recipe == RECIPES[2]) * (row == 5)
    own = 0.95 - 0.1 * left - 0.01 * abs(row - layer) + 0.0 * estimator
    other = own - task - 0.1 * left + 0.02 * seed + far + estimator
    ds = xr.Dataset(
        dict(stir_pt_pt=own, stir_ft_ft=own + 0 * task, stir_ft_pt=other, stir_pt_ft=other,
             inversion_loss_pt=left, inversion_loss_ft=left + 0 * task,
             cka_ft_pt=0.9 - task - 0 * row - 0 * layer - 0 * seed + 0 * estimator,
             cka_pt_pt=1 - 0 * row - 0 * layer - 0 * seed + 0 * estimator),
    )  # fmt: skip
    return ds.assign_coords(coords)


def test_the_common_distance_is_what_the_worst_layer_reaches():
    assert common_distance(followed()) == pytest.approx(0.15)  # (0.8 + 0.24) / 8 = 0.13
    assert common_distance(followed(), recipe="ngd:100") == pytest.approx(0.55)


def test_a_recipe_off_the_curve_is_seen_beside_other_draws():
    table = one_curve(followed(off=0.3))
    assert table.index.unique(0).tolist() == ["on the way", "at the end"]
    for _, part in table.groupby(level=0):
        part = part.droplevel(0)
        assert part.index.tolist() == ["fast:50", "ngd:100", "other draws"]
        assert part.loc["ngd:100", 5] == pytest.approx(0.3)
        assert part.loc["ngd:100"].drop(5).max() == pytest.approx(0)
        np.testing.assert_allclose(part.loc["other draws"], 0.02)
    ds = followed(off=0.3)
    ds["inversion_loss_centred_pt"] = 3 * ds.inversion_loss_pt
    assert one_curve(ds, unit="centred").equals(table)  # the same curves, stretched


def test_recipes_that_come_together_are_apart_on_the_way_alone():
    ds = followed()
    early = ds["snapshot"] < 100
    ds["stir_ft_pt"] = ds["stir_ft_pt"] + 0.3 * (early & (ds["recipe"] == "ngd:100"))
    ds["stir_ft_pt"] = ds["stir_ft_pt"] + 0.2 * (early & (ds["seed"] == 1))
    table = one_curve(ds)
    np.testing.assert_allclose(table.loc[("on the way", "ngd:100")], 0.3)
    np.testing.assert_allclose(table.loc[("at the end", "ngd:100")], 0, atol=1e-9)
    np.testing.assert_allclose(table.loc[("on the way", "other draws")], 0.22)
    np.testing.assert_allclose(table.loc[("at the end", "other draws")], 0.02)
    nearer = ds["inversion_loss_pt"] / (1 + 0.2 * (ds["seed"] == 1))  # and so no end in common
    table = one_curve(ds.assign(inversion_loss_pt=nearer))
    assert table.loc[("at the end", "other draws")].between(0.005, 0.05).all()


def test_what_learning_rests_on_has_a_curve_of_its_own():
    ds = followed(off=0.3)
    assert one_curve(ds, stir="pt_ft").equals(one_curve(ds))  # the two are alike here
    ds["stir_pt_ft"] = ds["stir_pt_ft"] * 0
    assert (one_curve(ds, stir="pt_ft") == 0).all(axis=None)


def test_a_look_into_a_schedule_is_none_at_a_curve():
    ds = followed()
    early = (ds["recipe"] == "fast:50") & (ds["snapshot"] < 50)
    ds["stir_ft_pt"] = ds["stir_ft_pt"] + 0.3 * early
    np.testing.assert_allclose(one_curve(ds).xs("fast:50", level=1), 0, atol=1e-9)
    kept = settled(ds)["stir_ft_pt"].notnull().any(["task", "seed", "ref_layer", "layer"])
    looks = kept.sel(estimator="debiased").transpose("recipe", "snapshot").values.tolist()
    assert looks == [[True] * 4, [False, True, False, False], [True, True, True, False]]


def test_runs_of_their_own_steps_become_curves():
    runs = ["fast:50", "ngd:25", "fast:25", "fast:25:images"]
    rule, steps, init = zip(*((*name.split(":"), "noise")[:3] for name in runs), strict=True)
    coords = dict(
        recipe=runs, rule=("recipe", list(rule)), init=("recipe", list(init)),
        steps=("recipe", [int(s) for s in steps]), layer=[0, 1],
    )  # fmt: skip
    values = xr.DataArray([[5.0, 6], [1, 2], [3, 4], [7, 8]], coords, ["recipe", "layer"])
    curves = by_rule(xr.Dataset({"left": values}))["left"]
    assert curves["recipe"].values.tolist() == ["fast", "fast:images", "ngd"]
    assert curves["snapshot"].values.tolist() == [25, 50]
    assert curves.sel(recipe="fast", layer=1).values.tolist() == [4, 6]
    assert float(curves.sel(recipe="fast:images", snapshot=25, layer=0)) == 7
    assert curves.sel(snapshot=50).isnull().any("layer").values.tolist() == [False, True, True]


def test_the_shared_distance_is_what_the_slowest_rule_without_a_schedule_reaches():
    assert shared_distance(followed()) == pytest.approx(0.55)  # ngd:100; fast:50 does not count


def test_runs_are_read_at_one_distance_on_the_layers_they_share():
    ds = followed().sel(estimator=["debiased"])
    few = dict(layer=[0, 6, 12], ref_layer=[0, 6, 12])
    larger = ds.sel(**few, seed=[0]).copy()
    larger["stir_ft_pt"] = larger["stir_ft_pt"] - 0.05
    table = at_one_distance({"64 pixels": ds, "96 pixels": larger}, 0.15)
    assert table.columns.tolist() == [0, 6, 12]
    rows = ["64 pixels, draw 0", "64 pixels, draw 1", "96 pixels"]
    assert table.index.tolist() == [
        (task, row) for task in ("classification", "reconstruction") for row in rows
    ]
    lost = table.loc["classification"]
    np.testing.assert_allclose(lost.loc[rows[0]], 0.1 + 0.1 * 0.15)  # as `followed` has it
    np.testing.assert_allclose(lost.loc[rows[1]] - lost.loc[rows[0]], -0.02)
    np.testing.assert_allclose(lost.loc[rows[2]] - lost.loc[rows[0]], 0.05)
    assert at_one_distance({"64 pixels": ds}, 0.05).isna().all(axis=None)  # nobody got there
    learnt = at_one_distance({"64 pixels": ds, "96 pixels": _forgetting_alone(larger)}, 0.15,
                             "learning")  # fmt: skip
    assert learnt.loc["classification"].index.tolist() == rows[:2]  # the larger one has none
    np.testing.assert_allclose(learnt.loc["classification"].loc[rows[0]], 0.1 + 0.1 * 0.15)


def test_runs_are_judged_side_by_side():
    claims = [claim for claim in CLAIMS["finetuning_task"] if "u-shape" in claim.id]
    few, many = followed(), followed(off=0.3)
    numbers, holds = side_by_side({"few": few, "many": many}, claims)
    reads = [f"{RECIPES[0]}, its end", f"{RECIPES[0]}, at 0.15"]
    assert list(numbers) == list(holds) == [f"{t}: {r}" for t in ("few", "many") for r in reads]
    alone, _ = findings(few, claims, 0.15)
    for read in reads:  # the other recipes and similarities change nothing of it
        np.testing.assert_allclose(numbers[f"few: {read}"], alone[read])
    assert holds.notna().all(axis=None)


def _forgetting_alone(ds: xr.Dataset) -> xr.Dataset:
    return ds.drop_vars(["stir_pt_ft", "stir_ft_ft", "inversion_loss_ft"])


def test_measures_are_of_every_recipe_and_snapshot():
    ds = measures(followed())
    one = ds.sel(estimator="debiased", recipe="anytime:200", snapshot=50, seed=0, layer=4)
    assert float(one["distance left, pretrained"]) == pytest.approx(0.44)
    expected = 0.1 + 0.1 * 0.44
    assert float(one.forgetting.sel(task="classification")) == pytest.approx(expected)
    assert float(one.learning.sel(task="reconstruction")) == pytest.approx(expected + 0.1)


def test_without_the_fine_tuned_model_inverted_there_is_no_learning():
    ds = followed()
    whole, part = (
        measures(ds),
        measures(_forgetting_alone(ds)),
    )
    assert set(whole) - set(part) == {
        "learning",
        "self term, fine-tuned",
        "distance left, fine-tuned",
    }
    assert part.equals(whole[list(part)])


def test_readings_differ_in_recipe_distance_and_similarity():
    parts = readings(followed(), 0.3, 0.5)
    assert list(parts) == [
        "anytime:200, 50 steps",
        "anytime:200, its end", "fast:50, its end", "ngd:100, its end", "anytime:200, at 0.3",
        "ngd:100, at 0.3", "anytime:200, at 0.5", "ngd:100, at 0.5", "anytime:200, at 0.3, biased",
    ]  # fmt: skip
    for part in parts.values():
        assert part.sizes["estimator"] == 1
        assert not {"recipe", "snapshot"} & set(part.dims)
    at = parts["anytime:200, at 0.3"]
    np.testing.assert_allclose(at.inversion_loss_pt.isel(seed=0), 0.3)
    fifty = parts["anytime:200, 50 steps"].inversion_loss_pt.isel(seed=0)
    np.testing.assert_allclose(fifty, (0.8 + 0.02 * LAYERS) / 2)
    end = parts["ngd:100, its end"].inversion_loss_pt.isel(seed=0)
    np.testing.assert_allclose(end, (0.8 + 0.02 * LAYERS) / 2)


def test_findings_are_the_numbers_of_claims():
    claims = [*CLAIMS["finetuning_task"], *CLAIMS["compression_expansion"]]
    numbers, holds = findings(followed(), claims, 0.3)
    more = "A-4.1-reconstruction-learns-more"
    np.testing.assert_allclose(numbers.loc[more].drop("ngd:100, at 0.3"), 0.1)
    assert np.isnan(numbers.loc[more, "ngd:100, at 0.3"]) and holds.loc[more].isna().sum() == 1
    assert holds.loc[more].dropna().all()
    similar = holds.loc["A-4.1-similarity-is-not-invariance"].dropna()
    assert not similar.any()  # learning is of the size of CKA divergence
    assert any(id.startswith("A-4.3-") for id in numbers.index)
    shown = marked(numbers, holds).to_html()
    assert shown.count("font-weight: bold") >= 1 and "nan" not in shown


def test_what_is_linear_in_distance_is_extrapolated_exactly():
    table = extrapolations(followed()).xs("classification", level="task")
    np.testing.assert_allclose(table["at 0, a + b·d"], 0.1 - 0.01, atol=1e-3)  # mean over draws
    np.testing.assert_allclose(table["held out, a + b·d"], 0, atol=1e-3)
    assert (abs(table["held out, a + b·d²"]) > 0.001).all()
    apart = abs(table["at 0, a + b·d"] - table["at 0, a + b·d²"])
    np.testing.assert_allclose(table["forms differ by"], apart, atol=1.5e-3)
    learnt = extrapolations(followed(), "learning").xs("classification", level="task")
    np.testing.assert_allclose(learnt["at 0, a + b·d"], 0.1 - 0.01, atol=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"convergence": ["fast:50", "ngd:100"]},
        {"convergence": ["fast:40"], "convergence_snapshots": [20, 10, 40]},
        {"convergence": ["fast:40", "ngd:30"], "convergence_snapshots": [10, 20, 40]},
    ],
)
def test_snapshots_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ParameterError, match="convergence_snapshots.*steps of the first recipe"):
        SECTIONS["convergence"].from_parameters(wrong)


def test_a_small_run_has_what_each_recipe_reached(tmp_path, monkeypatch):
    monkeypatch.setenv("INVLIB_DATA", str(tmp_path))
    section = SECTIONS["convergence"].from_parameters(
        dict(scale="smoke", weights=None, model="vit_pico_patch8_32", pretraining_n=32,
             pretraining_epochs=0, finetuning_n=32, finetuning_test_n=16, finetuning_epochs=1,
             convergence=["anytime:4", "fast:2:images"], convergence_snapshots=[1, 2, 4],
             convergence_n=6, convergence_layers=None, convergence_seeds=[0, 1],
             convergence_shown=[0, 3], convergence_against=[0.5, -0.5],
             convergence_against_steps=2, cache=False)
    )  # fmt: skip
    ds = section.dataset()
    assert open_results(section.output).identical(ds)
    reached = ds.inversion_loss_pt.notnull().any("ref_layer")
    assert reached.sel(recipe="anytime:4").all()
    fast = reached.sel(recipe="fast:2:images")
    for ended in (fast, reached.sel(recipe="anytime:2 +0.5")):
        steps = ended.sel(seed=0).any("task").values.tolist()
        assert steps == [True, True, False] and not ended.sel(seed=1).any()
    away, near = (ds.sel(recipe=f"anytime:2 {w:+g}", snapshot=2, seed=0) for w in (0.5, -0.5))
    assert (abs(away.stir_ft_pt - near.stir_ft_pt) > 1e-4).any()
    choices = by_choice(ds, "reconstruction")["STIR(fine-tuned | pretrained)"]
    assert choices.choice.values.tolist() == ["plain", "+0.5", "-0.5"]
    expected = ds.stir_ft_pt.sel(recipe="anytime:4", snapshot=2, seed=0, layer=2, ref_layer=2)
    expected = expected.sel(task="reconstruction", estimator="debiased")
    assert float(choices.sel(choice="plain", layer=2)) == float(expected)
    assert any(name.startswith("anytime:2 +0.5, its end") for name in readings(ds, 0.9))
    baseline = beside_untrained(ds)
    assert not baseline.isnull().any() and baseline.dims == ("which", "layer")
    assert baseline["which"].values.tolist()[-1] == "untrained"
    own, other = (baseline.sel(which=name) for name in ("pretrained itself", "untrained"))
    assert (abs(own - other) > 1e-3).any()  # it is another network
    assert set(by_steps(ds, "classification")["forgetting"].dims) == {"snapshot", "seed", "layer"}
    assert ds.way_images.sizes["snapshot"] == 3
    few = section.model_copy(update=dict(convergence_learning=False))
    less = few.dataset()
    assert not [name for name in less if name.endswith("_ft") and name != "stir_control_ft"]
    xr.testing.assert_identical(less["stir_ft_pt"], ds["stir_ft_pt"])
    assert common_distance(less) <= common_distance(ds)
