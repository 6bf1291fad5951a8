"""Paths: what the environment moves, what the checkout decides, and what an error names."""

import subprocess
import sys

import pytest

from invlib import paths


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that looks like a checkout, with the current folder two levels inside it."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "invlib").mkdir()
    (tmp_path / "invlib" / "paths.py").touch()
    inside = tmp_path / "notebooks" / "deep"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    monkeypatch.delenv("INVLIB_DATA", raising=False)
    monkeypatch.delenv("INVLIB_CACHE", raising=False)
    return tmp_path


def test_everything_follows_from_the_checkout_around_the_current_folder(checkout):
    assert paths.project_root() == checkout
    assert paths.datasets_root() == checkout / "data/datasets"
    assert paths.cache_root() == checkout / "data/datasets/.cache"
    assert paths.runs_root("smoke") == checkout / "data/runs/smoke"
    assert paths.results_root("cifar") == checkout / "data/results/cifar"


def test_outside_any_checkout_the_package_knows_its_own_or_the_current_folder_serves(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "site-packages/invlib/paths.py"))
    assert paths.project_root() == tmp_path

    package = tmp_path / "elsewhere" / "invlib"
    package.mkdir(parents=True)
    (package / "paths.py").touch()
    (package.parent / "pyproject.toml").touch()
    monkeypatch.setattr(paths, "__file__", str(package / "paths.py"))
    assert paths.project_root() == package.parent


def test_environment_moves_data_and_cache_but_neither_runs_nor_results(checkout, monkeypatch):
    monkeypatch.setenv("INVLIB_DATA", "shared")  # relative to the current folder
    monkeypatch.setenv("INVLIB_CACHE", str(checkout / "scratch"))
    assert paths.datasets_root() == checkout / "notebooks/deep/shared"
    assert paths.cache_root() == checkout / "scratch"
    assert paths.runs_root("smoke") == checkout / "data/runs/smoke"
    assert paths.results_root("smoke") == checkout / "data/results/smoke"


def test_weights_as_given_then_in_the_data_root_then_in_the_project(checkout, monkeypatch):
    def put(folder):
        file = folder / "weights" / "tiny.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        return file

    monkeypatch.setenv("INVLIB_DATA", str(checkout / "shared"))
    for folder in (checkout / "data", checkout / "shared", checkout / "notebooks/deep"):
        expected = put(folder)  # each goes before the ones already there
        assert paths.resolve_weights("weights/tiny.safetensors") == expected
    assert paths.resolve_weights(checkout / "data/weights/tiny.safetensors").is_file()


def test_missing_weights_name_every_place_and_the_nearest_file(checkout, monkeypatch):
    monkeypatch.setenv("INVLIB_DATA", str(checkout / "shared"))
    (checkout / "data/weights").mkdir(parents=True)
    (checkout / "data/weights/vit_tiny.safetensors").touch()
    with pytest.raises(FileNotFoundError) as caught:
        paths.resolve_weights("weights/vit_tinny.safetensors")
    message = str(caught.value)
    assert "weights='weights/vit_tinny.safetensors'" in message
    for folder in (checkout / "notebooks/deep", checkout / "shared", checkout / "data"):
        assert str(folder / "weights/vit_tinny.safetensors") in message
    assert "did you mean 'vit_tiny.safetensors'?" in message


def test_the_workflow_can_ask_without_importing_anything_large():
    code = (
        "import sys, invlib.paths; "
        "assert not {'torch', 'numpy', 'xarray', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
