"""A borrowed GPU: the dry run on a processor, what a bundle holds, what is merged and refused."""

import json
import os
import subprocess

import numpy as np
import pytest
import yaml

from invlib.paths import results_root
from invlib.results.netcdf import open_results, save_results
from papers.__main__ import main
from papers.engine import gpu
from papers.engine.pool import load_sections
from papers.engine.work import gpu as work
from papers.engine.work import gpu_images, gpu_parcel
from tests.workspace import ROOT

COMMIT = "c" * 40
FULL, TOY = yaml.safe_load(work.SIZES.read_text()).values()


@pytest.fixture(scope="module")
def back(tmp_path_factory):
    """What a dry run of all steps leaves, and what it prints."""
    folder = tmp_path_factory.mktemp("gpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("papers.section.runs_root", lambda scale: folder / "runs" / scale)
        became = gpu.run(folder / "back", toy=True)
    assert {step: what.split()[0] for step, what in became.items()} == dict.fromkeys(
        gpu.STEPS, "done"
    )
    return folder / "back"


def test_every_step_leaves_its_file_and_a_table(back):
    assert sorted(path.stem for path in back.iterdir()) == sorted(gpu.STEPS)
    for step in gpu.STEPS:
        table = work.summary(step, open_results(back / f"{step}.nc"))
        assert table.startswith(f"{step}\n") and len(table.splitlines()) > 4


def test_a_processor_is_as_it_should_be(back):
    table = work.checked(open_results(back / "checks.nc"))
    assert (table["as it should be"] == "yes").all()
    assert (table["found"].iloc[:2] == "0").all()  # it is compared with itself


def test_what_is_checked_can_fail(back):
    ds = open_results(back / "checks.nc")
    waiting = ds.assign(waits=ds["waits"] + [0, 5])
    stuck, other = ds.assign(moved=0 * ds["moved"]), ds.assign(again=ds["again"] + 1e-7)
    for wrong in (waiting, stuck, other, ds.assign(off_mean=ds["off_mean"] + 0.002)):
        assert (work.checked(wrong)["as it should be"] == "no").any()


def test_precisions_are_timed_at_few_steps_and_the_best_at_many(back):
    ds = open_results(back / "precisions.nc")
    assert ds["timing_precision"].values.tolist()[:3] == ["float32", "TF32", "bfloat16"]
    few, many = TOY["short"], TOY["long"]
    assert ds["timing_iterations"].values.tolist() == [few, few, few, many]
    rounded = ds.sel(way="bfloat16")
    assert (rounded["off_max"] >= rounded["off_mean"]).all() and (rounded["off_mean"] > 0).all()
    assert (ds["off_max"].sel(way="float32") == 0).all()


def test_convergence_has_all_recipes_starts_and_layers(back):
    ds = open_results(back / "convergence.nc")
    assert ds["recipe"].values.tolist() == TOY["recipes"]
    assert ds["init"].values.tolist() == ["noise", "noise", "images"]
    assert ds["layer"].values.tolist() == ds["ref_layer"].values.tolist() == [0, 1, 2, 3]
    assert ((ds["channel_share"] > 1 / 32) & (ds["channel_share"] < 1)).all()


def test_full_sizes_are_those_of_the_paper(tmp_path):
    assert FULL.keys() == TOY.keys()
    plan = work.Plan(tmp_path, precision="float32", toy=False, ends=0)
    assert (plan.untrained, plan.n, plan.long) == ("vit_base_patch32_224", 500, 50)
    assert (plan.section.img_size, plan.section.iterations) == (224, 200)
    assert plan.dynamics.n == 48 and plan.dynamics.finetuning_run("cifar10").epochs == 6


def test_draws_are_others(back):
    one, more = (open_results(back / f"{step}.nc") for step in ("finetuning_task", "draws"))
    assert one["seed"].values.tolist() == [0] and more["seed"].values.tolist() == [1, 2]


def test_no_step_begins_when_the_budget_is_over(tmp_path, capsys):
    became = gpu.run(tmp_path, ["precisions", "checks"], budget=0, toy=True)
    assert list(became) == ["checks", "precisions"]  # most valuable first
    assert all(what.startswith("skipped") for what in became.values())
    assert "skipped: 0 s are over" in capsys.readouterr().out and not list(tmp_path.iterdir())


def test_a_step_that_fails_is_named_and_the_next_one_begins(back, tmp_path, monkeypatch, capsys):
    def do(step, plan):
        if step == "checks":
            raise RuntimeError("out of memory")
        return open_results(back / f"{step}.nc")

    monkeypatch.setattr(work, "do", do)
    assert main(["gpu", "run", "--toy", "--out", str(tmp_path), "--steps", "checks,draws"]) == 1
    out, err = capsys.readouterr()
    assert "failed: RuntimeError: out of memory" in out and "draws            done" in out
    assert "Traceback" in err
    assert main(["gpu", "run", "--steps", "chekcs"]) == 2
    assert "did you mean 'checks'?" in capsys.readouterr().err


def changed(path, target, **attrs):
    ds = open_results(path)
    save_results(ds.assign_attrs(**attrs), target)


GPU = dict(device="cuda: NVIDIA H100, CUDA 13.0", git_commit=COMMIT, git_dirty=0)


def test_results_of_a_gpu_are_merged_without_pictures(back, tmp_path):
    for step in gpu.STEPS:
        changed(back / f"{step}.nc", tmp_path / f"back/{step}.nc", **GPU)
    became = gpu_parcel.merge(tmp_path / "back", tmp_path / "results")
    assert became == {f"{step}.nc": "merged" for step in gpu.STEPS}
    before, after = (open_results(tmp_path / f / "draws.nc") for f in ("back", "results"))
    assert "example_images" in before and "example" not in after.dims
    assert after.attrs == before.attrs
    np.testing.assert_array_equal(after["stir_ft_pt"], before["stir_ft_pt"])


@pytest.mark.parametrize(
    ("name", "attrs", "reason"),
    [
        ("checks", dict(device="cpu: x, 1 thread"), "computed on cpu: x, 1 thread"),
        ("checks", dict(git_dirty=1), "of no clean commit"),
        ("checks", dict(git_commit="unknown"), "of no clean commit: unknown"),
        ("robustnes", {}, "no step or section is called so"),
        ("robustness", {}, "its kind is benchmark, must be comparison"),
        ("architectures", {}, "its kind is benchmark, must be lens"),
        ("draws", {}, "its kind is benchmark, must be comparison"),
    ],
)
def test_anything_else_is_refused_by_name(back, tmp_path, monkeypatch, capsys, name, attrs, reason):
    changed(back / "checks.nc", tmp_path / f"{name}.nc", **GPU | attrs)
    changed(back / "precisions.nc", tmp_path / "precisions.nc", **GPU)
    monkeypatch.setattr(gpu, "results_root", lambda scale: tmp_path / scale)
    assert main(["gpu", "merge", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert f"{name}.nc: refused: {reason}" in out and "precisions.nc: merged" in out
    assert [path.name for path in (tmp_path / "gpu").iterdir()] == ["precisions.nc"]


def of_section(back, target, step="finetuning_task", **parameters):
    """Write the results of a step as if a section had them from a GPU, with other parameters."""
    ds = open_results(back / f"{step}.nc")
    made = json.loads(ds.attrs["parameters"]) | parameters
    changed(back / f"{step}.nc", target, **GPU, parameters=json.dumps(made))


def test_sections_become_reference_results_only_when_asked(back, tmp_path, monkeypatch, capsys):
    of_section(back, tmp_path / "back/finetuning_task.nc", scale="cifar")
    of_section(back, tmp_path / "back/placebo.nc", "dynamics", scale="gpu")
    monkeypatch.setattr(gpu, "results_root", lambda scale: tmp_path / "results" / scale)
    assert main(["gpu", "merge", str(tmp_path / "back")]) == 0
    assert {file.name for file in (tmp_path / "results").rglob("*.nc")} == {
        "finetuning_task.nc", "placebo.nc",
    }  # fmt: skip
    assert not (tmp_path / "results/cifar").exists()
    assert main(["gpu", "merge", "--reference", str(tmp_path / "back")]) == 0
    assert [file.name for file in (tmp_path / "results/cifar").iterdir()] == ["finetuning_task.nc"]
    assert "example" in open_results(tmp_path / "results/cifar/finetuning_task.nc").dims
    assert "example" not in open_results(tmp_path / "results/gpu/placebo.nc").dims
    capsys.readouterr()


def test_results_of_another_kind_are_not_replaced(back, tmp_path):
    changed(back / "checks.nc", tmp_path / "results/dynamics.nc", **GPU)
    changed(back / "dynamics.nc", tmp_path / "back/dynamics.nc", **GPU)
    became = gpu_parcel.merge(tmp_path / "back", tmp_path / "results")
    assert became["dynamics.nc"] == "refused: its kind is comparison, and results has benchmark"
    assert open_results(tmp_path / "results/dynamics.nc").attrs["kind"] == "benchmark"


def test_every_step_has_its_kind():
    assert set(gpu_parcel.KINDS) == set(gpu.STEPS)


def test_a_torn_file_is_refused_and_an_empty_folder_an_error(tmp_path, capsys):
    assert main(["gpu", "merge", str(tmp_path)]) == 2
    assert "no .nc in" in capsys.readouterr().err
    (tmp_path / "checks.nc").write_bytes(b"\x89HDF\r\n\x1a\n torn")
    assert "torn" in gpu_parcel.merge(tmp_path, tmp_path / "results")["checks.nc"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with one committed file, a data set and weights."""
    root = tmp_path / "project"
    (root / "invlib").mkdir(parents=True)
    (root / "invlib" / "a.py").write_text("committed\n")
    (root / "requirements.lock").write_text("timm==1.2.3 ; python_version > '3'\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "One"]):
        subprocess.run(["git", "-C", root, *words], check=True)
    (root / "invlib" / "a.py").write_text("not committed\n")
    data, rng = tmp_path / "data", np.random.default_rng(0)
    (data / "cifar10").mkdir(parents=True)
    (data / "weights").mkdir()
    (data / gpu_parcel.WEIGHTS).write_bytes(b"weights")
    (data / "cifar10" / "classes.json").write_text("[]")
    for split, n in dict(train=300, test=100).items():
        images, labels = rng.integers(0, 256, (n, 2, 2, 3), "uint8"), np.arange(n) % 10
        images[:, 0, 0, 0] = labels
        np.savez(data / "cifar10" / f"{split}.npz", images=images, labels=labels)
    monkeypatch.setenv("INVLIB_DATA", str(data))
    monkeypatch.setattr(gpu_parcel, "project_root", lambda: root)
    monkeypatch.setattr(gpu_parcel, "CODE", ("invlib",))
    monkeypatch.setattr(gpu_parcel, "SUBSET", dict(train=50, test=20))
    return root


def test_a_bundle_has_committed_code_and_a_balanced_subset(project, tmp_path, monkeypatch):
    folder = tmp_path / "bundle"
    assert 0 < gpu_parcel.bundle(folder, "3.12", []) < 1
    assert {path.name for path in folder.iterdir()} == {"code", "data", "run.sh", "wheels"}
    assert (folder / "code/invlib/a.py").read_text() == "committed\n"
    with np.load(folder / "data/cifar10/train.npz") as train:
        assert np.bincount(train["labels"]).tolist() == 10 * [5]
        assert (train["images"][:, 0, 0, 0] == train["labels"]).all()
    with pytest.raises(FileExistsError, match="not empty"):
        gpu_parcel.bundle(folder, "3.12", [])
    monkeypatch.setattr(gpu_parcel, "MOST", 0)
    with pytest.raises(ValueError, match=r"has 0\.\d MB, more than 0"):
        gpu_parcel.bundle(tmp_path / "other", "3.12", [])


def test_a_bundle_runs_there_and_says_its_commit(project, tmp_path):
    folder = tmp_path / "a bundle"
    gpu_parcel.bundle(folder, "3.12", [])
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(
        '#!/bin/sh\n[ "$2" = pip ] || echo "$PWD|$*|$INVLIB_GIT_COMMIT|$PYTHONPATH"\n'
    )
    python.chmod(0o755)
    env = {"PATH": f"{python.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", folder / "run.sh", "--toy"], env=env, capture_output=True, text=True, check=True
    )
    here, words, commit, path = done.stdout.strip().split("|")
    assert here == f"{folder}/code" and path == f"{folder}/code:{folder}/site"
    assert words == f"-m papers gpu run --out {folder}/results --toy"
    assert len(commit) == 40 and commit == gpu_parcel._git("rev-parse", "HEAD").decode().strip()


def test_a_bundle_of_sections_is_spread_over_folders(project, tmp_path, monkeypatch):
    listed = tmp_path / "mine.yaml"
    (section,) = load_sections(ROOT / gpu.LIST, ["finetuning_task"])
    listed.write_text("written by hand")
    monkeypatch.setattr(gpu_parcel, "MOST", 0.006)
    folder = tmp_path / "to the gpu"
    sizes = gpu_parcel.bundle_sections(folder, "3.12", [], [section], listed)
    assert [place.name for place in sizes] == ["1", "2"]
    assert all(0 < size <= 0.006 for size in sizes.values())
    assert (folder / "1/data" / gpu_parcel.WEIGHTS).read_bytes() == b"weights"
    assert (folder / "1/mine.yaml").read_text() == "written by hand"
    script = (folder / "1/run.sh").read_text()
    assert 'gpu unpack "$here/.." || exit' in script
    assert 'gpu sections finetuning_task --list "$here/mine.yaml" --out' in script
    gpu_images.unpack(folder, tmp_path / "there")
    before, after = (
        np.load(root / "cifar10/train.npz") for root in (tmp_path / "data", tmp_path / "there")
    )
    np.testing.assert_array_equal(before["images"], after["images"])
    with pytest.raises(FileExistsError, match="not empty"):
        gpu_parcel.bundle_sections(folder, "3.12", [], [section], listed)


def test_wheels_are_the_locked_ones_for_the_python_there(project, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(gpu_parcel.subprocess, "run", lambda words, check: asked.append(words))
    gpu_parcel._download(tmp_path, "3.12", ["timm", "h5netcdf"])
    assert asked[0][-2:] == ["timm==1.2.3", "h5netcdf"]
    assert {"--python-version=3.12", "--no-deps", "--only-binary=:all:"} <= set(asked[0])
    assert not any("://" in word for word in asked[0])


def test_committed_results_of_a_gpu_are_what_merge_takes():
    files = sorted(results_root("gpu").glob("*.nc"))
    assert {"checks", "convergence", "finetuning_task", "precisions"} <= {f.stem for f in files}
    for file in files:
        assert gpu_parcel._from_a_gpu(file).attrs["device"].startswith("cuda: NVIDIA")
        assert file.stat().st_size < 2**20
        assert work.summary(file.stem, open_results(file))
