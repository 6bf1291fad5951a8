"""What is declared once is not said otherwise elsewhere, and the two commands are there."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import invlib
from tests.workspace import environment

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = tuple(PROJECT["optional-dependencies"])
CONDA_NAMES = {"pytorch": "torch"}  # conda name -> name on the package index


def declared(*extras: str) -> dict[str, SpecifierSet]:
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][e] for e in extras)]
    requirements = [Requirement(line) for lines in lists for line in lines]
    return {r.name: r.specifier for r in requirements}


def locked() -> dict[str, set[Version]]:
    """Name -> the versions that are locked (several where they depend on Python's)."""
    versions: dict[str, set[Version]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line.removesuffix("\\"))  # its hashes follow
            (pin,) = requirement.specifier
            assert pin.operator == "==", line
            versions.setdefault(requirement.name, set()).add(Version(pin.version))
    return versions


def test_the_lock_holds_no_addresses():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"://|@ |--(extra-)?index|--find-links", text)
    assert not re.search(r"(^|[\s'\"])/\w+/", text)  # nor paths of somebody's machine


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-uv.lock"])
def test_everything_locked_has_its_hashes(name):
    text = re.sub(r"^\s*#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
    packages = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    assert packages
    for package in packages:
        head, *hashes = package.replace("\\\n", "\n").split("\n    ")
        assert "==" in head and hashes, head
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}\s*", line) for line in hashes), head


def test_make_installs_only_what_has_its_hash():
    lines = (ROOT / "Makefile").read_text().splitlines()
    installing = [line for line in lines if re.search(r"pip (install|sync)", line)]
    assert len(installing) == 4  # uv; everything, by uv or by pip; the project itself
    for line in installing:
        assert "--require-hashes" in line or "--no-deps --no-build-isolation --editable ." in line


def test_the_lock_fulfils_what_is_declared():
    versions = locked()
    for name, specifier in declared(*EXTRAS).items():
        assert versions.get(name), f"{name} is not locked: make lock"
        assert all(version in specifier for version in versions[name]), name
    # the package itself is built with what is locked, without fetching anything
    (build,) = map(Requirement, PYPROJECT["build-system"]["requires"])
    assert all(version in build.specifier for version in versions[build.name])


def test_torch_and_torchvision_are_locked_to_a_pair_that_works_without_a_gpu():
    versions = locked()
    assert versions["torch"] == {Version("2.15.0")}
    assert versions["torchvision"] == {Version("0.29.2")}


def test_conda_users_get_the_same_packages_and_bounds():
    lines = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = [line["pip"] for line in lines if isinstance(line, dict)]
    names = [line for line in lines if isinstance(line, str) and line != "pip"]
    names += [line for line in pip if not line.startswith("--")]
    conda = {}
    for line in names:
        requirement = Requirement(line)
        conda[CONDA_NAMES.get(requirement.name, requirement.name)] = requirement.specifier
    assert conda.pop("python") == SpecifierSet(PROJECT["requires-python"])
    assert conda == declared(*EXTRAS)


def test_the_library_does_not_need_what_publishes_or_tests_it():
    assert not {"papermill", "jupyter-book", "snakemake", "pytest"} & set(declared())


def test_what_the_library_imports_is_declared():
    names = {
        "PIL": "pillow",
        "netCDF4": "netcdf4",
        "sklearn": "scikit-learn",
        "lazy_loader": "lazy-loader",
    }
    imported = set()
    for file in (ROOT / "invlib").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module.split(".")[0])
    third = {names.get(m, m) for m in imported - set(sys.stdlib_module_names) - {"invlib"}}
    assert third - {"IPython"} <= set(declared())  # it is looked for, never needed


def test_every_public_name_is_there():
    assert len(invlib.__all__) <= 20
    for name in invlib.__all__:
        assert callable(getattr(invlib, name)) and name in dir(invlib)
    with pytest.raises(AttributeError, match="No invlib attribute lern; .* 'learning'"):
        invlib.lern  # noqa: B018
    assert not hasattr(invlib, "lern")
    with pytest.raises(ImportError):
        from invlib import lern  # noqa: F401


ROOMS = ["invlib"] + [
    module.name for module in pkgutil.walk_packages(invlib.__path__, "invlib.") if module.ispkg
]


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_of_a_room_is_there_and_hides_no_module(room):
    package = importlib.import_module(room)
    for name in package.__all__:
        assert getattr(package, name) is not None
        assert room == "invlib" or not importlib.util.find_spec(f"{room}.{name}")


def test_rooms_cost_nothing_heavy():
    code = (
        "import importlib, sys\n"
        f"for room in {ROOMS}: importlib.import_module(room)\n"
        "from invlib import TrainingRun\n"
        "heavy = {'torch', 'timm', 'xarray', 'pandas', 'numpy', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# --- the library by itself ------------------------------------------------------------------------

TEN_LINES = re.search(
    r"^## The library in ten lines\n\n```python\n(.*?)^```",
    (ROOT / "README.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)[1]
# So that the test takes seconds: what to write instead of what stands in the README.
SMALLER = {
    "vit_nano_patch8_32": "vit_pico_patch8_32",
    "epochs=4": "epochs=1, n_train=64, n_test=16",
    "n=16": "n=16, iterations=2",
}


def distributions(requirements: Iterable[str]) -> dict[str, metadata.Distribution]:
    """Return what `requirements` need, and what that needs, by name."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        requirement = waiting.pop()
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and requirement.name not in found:
            found[requirement.name] = distribution = metadata.distribution(requirement.name)
            waiting += map(Requirement, distribution.requires or [])
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of the whole project without a network."""
    source = tmp_path_factory.mktemp("source")
    for folder in ("invlib", "papers", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / file, source)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(command, cwd=source, env=environment(source), check=True, capture_output=True)
    (wheel,) = (source / "dist").iterdir()
    return wheel


@pytest.fixture(scope="module")
def empty_environment(wheel, tmp_path_factory) -> Path:
    """A Python in which there is the wheel and what the library declares to need, nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    command = [*pip, "--no-deps", "--no-index", str(wheel)]
    subprocess.run(command, env=environment(folder), check=True, capture_output=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    for distribution in distributions(PROJECT["dependencies"]).values():
        for name in {file.parts[0] for file in distribution.files} - {".."}:
            if not (site / name).exists():
                (site / name).symlink_to(distribution.locate_file(name))
    return python


def test_the_wheel_has_every_room_and_nothing_of_the_papers(wheel):
    names = {Path(name) for name in zipfile.ZipFile(wheel).namelist()}
    code = {name for name in names if name.suffix == ".py"}
    assert code == {file.relative_to(ROOT) for file in (ROOT / "invlib").rglob("*.py")}
    assert {name.parts[0] for name in names - code} == {f"invlib-{invlib.__version__}.dist-info"}


def test_the_ten_lines_of_the_readme_run_in_an_empty_environment(empty_environment, tmp_path):
    absent = ["papers", "statsmodels", "cv2", "skimage", "captum", "papermill", "snakemake"]
    lines = TEN_LINES
    for theirs, ours in SMALLER.items():
        assert theirs in lines
        lines = lines.replace(theirs, ours)
    script = tmp_path / "ten_lines.py"
    check = (
        "from importlib.util import find_spec\n"
        f"assert not [name for name in {absent} if find_spec(name)]\n"
        "import importlib, pkgutil, invlib\n"
        f"assert {str(ROOT)!r} not in invlib.__file__\n"
        "for module in pkgutil.walk_packages(invlib.__path__, 'invlib.'):\n"
        "    importlib.import_module(module.name)\n"
    )
    script.write_text(check + lines, encoding="utf-8")
    mine = environment() | {"INVLIB_CACHE": str(tmp_path / "cache")}
    del mine["PYTHONPATH"]
    out = subprocess.run(
        [empty_environment, script], cwd=tmp_path, env=mine, capture_output=True, text=True
    )
    assert out.returncode == 0, out.stderr
    learnt, forgotten = re.findall(r"\[([^]]*)\]", out.stdout)
    assert len(learnt.split()) == len(forgotten.split()) > 1


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == invlib.__version__
    assert citation["license"] == PROJECT["license"]


def test_help_lists_every_target():
    out = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in phony.split():
        assert re.search(rf"^  {target} +\w", out.stdout, re.MULTILINE), target
    bare = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert bare.stdout == out.stdout


def make(*arguments, **environ):
    command = ["make", *arguments]
    env = environment() | environ
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


@pytest.mark.parametrize("wrong", ["SCLAE=smoke", "scale=smoke"])
def test_a_misspelt_variable_of_make_is_refused_with_the_nearest(wrong):
    out = make("help", wrong, f"PYTHON={sys.executable}")
    assert out.returncode != 0 and "did you mean SCALE?" in out.stderr and not out.stdout
    assert len(out.stderr.splitlines()) == 1


def test_make_takes_every_variable_that_it_has():
    names = re.findall(r"^([A-Z_]+) *\?=", (ROOT / "Makefile").read_text(), re.M)
    assert {"SCALE", "SECTIONS", "ARGS"} < set(names)
    given = [f"{name}=a b" for name in names if name not in ("PYTHON", "VENV")]
    assert make("help", *given).returncode == 0
    assert make("help", SCLAE="smoke").returncode == 0  # of the environment: another program's


@pytest.mark.parametrize("scale", ["", "..", "laptop/..", "laptp"])
def test_make_deletes_the_runs_of_one_scale_only(tmp_path, scale):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("runs/laptop", "runs/smoke", "results/cifar"):
        (tmp_path / "data" / name).mkdir(parents=True)
    command = ["make", "clean-runs", f"SCALE={scale}"]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert out.returncode != 0 and f"SCALE={scale}: no such folder" in out.stdout
    assert len([*tmp_path.glob("data/*/*")]) == 3
    subprocess.run(["make", "clean-runs", "SCALE=smoke"], cwd=tmp_path, check=True)
    assert sorted(p.name for p in tmp_path.glob("data/*/*")) == ["cifar", "laptop"]


@pytest.mark.parametrize(("keep", "kept"), [("1", True), ("0", False), ("no", False), ("", False)])
def test_a_benchmark_is_kept_if_it_is_asked_for(keep, kept):
    out = make("-n", "bench", f"KEEP={keep}", f"VENV={Path(sys.prefix)}")
    assert out.returncode == 0 and ("--keep" in out.stdout) == kept


def test_make_refuses_an_old_python(tmp_path):
    (tmp_path / "python").write_text("#!/bin/sh\nexec false\n")
    (tmp_path / "python").chmod(0o755)
    out = subprocess.run(
        ["make", "install", f"PYTHON={tmp_path}/python", f"VENV={tmp_path}/venv"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert out.returncode != 0 and not (tmp_path / "venv").exists()


def test_style():
    command = [sys.executable, "-m", "ruff", "check", "."]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0, out.stdout + out.stderr
