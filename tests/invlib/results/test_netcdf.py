"""Files of results: whole, readable again, and refused by name where they are not."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import invlib.files
import invlib.paths
import invlib.results.netcdf
from invlib.results.netcdf import open_results, save_results
from invlib.results.validation import ResultError, conform, validate
from tests.invlib.results.datasets import SIZES, comparison, small, training


@pytest.mark.parametrize("kind", ["probes", "benchmark"])
def test_each_kind_has_a_valid_example(kind, tmp_path):
    path = save_results(small(kind), tmp_path / f"{kind}.nc")
    xr.testing.assert_identical(open_results(path), conform(small(kind)))


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
    assert invlib.results.netcdf._engine() == "netcdf4"
    monkeypatch.setattr(invlib.results.netcdf.importlib.util, "find_spec", lambda name: None)
    assert invlib.results.netcdf._engine() == "h5netcdf"


@pytest.mark.parametrize(
    "value",
    ["text", "", "é", 1, -2, 2.5, np.float32(1), np.int64(3), [1, 2], (1.5, 2.0), ["a", "b"],
     np.arange(3), np.array([0.5, 1]), np.array(["a", "b"]), 2**63],
)  # fmt: skip
def test_attributes_of_ones_own_come_back(tmp_path, value):
    ds = small("benchmark").assign_attrs(note=value)
    ds["speed"].attrs["note"] = value
    again = open_results(save_results(ds, tmp_path / "x.nc"))
    for attrs in (again.attrs, again["speed"].attrs):
        assert np.array_equal(attrs["note"], value)


@pytest.mark.parametrize(
    "value",
    [True, None, {"a": 1}, {1}, Path("/x"), 1j, b"bytes", [1, "a"], [True], 2**70, "a\0b",
     [[1, 2], [3, 4]], [[1], [1, 2]], range, object(), np.datetime64("2026-01-01"),
     np.zeros((2, 2)), np.float16(1), ["a", None], np.array(["a", None], object)],
)  # fmt: skip
def test_attributes_that_would_not_come_back_are_refused_by_name(tmp_path, value):
    kind = type(value).__name__
    for ds, owner in ((small("benchmark").assign_attrs(note=value), "written: "),
                      (small("benchmark"), "speed: ")):  # fmt: skip
        if "note" not in ds.attrs:
            ds["speed"].attrs["note"] = value
        with pytest.raises(ResultError, match=f"{owner}attribute 'note' is of type {kind}.*json"):
            save_results(ds, tmp_path / "x.nc")


# --- the digest of the content --------------------------------------------------------------------


def rewritten(path, change):
    """Write the file again with another program after `change`: no checksum of netCDF sees it."""
    with xr.open_dataset(path, decode_times=False) as opened:
        ds = opened.load()
    change(ds)
    ds.drop_encoding().to_netcdf(path, engine="netcdf4")


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds["test_loss"].values.__setitem__(1, np.nextafter(1.0, 2.0)),
        lambda ds: ds.attrs.update(device="another"),
        lambda ds: ds["test_loss"].attrs.update(long_name="a loss"),
        lambda ds: ds.coords.update({"epoch": ("epoch", [0, 1, 3], ds["epoch"].attrs)}),
        lambda ds: ds.update({"test_loss": ds["test_loss"].astype("f4")}),
    ],
)
def test_content_that_was_changed_is_refused(change, tmp_path):
    path = save_results(training(), tmp_path / "log.nc")
    rewritten(path, lambda ds: None)
    xr.testing.assert_identical(open_results(path), conform(training()))
    rewritten(path, change)
    with pytest.raises(ResultError, match=r"log\.nc is damaged, or was changed by another program"):
        open_results(path)
    rewritten(path, lambda ds: ds.attrs.pop("content_sha256"))  # as the message says
    open_results(path)


def test_a_result_that_was_opened_and_edited_is_saved_again(tmp_path):
    path = save_results(training(), tmp_path / "log.nc")
    ds = open_results(path).assign_attrs(device="another")
    ds["test_loss"] = ds["test_loss"] * 2
    save_results(ds, path)
    assert open_results(path).attrs["device"] == "another"


@pytest.mark.parametrize(
    "value",
    ["", "ähnlich", "two\nlines", [1], [1.5, 2.5], ["one"], ["a", "b"], np.float32(0.1), 3, 2.0,
     np.array([1, 2], "i2")],
)  # fmt: skip
def test_attributes_of_all_types_have_the_digest_that_a_file_gives_back(value, tmp_path):
    ds = training().assign_attrs(note=value)
    open_results(save_results(ds, tmp_path / "log.nc"))


def test_reference_results_open(tmp_path):
    """Those of older versions have no digest; saved again they have one."""
    path = sorted((invlib.paths.project_root() / "data/results/cifar").glob("dynamics.nc"))
    if path:  # a checkout of the library alone has none
        ds = open_results(path[0])
        xr.testing.assert_identical(ds, open_results(save_results(ds, tmp_path / "again.nc")))


def test_numbers_that_were_never_written_are_refused():
    """netCDF gives its fill value for them, where a loss has no upper bound."""
    ds = conform(training())
    ds["test_loss"][1] = netCDF4.default_fillvals["f8"]
    with pytest.raises(ResultError, match=r"test_loss: holds numbers that were never written"):
        validate(ds)
    ds = conform(small("benchmark"))
    name = next(iter(ds.data_vars))
    ds[name] = ds[name].astype("f4") * 0 + np.float32(netCDF4.default_fillvals["f4"])
    ds[name].attrs = {"long_name": "speed", "units": "1/s"}
    with pytest.raises(ResultError, match="never written"):
        validate(ds)


def test_arrays_carry_the_checksum_of_hdf5_too(tmp_path):
    """It tells which variable is damaged, and programs that know nothing of the digest check it."""
    with netCDF4.Dataset(save_results(comparison(), tmp_path / "whole.nc")) as file:
        filters = {name: v.filters() for name, v in file.variables.items() if v.ndim}
    numbers = {name: f for name, f in filters.items() if name in comparison().data_vars}
    assert numbers and all(f["fletcher32"] and f["zlib"] for f in numbers.values())


THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from invlib.results.netcdf import open_results, save_results
path = sys.argv[1]
def use(k):
    for _ in range(4):
        save_results(open_results(path), f"{path}.{k}.nc")
    return open_results(f"{path}.{k}.nc").identical(open_results(path))
with ThreadPoolExecutor(10) as many:
    print(sum(many.map(use, range(10))))
"""


def test_ten_threads_read_and_write(tmp_path):
    """Without a lock the C library ends the process, or damages what it reads."""
    path = save_results(training(), tmp_path / "log.nc")
    sources = Path(invlib.results.netcdf.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", THREADS, str(path)], cwd=sources, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "10\n"), done.stderr[-2000:]


def test_an_error_without_a_reason_asks_about_the_disk(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("NetCDF: HDF error")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(
        OSError, match=r"log\.nc could not be written \(NetCDF: HDF error\); is the"
    ):
        save_results(training(), tmp_path / "log.nc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("other", [None, {}, comparison()["stir_ft_pt"], "file.nc"])
def test_only_a_dataset_is_saved(other, tmp_path):
    with pytest.raises(TypeError, match=r"not a Dataset; open_results.*\['name'\]\] has a single"):
        save_results(other, tmp_path / "result.nc")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
@pytest.mark.parametrize("path", ["/proc/x.nc", "/proc/a/x.nc", "/dev/null/x.nc"])
def test_where_nothing_can_be_written_is_said_as_such(path):
    folder = os.path.dirname(path)
    with pytest.raises(OSError, match=f"{folder} is no folder that can be written to") as caught:
        save_results(comparison(), path)
    assert "No space" not in str(caught.value)


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "link.nc").symlink_to(tmp_path / "there" / "result.nc")
    save_results(comparison(), tmp_path / "link.nc")
    assert (tmp_path / "link.nc").is_symlink() and open_results(tmp_path / "there" / "result.nc")


def test_a_name_as_long_as_the_system_takes(tmp_path):
    path = save_results(training(), tmp_path / f"{'a' * 252}.nc")
    assert open_results(path).equals(training()) and len(list(tmp_path.iterdir())) == 1


def test_the_home_folder_is_known_by_its_sign(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert save_results(training(), "~/new/result.nc") == tmp_path / "new" / "result.nc"
    assert open_results("~/new/result.nc").equals(training())


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are POSIX")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.nc")
    with pytest.raises(OSError, match="pipe.nc is a folder or a pipe, not a result file"):
        open_results(tmp_path / "pipe.nc")


def test_half_precision_is_refused_before_it_is_written(tmp_path):
    ds = comparison()
    ds["stir_ft_pt"] = ds["stir_ft_pt"].astype(np.float16)
    with pytest.raises(ResultError, match="stir_ft_pt: dtype float16, but float is required"):
        save_results(ds, tmp_path / "result.nc")
