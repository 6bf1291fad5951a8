"""Known invariances: what is trained and measured, and that planted relations are read rightly."""

import numpy as np
import pytest
import torch
import xarray as xr

from invlib.data.embedded.shapes import draw_shapes
from invlib.names import SIMILARITIES
from invlib.results.netcdf import open_results
from invlib.training.seen import trained_on
from papers.engine import truth_tables as tables
from papers.engine.blind import Blind, basis_of, limit
from papers.engine.known_invariances import COLOUR, FORM
from papers.engine.truth_figures import distance_errors, dots
from papers.engine.work.known_invariances import moved
from papers.parameters import ParameterError, load_scale
from papers.sections import SECTIONS


def section(**parameters):
    return SECTIONS["known_invariances"].from_parameters(parameters)


def test_after_the_same_first_training_only_the_labels_differ():
    one = section(second_n=50)
    runs = [one.second_run(COLOUR, second, 0) for second in (COLOUR, FORM)]
    assert runs[0].weights == runs[1].weights and runs[0].seed == runs[1].seed
    own, other = map(trained_on, runs)
    np.testing.assert_array_equal(own.images, other.images)
    np.testing.assert_array_equal(own.labels // 2, other.labels)
    first = trained_on(one.first_run(COLOUR, 0).model_copy(update={"n_train": 50}))
    assert (own.images != first.images).any((1, 2, 3)).all()  # the placebo has new pictures


def test_the_first_training_of_a_laptop_is_that_of_paper_a():
    other = SECTIONS["how_inverted"]()
    assert section().first_run(COLOUR, 0).id == other.pretraining_run().id


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"first_datasets": ["shape"]}, "did you mean 'shapes'"),
        ({"known_recipes": ["ngd:5:nois"]}, "did you mean 'noise'"),
        ({"shapes_recipe": "anytim"}, "did you mean 'anytime'"),
    ],
)
def test_a_bad_parameter_is_an_error_before_any_work(parameters, message):
    with pytest.raises(ParameterError, match=message):
        section(**parameters)


def test_movement_is_relative_to_that_between_random_pictures():
    pictures = {c: draw_shapes(30, "test", change=c)[0] for c in (None, "colour", "place")}
    model = Blind(torch.eye(3 * 32**2)[500:520], 32)  # sees twenty numbers of a picture
    values = moved(model, pictures, [0]).sel(layer=0)
    x = {c: v.transpose(0, 3, 1, 2).reshape(30, -1)[:, 500:520] / 255 for c, v in pictures.items()}
    far = np.linalg.norm(np.roll(x[None], 1, 0) - x[None], axis=1).sum()
    assert values["change"].values.tolist() == ["colour", "place"]
    for change in ("colour", "place"):
        near = np.linalg.norm(x[change] - x[None], axis=1).sum()
        assert float(values.sel(change=change)) == pytest.approx(near / far, rel=1e-4)


def planted(follows: bool) -> xr.Dataset:
    """Results in which measures follow movement under a change of colour, or are noise."""
    rng, layers, seeds = np.random.default_rng(0), 7, 5
    names = [COLOUR, FORM]
    dims = ("train_seed", "pretraining", "dataset", "change", "layer")
    movement = xr.DataArray(rng.random((seeds, 2, 2, 4, layers)), dims=dims).assign_coords(
        pretraining=names, dataset=names, change=["colour", "shape", "texture", "place"],
        layer=range(layers), train_seed=range(seeds),
    )  # fmt: skip
    colour = movement.sel(change="colour", drop=True)
    noise = xr.zeros_like(colour) + rng.random(colour.shape)
    values = {"forgetting": colour, "learning": 1 - colour} if follows else {}
    measures = {
        name: values.get(name, noise).expand_dims(estimator=["biased", "debiased"], snapshot=[5])
        for name in ("forgetting", "learning")
    }
    others = {
        f"{name}_{short}": xr.ones_like(measures["learning"])
        for name in ("distance", "self_term") for short in ("pt", "ft")
    }  # fmt: skip
    moves = {"moved_after": movement, "moved_before": movement[:, :, 0]}
    return xr.Dataset(measures | moves | others)


def test_a_planted_relation_is_found_and_noise_is_not():
    found = tables.relations(planted(follows=True))["follows"]
    assert found.xs("colour", level=1).tolist() == ["yes", "yes"]
    assert "yes" not in found.drop("colour", level=1).tolist()
    nothing = tables.relations(planted(follows=False))["follows"]
    assert nothing.xs("colour", level=1).tolist() == ["cannot tell", "cannot tell"]
    assert "**Yes**" in tables.trained_says(planted(follows=True))
    assert "**Yes**" not in tables.trained_says(planted(follows=False))


def test_the_placebo_is_subtracted():
    ds = planted(follows=True)
    ds["forgetting"] = ds["forgetting"] + xr.DataArray(
        [0.0, 5.0], {"dataset": [COLOUR, FORM]}, "dataset"
    )
    off = tables.corrected(ds["forgetting"]).mean(["train_seed", "layer", "estimator", "snapshot"])
    assert float(off.sel(pretraining=COLOUR)) == pytest.approx(5, abs=0.5)  # then by form
    assert float(off.sel(pretraining=FORM)) == pytest.approx(-5, abs=0.5)


def test_depth_alone_is_no_relation_and_directions_are_compared():
    ds = planted(follows=True)
    with_depth = ds.assign(
        forgetting=ds["forgetting"] * 0 + ds["layer"] * (ds["dataset"] == COLOUR)
    )
    fixed = tables.given_depth(ds["layer"] + ds["moved_after"] * 0.1, ds["layer"] + 0.0)
    assert not (abs(fixed) > 0.99).any()
    both = tables.contrast(with_depth).sel(measure="forgetting")
    np.testing.assert_allclose(both.mean("train_seed"), 2 * ds["layer"])  # up there, down here
    assert "matter than where it becomes noise in layers 1, 2, 3" in tables.trained_says(with_depth)
    assert tables.contrast(ds.isel(pretraining=[0])) is None


def test_what_depth_explains_is_no_plain_yes():
    """Both grow with depth where colour starts to matter, and have nothing else in common."""
    ds, rng = planted(follows=False), np.random.default_rng(1)
    grows = ds["layer"] * (ds["dataset"] == COLOUR)
    forgetting = ds["forgetting"] + grows + rng.normal(size=ds["forgetting"].shape)
    said = tables.trained_says(
        ds.assign(forgetting=forgetting, moved_after=ds["moved_after"] + grows)
    )
    assert "**Yes, but not for certain beyond what depth explains**" in said


def test_one_training_has_no_interval():
    ds = planted(follows=True).isel(train_seed=[0])
    assert set(tables.relations(ds)["follows"]) == {"cannot tell"}
    assert "1 training: no interval" in tables.trained_says(ds)


def test_measures_are_read_at_a_distance_where_it_was_passed():
    ds = planted(follows=True)
    before = ds.assign_coords(snapshot=[1])
    two = xr.concat([before.assign(forgetting=before["forgetting"] + 1), ds], "snapshot",
                    data_vars="minimal")  # fmt: skip
    layers = np.array([[0.4] * 6 + [0.2], [0.2] * 5 + [0.3, 0.1]])  # 6 starts nearer
    for name in ("distance_pt", "distance_ft"):
        two[name] = two[name] * 0 + xr.DataArray(layers, dims=("snapshot", "layer"))
    assert tables.common_distance(two) == 0.3
    read = tables.looked(two, 0.3)["forgetting"].dropna("layer")
    last = tables.looked(two)["forgetting"]
    assert read["layer"].values.tolist() == [0, 1, 2, 3, 4, 5]
    off = (read - last).mean(["train_seed", "pretraining", "dataset"])
    np.testing.assert_allclose(off, [0.5] * 5 + [0])  # half of the way, and at the last snapshot
    table = tables.by_reading(two)
    assert table["forgetting"].loc["layers read"].tolist() == [
        "0, 1, 2, 3, 4, 5, 6",
        "0, 1, 2, 3, 4, 5",
    ]
    assert tables.expected(two, 0.3)[FORM][2].sizes["layer"] == 6


def built(error: float) -> xr.Dataset:
    """Results of networks that are built, with a known error and a known spread over draws."""
    grid = dict(
        construction=["flips", "grey"], side=[4], recipe=["ngd:9", "anytime:9:images"],
        built_snapshot=[3, 9], built_layer=["linear"], shared=["all", "less", "some"],
        n_images=[8, 16], seed=[0, 1, 2], similarity=list(SIMILARITIES),
    )  # fmt: skip
    cube = xr.DataArray(np.ones([len(v) for v in grid.values()]), grid, list(grid))
    draws = xr.DataArray([-1.0, 0, 1], {"seed": [0, 1, 2]}, "seed") / cube["n_images"]
    truth = (cube * 0.5 + draws).isel(built_snapshot=0, drop=True)
    left = cube * 0.2 / cube["built_snapshot"]
    return xr.Dataset(
        {
            "truth": truth.transpose(*(d for d in grid if d != "built_snapshot")),
            "measured": (cube * (0.5 + error) + 2 * draws).transpose(*grid),
            "distance": left.isel(shared=0, n_images=0, similarity=0, drop=True),
            "truth_limit": cube[:, :, :, 0, 0, :, 0, 0, 0].drop_vars(
                ["built_snapshot", "built_layer", "n_images", "seed", "similarity"]) * 0.4,
            "n_seen": (cube[:, :, 0, 0, 0, 0, 0, 0, 0] * 24).reset_coords(drop=True),
        }
    )  # fmt: skip


def test_error_and_spread_are_those_that_were_planted():
    curves = tables.errors_over_distance(built(error=0.1))
    assert curves["recipe"].values.tolist() == ["anytime:9:images"]
    np.testing.assert_allclose(curves["error"], 0.1)
    np.testing.assert_allclose(curves["spread"].sel(n_images=8), 1 / 8)
    np.testing.assert_allclose(curves["spread"].sel(n_images=16), 1 / 16)
    np.testing.assert_allclose(curves["distance"].squeeze(), [0.2 / 3, 0.2 / 9])
    assert len(distance_errors(curves).axes) == len(SIMILARITIES)


def test_bias_and_spread_are_told_for_every_similarity():
    table = tables.by_number(built(error=0.1))
    assert table.index.get_level_values(0).unique().tolist() == list(SIMILARITIES)
    bias, spread = table["bias", 24].unstack(), table["spread", 24].unstack()
    np.testing.assert_allclose(spread, [[1 / 8, 1 / 16]] * 5)
    np.testing.assert_allclose(bias.loc[["biased", "debiased"]], 0.1)  # true 0.5, limit 0.4
    np.testing.assert_allclose(bias.loc[["trimmed", "mutual_knn"]], [[0, np.nan]] * 2, atol=1e-9)
    ends = [
        limit(rows[block < 2], rows[block < 3], 4, "images", similarity="procrustes")
        for rows, block in (basis_of(name, 4) for name in ("flips", "grey"))
    ]
    np.testing.assert_allclose(
        bias.loc["procrustes"], max((0.5 - end for end in ends), key=abs), atol=1e-6
    )


def test_the_section_computes_and_stores_its_results(tmp_path, monkeypatch):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path)
    one = SECTIONS["known_invariances"].from_parameters(
        load_scale("smoke")
        | {"first_datasets": [COLOUR, FORM], "known_snapshots": [1, 2, 5], "known_seeds": [0, 1]}
    )
    one.dataset()
    ds = open_results(one.output)
    truth = ds["truth"].sel(shared=["all", "more"], similarity=["biased", "debiased", "trimmed"])
    np.testing.assert_allclose(truth.sel(built_layer="linear"), 1, atol=1e-4)
    assert ds["measured"].sel(built_snapshot=5).isnull().all()  # beyond the recipes' own steps
    assert ds["measured"].sel(built_snapshot=[1, 2]).notnull().all()
    np.testing.assert_array_equal(
        tables.last_look(ds["distance"]), ds["distance"].sel(built_snapshot=2)
    )
    assert (ds["drift"].sel(recipe="ngd:2", built_snapshot=2) < 0.5).all()
    assert ds["forgetting"].sizes == {
        "pretraining": 2, "dataset": 2, "train_seed": 1, "estimator": 2, "snapshot": 2, "layer": 2,
    }  # fmt: skip
    assert tables.error_table(ds).shape == (2, 7) and tables.by_layer(ds).shape == (2, 6)
    assert len(tables.built_says(ds).splitlines()) == 4  # two recipes, two starts
    assert "Starts `images`: the true X′ has 0% of its numbers outside" in tables.built_says(ds)
    left = max(ds.distance_pt.isel(snapshot=-1).max(), ds.distance_ft.isel(snapshot=-1).max())
    assert f"leave a distance of {float(left):.2f} or less" in tables.trained_says(ds)
    assert len(dots(tables.followed(ds)).axes) == 8
    curves = tables.errors_over_distance(ds)
    assert len(distance_errors(curves).axes) == 5  # a similarity each, one side
    assert tables.similarity_table(ds).shape == (2, 5)
    number = tables.by_number(ds)
    assert number.shape == (10, 2) and number.loc["biased", "bias"].notnull().all(axis=None)
    assert tables.by_reading(ds).loc["layers read"].tolist()[::2] == ["0, 3", "0, 3"]
    assert tables.accuracy_table(ds).shape == (2, 3)
