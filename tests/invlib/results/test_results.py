"""Results: what is written can be read, and what is wrong is refused by name."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import invlib.files
import invlib.results.netcdf
import invlib.results.provenance
from invlib.results.netcdf import (
    ResultError,
    conform,
    open_results,
    provenance,
    save_results,
    validate,
)
from invlib.results.schema import COORDS, KINDS, SCHEMA_VERSION, STACKING
from papers.pages import _duration, provenance_html

ATTRS = provenance(
    parameters={"scale": "smoke", "seeds": [0, 1], "n": 5},
    seeds=(0, 1),
    wall_time=65.2,
    command="papermill notebooks/a.ipynb out.ipynb -y 'seeds: [0, 1]'",
)
SIZES = {
    "estimator": 2, "seed": 2, "layer": 3, "ref_layer": 3, "iteration": 4, "left_out": 5,
    "example": 2, "y": 5, "x": 5, "channel": 3,
}  # fmt: skip
LAYERED = {
    "layer": [0, 1, 2],
    "layer_name": ("layer", ["embed", "block 1", "block 2"]),
    "depth": ("layer", [0.0, 0.5, 1.0]),
}
COORDINATES = LAYERED | {
    "estimator": ["biased", "debiased"],
    "seed": [0, 7],
    "ref_layer": [0, 1, 2],
    "iteration": [1, 2, 3, 4],
    "left_out": [0, 1, 2, 3, 4],
}


def comparison(seed: int = 0, sizes: dict[str, int] = SIZES, coords=COORDINATES) -> xr.Dataset:
    """A valid comparison with every variable it can have."""
    generator = np.random.default_rng(seed)
    variables = {}
    for name, field in KINDS["comparison"].variables.items():
        dims = [dim for dim in field.dims.split() if not dim.endswith("?")]
        if "severity" in dims:
            continue
        shape = [sizes[dim] for dim in dims]
        if field.dtype == "uint8":
            variables[name] = (dims, generator.integers(0, 256, shape, dtype=np.uint8))
        else:
            variables[name] = (dims, generator.random(shape))
    return xr.Dataset(variables, coords, attrs=ATTRS | {"kind": "comparison"})


def training() -> xr.Dataset:
    losses = {name: ("epoch", [2.3, 1.0, 0.5]) for name in ("train_loss", "test_loss")}
    return xr.Dataset(losses, {"epoch": [0, 1, 2]}, attrs=ATTRS | {"kind": "training"})


def small(kind: str) -> xr.Dataset:
    """A valid Dataset of one of the kinds that have few obligations."""
    claims = {"claim": ["a1", "a2"]}
    verdict = ("claim", ["reproduced", "not testable here"])
    variables = {
        "probes": ({"probe_accuracy": ("layer", [0.1, 0.5, 1.0])}, LAYERED),
        "robustness": ({"corrupted_accuracy": ("severity", [0.9, 0.5])}, {"severity": [0, 5]}),
        "claims": ({"verdict": verdict, "value": ("claim", [0.3, np.nan])}, claims),
        "benchmark": (
            {"speed": ("method", [1.0, 2.0], {"units": "1/s", "long_name": "images per second"})},
            {"method": ["ours", "theirs"]},
        ),
    }[kind]
    return xr.Dataset(*variables, attrs=ATTRS | {"kind": kind})


def refused(ds: xr.Dataset) -> str:
    with pytest.raises(ResultError) as caught:
        validate(conform(ds))
    return str(caught.value)


# --- the schema -----------------------------------------------------------------------------------


def test_the_tables_agree_with_themselves():
    for kind in KINDS.values():
        fields = kind.variables or {}
        for name, field in fields.items():
            assert field.long_name and field.units, name
            for dim in field.dims.replace("?", "").split():
                assert dim in COORDS, (name, dim)
        for group in kind.needs:
            assert set(group) <= set(fields)
    for name, field in COORDS.items():
        assert field.dims in COORDS and field.long_name, name
    assert set(STACKING) <= set(COORDS)


def test_the_variables_of_the_design_are_there_with_their_dims():
    square, control = "estimator seed ref_layer layer", "estimator seed layer"
    expected = {
        **dict.fromkeys(["stir_ft_pt", "stir_pt_ft", "stir_pt_pt", "stir_ft_ft"], square),
        **dict.fromkeys(["cka_ft_pt", "cka_pt_pt"], square),
        **dict.fromkeys(["stir_control_pt", "stir_control_ft"], control),
        **dict.fromkeys(["inversion_loss_pt", "inversion_loss_ft"], "seed ref_layer"),
        "subspace_ft_pt": "seed ref_layer layer",
    }
    fields = KINDS["comparison"].variables
    assert {name: fields[name].dims for name in expected} == expected


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


@pytest.mark.parametrize("kind", ["probes", "robustness", "claims", "benchmark"])
def test_each_kind_has_a_valid_example(kind, tmp_path):
    path = save_results(small(kind), tmp_path / f"{kind}.nc")
    xr.testing.assert_identical(open_results(path), conform(small(kind)))


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
        "estimator='unbiased' is not one of 'biased', 'debiased'; did you mean",
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
        f"kind='comparision' is not one of {', '.join(map(repr, KINDS))}; did you mean "
        "'comparison'?",
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


def test_a_verdict_is_one_of_four_words():
    ds = small("claims").assign(verdict=("claim", ["mixed", "true"]))
    assert "verdict='true' is not one of 'reproduced', 'not reproduced', 'mixed'" in refused(ds)


# --- files ----------------------------------------------------------------------------------------


def test_round_trip_is_identical(tmp_path):
    path = tmp_path / "deep" / "down" / "result.nc"
    assert save_results(comparison(), path) == path
    again = open_results(path)
    xr.testing.assert_identical(again, conform(comparison()))
    assert again["example_images"].dtype == np.uint8 and again["seed"].dtype == np.int64
    assert [p.name for p in path.parent.iterdir()] == ["result.nc"]
    assert again.encoding == {}  # no path of this machine rides along into the next file
    save_results(again, path)  # what was read can be written, over what it was read from
    xr.testing.assert_identical(open_results(path), again)


@settings(deadline=None, max_examples=8)
@given(
    st.integers(0, 2**16),
    st.fixed_dictionaries({dim: st.integers(1, 4) for dim in ("seed", "layer", "example", "y")}),
    st.sampled_from([np.float32, np.float64]),
    st.lists(st.sampled_from(["epoch", "task", "n_train"]), unique=True),
)
def test_any_valid_dataset_comes_back(seed, sizes, dtype, stacked):
    sizes = SIZES | sizes | {"ref_layer": sizes["layer"]}
    layers = np.arange(sizes["layer"])
    coords = {
        "layer": layers, "ref_layer": layers, "seed": np.arange(sizes["seed"]) * 5,
        "layer_name": ("layer", [f"block {k}" for k in layers]),
        "depth": ("layer", layers / 4), "estimator": ["biased", "debiased"],
    }  # fmt: skip
    ds = comparison(seed, sizes, coords)
    for name, array in ds.data_vars.items():
        if array.dtype.kind == "f":
            ds[name] = array.astype(dtype)
    for dim in stacked:
        label = "ähnlich 'x'" if dim == "task" else 3
        ds["cka_ft_pt"] = ds["cka_ft_pt"].expand_dims({dim: [label]}, axis=-1)
    with tempfile.TemporaryDirectory() as folder:
        path = save_results(ds, Path(folder) / "any.nc")
        xr.testing.assert_identical(open_results(path), conform(ds))


def test_the_file_has_the_rights_of_any_other_file(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    path = save_results(training(), tmp_path / "log.nc")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_missing_file_names_its_neighbour(tmp_path):
    save_results(training(), tmp_path / "finetuning_task.nc")
    with pytest.raises(FileNotFoundError, match=r"finetuning_tasks\.nc; did you mean 'fine"):
        open_results(tmp_path / "finetuning_tasks.nc")
    with pytest.raises(FileNotFoundError, match=r"no result at .*nofolder/a\.nc"):
        open_results(tmp_path / "nofolder" / "a.nc")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        open_results(tmp_path)
    with pytest.raises(ValueError, match=r"must end in '\.nc'"):
        save_results(training(), tmp_path / "log.csv")


def test_a_torn_file_is_refused_by_name_wherever_it_was_cut(tmp_path):
    whole = save_results(comparison(), tmp_path / "whole.nc").read_bytes()
    torn = tmp_path / "torn.nc"
    cuts = {0, 1, 7, 8, 9, 48, 96, 512, 2048, len(whole) // 2, len(whole) - 100, len(whole) - 1}
    for length in sorted(cuts):
        torn.write_bytes(whole[:length])
        with pytest.raises(ResultError, match=r"torn\.nc is (empty, torn or|torn or damaged)"):
            open_results(torn)


def test_damaged_pictures_are_noticed(tmp_path):
    ds = comparison(sizes=SIZES | {"y": 64, "x": 64})
    path = save_results(ds, tmp_path / "whole.nc")
    blob = bytearray(path.read_bytes())
    middle = len(blob) // 2  # most of the file is pictures, and random ones do not compress
    blob[middle] ^= 0xFF
    path.write_bytes(blob)
    with pytest.raises(ResultError, match=r"whole\.nc is torn or damaged"):
        open_results(path)


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "text.nc").write_text("not a netCDF file, but long enough to look at")
    with pytest.raises(ResultError, match=r"text\.nc is empty, torn or not a netCDF 4 file"):
        open_results(tmp_path / "text.nc")
    xr.Dataset({"t": ("x", [1.0, 2.0])}).to_netcdf(tmp_path / "weather.nc", engine="netcdf4")
    with pytest.raises(ResultError, match=r"weather\.nc is a netCDF file, but not one that invlib"):
        open_results(tmp_path / "weather.nc")


def test_a_file_that_breaks_the_schema_is_refused_on_reading_too(tmp_path):
    path = tmp_path / "edited.nc"
    edited = conform(training()).rename(test_loss="tset_loss")
    edited.to_netcdf(path, engine="netcdf4")
    message = r"edited\.nc: unknown variable 'tset_loss' in a training; did you mean 'test_loss'"
    with pytest.raises(ResultError, match=message):
        open_results(path)
    conform(training()).assign_attrs(schema_version=9, kind="later").to_netcdf(path)
    with pytest.raises(ResultError, match=r"edited\.nc: schema version 9 is newer than 1"):
        open_results(path)


@pytest.mark.parametrize("where", ["write", "flush", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(where, error, tmp_path, monkeypatch):
    path = save_results(training(), tmp_path / "log.nc")
    old = path.read_bytes()
    real = xr.Dataset.to_netcdf

    def fail(*arguments, **options):
        if where == "write":  # half a file is there when it happens
            real(*arguments, **options)
        raise error

    target = {
        "write": (xr.Dataset, "to_netcdf"),
        "flush": (invlib.files.os, "fsync"),
        "replace": (invlib.files.os, "replace"),
    }[where]
    monkeypatch.setattr(*target, fail)
    with pytest.raises(type(error)):
        save_results(training().assign_attrs(device="another"), path)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["log.nc"]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = save_results(training(), tmp_path / "log.nc")
    script = (
        "import os, sys, signal, invlib.files, invlib.results.netcdf as r\n"
        "ds = r.open_results(sys.argv[1])\n"
        "invlib.files.os.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "r.save_results(ds.assign_attrs(device='another'), sys.argv[1])\n"
    )
    sources = Path(invlib.results.netcdf.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script, str(path)], cwd=sources)
    assert done.returncode == -9
    xr.testing.assert_identical(open_results(path), conform(training()))


@pytest.fixture
def as_an_ordinary_user():
    """Rights mean nothing to root: act as nobody for the length of the test, where that is us."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_rights_is_said_as_such(as_an_ordinary_user):
    folder = Path(tempfile.mkdtemp())
    try:
        path = save_results(training(), folder / "log.nc")
        folder.chmod(0o500)
        with pytest.raises(PermissionError):
            save_results(training(), path)
        path.chmod(0)
        with pytest.raises(PermissionError, match=r"log\.nc"):
            open_results(path)
        path.chmod(0o400)
        validate(open_results(path))
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_without_netcdf4_the_other_library_is_chosen(monkeypatch):
    present = {"h5netcdf", "h5py"}
    monkeypatch.setattr(
        invlib.results.netcdf.importlib.util, "find_spec", lambda name: name in present or None
    )
    assert invlib.results.netcdf._engine() == "h5netcdf"
    present.clear()
    with pytest.raises(ImportError, match="netCDF4, or h5netcdf and h5py"):
        invlib.results.netcdf._engine()


# --- provenance -----------------------------------------------------------------------------------


@dataclasses.dataclass
class Recipe:
    lr: float
    weights: object


class Model:
    def model_dump(self, mode):
        return {"scale": "smoke", "mode": mode}


def made(**parameters):
    attrs = provenance(parameters=parameters, seeds=[0], wall_time=1, command="make book")
    return json.loads(attrs["parameters"])


def test_parameters_become_json():
    assert made(a=np.float32(0.5), b=np.arange(2), c=(1, "x"), d=None, e=True) == {
        "a": 0.5, "b": [0, 1], "c": [1, "x"], "d": None, "e": True,
    }  # fmt: skip
    assert made(run=Recipe(0.1, PurePosixPath("/disk/w.pt")), layers={2, 1}, m=Model()) == {
        "run": {"lr": 0.1, "weights": "w.pt"},
        "layers": [1, 2],
        "m": {"scale": "smoke", "mode": "json"},
    }
    with pytest.raises(TypeError, match=r"parameters\.run\.weights=<object .* cannot be written"):
        made(run=Recipe(0.1, object()))
    with pytest.raises(ValueError, match=r"parameters\.lr\[1\]=inf is not finite"):
        made(lr=[1.0, np.inf])


@pytest.mark.parametrize(
    "text, stripped",
    [
        ("/home/ann/vit.safetensors", "vit.safetensors"),
        ("/home/ann lee/vit.safetensors", "vit.safetensors"),
        ("~/weights/vit.pt", "vit.pt"),
        ("C:\\Users\\ann\\vit.pt", "vit.pt"),
        ("file:///home/ann/vit.pt", "vit.pt"),
        ("root=/home/ann/data", "root=data"),
        ("weights: /home/ann/vit.pt, n: 3", "weights: vit.pt, n: 3"),
        ("weights/vit.pt", "weights/vit.pt"),
        ("../shared/vit.pt", "../shared/vit.pt"),
        ("https://example.org/a/vit.pt", "https://example.org/a/vit.pt"),
        ("learning and/or forgetting, 1/2", "learning and/or forgetting, 1/2"),
        ("digits", "digits"),
    ],
)
def test_no_absolute_path_is_kept(text, stripped):
    assert made(value=text) == {"value": stripped}
    assert made(value={"deep": [text]}) == {"value": {"deep": [stripped]}}


def test_the_command_keeps_its_quotes_and_loses_its_paths():
    attrs = provenance(
        parameters={}, seeds=[], wall_time=0,
        command="/opt/venv/bin/papermill a.ipynb '/home/ann lee/out.ipynb' -y 'seeds: [0, 1]'",
    )  # fmt: skip
    assert attrs["command"] == "papermill a.ipynb out.ipynb -y 'seeds: [0, 1]'"
    assert ATTRS["command"] == "papermill notebooks/a.ipynb out.ipynb -y 'seeds: [0, 1]'"
    attrs = provenance(parameters={}, seeds=[], wall_time=0, command="it's in /home/ann/x")
    assert attrs["command"] == "it's in x"


def test_nonsense_is_refused():
    for wall_time in (-1, np.nan):
        with pytest.raises(ValueError, match="wall_time"):
            provenance(parameters={}, seeds=[], wall_time=wall_time, command="make")
    with pytest.raises(ValueError, match="command is empty"):
        provenance(parameters={}, seeds=[], wall_time=1, command=" ")


def test_device_versions_and_time():
    assert ATTRS["device"].startswith("cpu: ") and "thread" in ATTRS["device"]
    assert json.loads(ATTRS["versions"])["xarray"] == xr.__version__
    assert ATTRS["created"].endswith("+00:00")
    attrs = provenance(parameters={}, seeds=[], wall_time=1, command="make", device="cpu: mine, 3")
    assert attrs["device"] == "cpu: mine, 3"


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of its own with the module in it, committed."""
    monkeypatch.delenv("INVLIB_GIT_COMMIT", raising=False)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "checkout"
    (folder / "invlib/results").mkdir(parents=True)
    (folder / "data/results").mkdir(parents=True)
    for name in ("invlib/results/provenance.py", "README.md", "data/results/a.nc"):
        (folder / name).write_text("first\n")
    (folder / ".gitignore").write_text("*.log\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    monkeypatch.setattr(
        invlib.results.provenance, "__file__", str(folder / "invlib/results/provenance.py")
    )
    return folder


def test_the_commit_is_that_of_the_sources_not_of_the_working_directory(checkout, monkeypatch):
    head = git(checkout, "rev-parse", "HEAD")
    monkeypatch.chdir(checkout.parent)
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as inside a git hook
    assert invlib.results.provenance._git_state() == (head, False)


def test_only_changed_sources_make_it_dirty(checkout):
    (checkout / "new.txt").write_text("untracked")
    (checkout / "run.log").write_text("ignored")
    (checkout / "data/results/a.nc").write_text("made again\n")
    assert invlib.results.provenance._git_state()[1] is False
    (checkout / "README.md").write_text("second\n")
    assert invlib.results.provenance._git_state()[1] is True


def test_outside_a_checkout_the_commit_is_unknown(checkout, monkeypatch):
    inside = checkout / "env" / "provenance.py"  # an environment inside somebody's repository
    inside.parent.mkdir()
    inside.write_text("")
    monkeypatch.setattr(invlib.results.provenance, "__file__", str(inside))
    assert invlib.results.provenance._git_state() == ("unknown", False)
    shutil.rmtree(checkout / ".git")
    monkeypatch.setattr(
        invlib.results.provenance, "__file__", str(checkout / "invlib/results/provenance.py")
    )
    assert invlib.results.provenance._git_state() == ("unknown", False)
    monkeypatch.setenv("INVLIB_GIT_COMMIT", "abc123-dirty")
    assert invlib.results.provenance._git_state() == ("abc123", True)


@pytest.mark.parametrize("error", [FileNotFoundError(), subprocess.TimeoutExpired("git", 10)])
def test_git_may_be_absent_or_hang(checkout, monkeypatch, error):
    def run(*arguments, **options):
        assert options["timeout"] == invlib.results.provenance.GIT_TIMEOUT_S
        raise error

    monkeypatch.setattr(invlib.results.provenance.subprocess, "run", run)
    assert invlib.results.provenance._git_state() == ("unknown", False)


def test_the_box_says_it_all_and_escapes_it(tmp_path):
    ds = comparison().assign_attrs(
        git_commit="0123456789abcdef",
        git_dirty=1,
        device="<b>GPU</b>",
        created="2025-01-02T03:04:05+00:00",
    )
    box = provenance_html(open_results(save_results(ds, tmp_path / "a.nc")))
    for text in (
        "smoke", "2 (0, 1)", "1 min 05 s", "0123456789 with uncommitted changes",
        "&lt;b&gt;GPU&lt;/b&gt;", "2025-01-02 03:04:05 UTC", "comparison, version 1",
        "-y &#x27;seeds: [0, 1]&#x27;",
    ):  # fmt: skip
        assert text in box, text
    assert "not stated" in provenance_html(ds.assign_attrs(parameters="{}", git_commit="unknown"))


@pytest.mark.parametrize(
    "seconds, text",
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (59.96, "1 min 00 s"), (3600, "1 h 00 min"),
     (3599.9, "1 h 00 min"), (7384, "2 h 03 min")],
)  # fmt: skip
def test_durations(seconds, text):
    assert _duration(seconds) == text
