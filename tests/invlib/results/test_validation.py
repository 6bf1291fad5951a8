"""What a result must be: names and units are filled in, and what is wrong is refused by name."""

import numpy as np
import pytest
import xarray as xr

from invlib.results.netcdf import save_results
from invlib.results.schema import KINDS, SCHEMA_VERSION
from invlib.results.validation import ResultError, conform, validate
from tests.invlib.results.datasets import LAYERED, comparison, refused, small, training


def test_conform_fills_names_and_units_and_keeps_those_given():
    ds = comparison()
    ds["stir_ft_pt"].attrs["long_name"] = "my own name"
    done = conform(ds)
    assert done["stir_ft_pt"].attrs == {"long_name": "my own name", "units": "1"}
    assert done["depth"].attrs == {"long_name": "depth of the layer", "units": "1"}
    assert done["channel"].values.tolist() == ["red", "green", "blue"]
    assert done["y"].attrs["units"] == "pixel"
    assert done.attrs["schema_version"] == SCHEMA_VERSION
    assert "units" not in ds["depth"].attrs and "channel" not in ds.coords  # the given is untouched


def test_conform_puts_stacked_dims_first():
    tasks = xr.concat([comparison(0), comparison(1)], "task", join="outer")
    both = xr.concat([tasks, tasks], "train_seed", join="outer").transpose("layer", ...)
    both = both.assign_coords(task=["classification", "reconstruction"], train_seed=[0, 1])
    with pytest.raises(ResultError, match=r"stir_ft_pt: dims .* must be in order"):
        validate(both)
    done = conform(both)
    validate(done)
    square = ("estimator", "seed", "ref_layer", "layer")
    assert done["stir_ft_pt"].dims == ("task", "train_seed", *square)


def test_training_may_lack_training_values_before_the_first_step_only():
    ds = training()
    ds["train_loss"][0] = np.nan
    validate(conform(ds))
    ds["train_loss"][1] = np.nan
    assert "train_loss: 1 of 3 values are NaN" in refused(ds)


def test_without_stir_the_inversion_variables_are_not_needed():
    validate(conform(comparison()[["cka_ft_pt", "cka_pt_pt", "subspace_ft_pt", *LAYERED]]))


def test_debiased_may_be_negative_and_biased_may_not():
    ds = comparison()
    ds["cka_ft_pt"].loc[{"estimator": "debiased"}] = -0.2
    validate(conform(ds))
    ds["cka_ft_pt"].loc[{"estimator": "biased"}] = -0.2
    assert "cka_ft_pt (biased): values from -0.2 to -0.2, but only [0, 1]" in refused(ds)
    one = comparison().sel(estimator="biased")
    assert "no dim 'estimator'" in refused(one)


def test_without_an_image_a_value_may_not_exist():
    ds = comparison()
    ds["cka_ft_pt_jackknife"][0, 0, 0, 0] = np.nan
    validate(conform(ds.drop_vars("left_out")))  # a mere count, filled in
    ds["cka_ft_pt_jackknife"].loc[{"estimator": "biased"}] = -0.2
    assert "cka_ft_pt_jackknife (biased): values from -0.2" in refused(ds)


def test_rounding_is_no_violation():
    ds = comparison()
    ds["cka_pt_pt"][:] = 1 + 5e-7
    validate(conform(ds))
    ds["cka_pt_pt"][:] = 1 + 5e-6
    assert "cka_pt_pt" in refused(ds)


def test_a_combination_nobody_ran_may_be_missing_whole():
    ds = xr.concat([comparison(0), comparison(1)], "task", join="outer")
    ds = ds.assign_coords(task=["classification", "reconstruction"])
    ds["stir_ft_pt"][1] = np.nan
    validate(conform(ds))
    ds["stir_ft_pt"][0, 0, 0, 0, 0] = np.nan
    assert refused(ds) == "stir_ft_pt: 1 of 72 values are NaN"


def test_a_draw_on_which_the_finetuned_model_was_not_inverted_may_be_missing_whole():
    ds = comparison()
    ds["inversion_loss_ft"][1] = np.nan
    validate(conform(ds))
    ds["inversion_loss_ft"][0, 0] = np.nan
    assert refused(ds) == "inversion_loss_ft: 1 of 6 values are NaN"
    ds["inversion_loss_ft"][:] = np.nan  # a variable without a number
    assert refused(ds) == "inversion_loss_ft: 6 of 6 values are NaN"


@pytest.mark.parametrize("name", ["inversion_loss_pt", "stir_ft_ft", "stir_ft_pt", "cka_ft_pt"])
def test_of_all_else_no_draw_may_be_missing(name):
    ds = comparison()
    ds[name].loc[{"seed": ds["seed"][1]}] = np.nan
    assert f"{name}: " in refused(ds) and "values are NaN" in refused(ds)


def test_accuracy_stacks_without_layers():
    ds = comparison().assign(test_accuracy=("task", [0.9, np.nan]))
    validate(conform(ds.assign_coords(task=["classification", "reconstruction"])))


def with_attr(name, value):
    return lambda ds: ds.assign_attrs({name: value})


def without_attr(name):
    return lambda ds: ds.drop_attrs().assign_attrs({k: v for k, v in ds.attrs.items() if k != name})


def with_value(name, value):
    def change(ds):
        ds[name] = ds[name].copy()
        ds[name][(0,) * ds[name].ndim] = value
        return ds

    return change


WRONG = {
    "unknown variable": (
        lambda ds: ds.rename(stir_ft_pt="stir_ft_tp"),
        "unknown variable 'stir_ft_tp' in a comparison; did you mean 'stir_ft_pt'?",
    ),
    "nothing to compare": (
        lambda ds: ds[["stir_control_pt", *LAYERED]],
        "a comparison needs 'stir_ft_pt' or 'stir_ft_pt_diagonal' or 'cka_ft_pt'",
    ),
    "no variables": (lambda ds: ds.drop_vars(list(ds.data_vars)), "comparison without variables"),
    "missing dim": (
        lambda ds: ds.assign(stir_ft_pt=ds["stir_ft_pt"].isel(seed=0, drop=True)),
        "stir_ft_pt: no dim 'seed'; its own dims are (estimator, seed, ref_layer, layer)",
    ),
    "unknown dim": (
        lambda ds: ds.assign(stir_ft_pt=ds["stir_ft_pt"].expand_dims(epochs=[1])),
        "stir_ft_pt: unexpected dim 'epochs'; did you mean 'epoch'?",
    ),
    "integer": (
        lambda ds: ds.assign(inversion_loss_pt=ds["inversion_loss_pt"].astype(int)),
        "inversion_loss_pt: dtype int64, but float is required",
    ),
    "float pictures": (
        lambda ds: ds.assign(example_images=ds["example_images"].astype(float)),
        "example_images: dtype float64, but uint8 is required",
    ),
    "STIR above one": (with_value("stir_pt_pt", 1.5), "but only [0, 1] is possible"),
    "negative loss": (with_value("inversion_loss_ft", -0.1), "inversion_loss_ft: values from -0.1"),
    "infinite loss": (with_value("inversion_loss_ft", np.inf), "to inf, but only [0, inf]"),
    "NaN": (with_value("stir_ft_ft", np.nan), "stir_ft_ft: 1 of 36 values are NaN"),
    "empty": (lambda ds: ds.isel(seed=[]), "stir_ft_pt: empty, its shape is (2, 0, 3, 3)"),
    "STIR without loss": (
        lambda ds: ds.drop_vars("inversion_loss_pt"),
        "stir_ft_pt needs 'inversion_loss_pt' beside it",
    ),
    "STIR without control": (
        lambda ds: ds.drop_vars("stir_control_ft"),
        "stir_ft_pt_diagonal needs 'stir_control_ft' beside it",
    ),
    "jackknife of nothing": (
        lambda ds: ds.drop_vars(["cka_pt_pt", "cka_pt_pt_diagonal"]),
        "cka_pt_pt_jackknife needs 'cka_pt_pt' or 'cka_pt_pt_diagonal' beside it",
    ),
    "left out of nothing": (
        lambda ds: ds.drop_vars("stir_ft_ft"),
        "stir_ft_ft_left_out needs 'stir_ft_ft' beside it",
    ),
    "wrong units": (
        lambda ds: ds.assign(cka_ft_pt=ds["cka_ft_pt"].assign_attrs(units="percent")),
        "cka_ft_pt: units 'percent', but '1' is required",
    ),
    "empty long name": (
        lambda ds: ds.assign(cka_ft_pt=ds["cka_ft_pt"].assign_attrs(long_name="")),
        "cka_ft_pt: no 'long_name'",
    ),
    "dim without coordinate": (lambda ds: ds.drop_vars("seed"), "dim 'seed' has no coordinate"),
    "no layer name": (
        lambda ds: ds.drop_vars("layer_name"),
        "no coordinate 'layer_name' along 'layer'",
    ),
    "unknown coordinate": (
        lambda ds: ds.rename(depth="dept"),
        "unknown coordinate 'dept'; did you mean 'depth'?",
    ),
    "coordinate elsewhere": (
        lambda ds: ds.assign_coords(depth=("ref_layer", [0.0, 0.5, 1.0])),
        "coordinate 'depth' lies along ('ref_layer',), must lie along ('layer',)",
    ),
    "unknown estimator": (
        lambda ds: ds.assign_coords(estimator=["biased", "unbiased"]),
        "estimator='unbiased' is not one of 'biased', 'debiased', 'procrustes', 'mutual_knn', "
        "'trimmed'; did you mean",
    ),
    "repeated seed": (
        lambda ds: ds.assign_coords(seed=[3, 3]),
        "coordinate 'seed' repeats a value",
    ),
    "layers as text": (
        lambda ds: ds.assign_coords(ref_layer=list("abc")),
        "but int is required",
    ),
    "falling layers": (
        lambda ds: ds.assign_coords(layer=[0, 2, 1]),
        "coordinate 'layer' must increase, is [0, 2, 1]",
    ),
    "depth above one": (
        lambda ds: ds.assign_coords(depth=("layer", [0.0, 0.5, 2.0])),
        "depth: values from 0 to 2, but only [0, 1] is possible",
    ),
    "unknown kind": (
        with_attr("kind", "comparision"),
        "kind='comparision' is not one of 'comparison', 'training', 'probes', 'benchmark'",
    ),
    "no kind": (without_attr("kind"), "no attribute 'kind'"),
    "no device": (without_attr("device"), "no attribute 'device'"),
    "empty command": (with_attr("command", ""), "attribute command='' must be str"),
    "text for a number": (with_attr("wall_time_s", "3"), "attribute wall_time_s='3' must be"),
    "parameters not JSON": (with_attr("parameters", "n=3"), "attribute parameters is not JSON"),
    "seeds no list": (with_attr("seeds", "3"), "attribute seeds must be a JSON list, is 3"),
    "newer": (with_attr("schema_version", 2), "schema version 2 is newer than 1"),
    "version as text": (with_attr("schema_version", "1"), "schema_version='1' is not"),
}


@pytest.mark.parametrize("change, message", WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_refused_by_name(change, message, tmp_path):
    ds = change(comparison())
    assert message in refused(ds)
    path = tmp_path / "wrong.nc"
    with pytest.raises(ResultError, match=r"wrong\.nc was not written: "):
        save_results(ds, path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_names_the_nearest():
    said = refused(comparison().assign_attrs(kind="comparision"))
    first = next(iter(KINDS))  # those of papers, too, where it has been imported
    assert f"kind='comparision' is not one of {first!r}, " in said
    assert "; did you mean 'comparison'?" in said
    assert "import papers, in a checkout of the book" in said


def test_all_that_is_wrong_is_said_at_once():
    ds = comparison().drop_vars("layer_name").rename(cka_pt_pt="cka_pp")
    assert len(refused(ds).splitlines()) == 2


def test_a_dataset_in_the_making_needs_no_provenance():
    ds = conform(comparison()).drop_attrs(deep=False).assign_attrs(kind="comparison")
    validate(ds, provenance=False)
    with pytest.raises(ResultError, match="no attribute 'parameters': add"):
        validate(ds)


def test_a_benchmark_labels_the_coordinates_that_others_have_too():
    ds = small("benchmark").expand_dims(seed=[0])
    with pytest.raises(ResultError, match="seed: no 'long_name'"):
        validate(ds.assign_attrs(schema_version=SCHEMA_VERSION))
    validate(conform(ds))


def test_a_benchmark_says_its_units():
    ds = small("benchmark")
    del ds["speed"].attrs["units"]
    assert refused(ds) == "speed: no 'units'"
    ds = small("benchmark").assign(speed=("method", ["fast", "slow"]))
    assert "speed: dtype" in refused(ds)
    ds = small("benchmark").assign(speed=small("benchmark")["speed"] * np.inf)
    assert "speed: infinite values" in refused(ds)
