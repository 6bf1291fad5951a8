"""What made a result: parameters as JSON, no absolute path, and the commit of the sources."""

import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import PurePosixPath

import numpy as np
import pytest
import xarray as xr

import invlib.results.provenance
from invlib.results.provenance import provenance
from tests.invlib.results.datasets import ATTRS


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
