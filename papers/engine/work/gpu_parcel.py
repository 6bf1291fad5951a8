"""Compute ``python -m papers gpu bundle`` and ``merge``: pack for the GPU, unpack the results."""

import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from shutil import copyfile, move
from tempfile import TemporaryDirectory

import numpy as np
import xarray as xr

from invlib.files import copy
from invlib.paths import datasets_root, project_root, resolve_weights
from invlib.results.netcdf import ResultError, open_results, save_results
from papers.engine.work.gpu_images import data_sets, pack
from papers.engine.work.pool import PICTURES
from papers.section import Section, section_class

MOST = 60  # MB of a bundle
SUBSET = {"train": 5000, "test": 1500}
CODE = ("invlib", "papers", "notebooks/scales", "data/papers", "pyproject.toml")
WEIGHTS = "weights/vit_tiny_patch16_224.safetensors"
KINDS = dict.fromkeys(("checks", "precisions", "convergence"), "benchmark")
KINDS |= dict.fromkeys(("finetuning_task", "draws", "dynamics"), "comparison")

RUN = """#!/bin/sh
# sh run.sh [arguments of: python -m papers gpu {said}]
# Needs one GPU and a Python with PyTorch 2.4 or newer; no network, no git.
here=$(cd "$(dirname "$0")" && pwd) || exit
export INVLIB_GIT_COMMIT={commit} INVLIB_DATA="$here/data" PYTHONPATH="$here/code:$here/site"
[ -d "$here/site" ] || python3 -m pip install --quiet --no-index --no-deps \\
  --target "$here/site" "$here"/wheels/*.whl || exit
cd "$here/code" || exit
{unpack}exec python3 -m papers gpu {command} --out "${{OUT:-$here/results}}" "$@"
"""
UNPACK = 'python3 -m papers gpu unpack "$here/.." || exit\n'


def bundle(folder: Path, python: str, wheels: Iterable[str]) -> float:
    """Pack code, a data subset, weights and `wheels` into `folder`; return its size in MB.

    The code is that of the last commit, so that results name one. Wheels are for Python `python`
    and a machine like this one. Refused are a folder that holds something, and more than 60 MB.
    """
    _check_empty(folder)
    _pack(folder, python, wheels, [WEIGHTS], command="run")
    images = folder / "data" / "cifar10"
    images.mkdir()
    for split, n in SUBSET.items():
        _subset(datasets_root() / "cifar10" / f"{split}.npz", images / f"{split}.npz", n)
    copyfile(datasets_root() / "cifar10" / "classes.json", images / "classes.json")
    if (size := _size(folder)) > MOST:
        raise ValueError(f"{folder} has {size:.1f} MB, more than {MOST}")
    return size


def bundle_sections(
    folder: Path, python: str, wheels: Iterable[str], sections: Iterable[Section], file: Path
) -> dict[Path, float]:
    """Pack what `sections` need into ``<folder>/1``, ``/2``, … of 60 MB; return their sizes in MB.

    The first has code, weights and the `file` that lists the sections. Data sets are whole, so that
    trainings are those of home.
    """
    _check_empty(folder)
    sections = list(sections)
    command = (
        f'sections {",".join(section.name for section in sections)} --list "$here/{file.name}"'
    )
    given = {getattr(section, "weights", None) for section in sections} - {None, "timm"}
    _pack(folder / "1", python, wheels, sorted(given), command, UNPACK)
    copyfile(file, folder / "1" / file.name)
    places = {folder / "1": _size(folder / "1")}
    with TemporaryDirectory(dir=folder) as packed:
        for name in data_sets(sections):
            pack(datasets_root() / name, Path(packed, name))
        files = [file for file in Path(packed).rglob("*") if file.is_file()]
        for file in sorted(files, key=lambda file: (-file.stat().st_size, file)):
            size = file.stat().st_size / 2**20
            place = next((p for p, used in places.items() if used + size <= MOST), None)
            place = place or folder / str(len(places) + 1)
            places[place] = places.get(place, 0) + size
            target = place / "images" / file.relative_to(packed)
            target.parent.mkdir(parents=True, exist_ok=True)
            move(file, target)
    if (most := max(places.values())) > MOST:
        raise ValueError(f"{folder} would have {most:.1f} MB in one folder, more than {MOST}")
    return places


def _pack(
    folder: Path,
    python: str,
    wheels: Iterable[str],
    weights: Iterable[str],
    command: str,
    unpack: str = "",
) -> None:
    """Write code, weights, wheels and ``run.sh``, which takes data sets out with `unpack`."""
    commit = _git("rev-parse", "HEAD").decode().strip()
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "HEAD", *CODE))) as sources:
        sources.extractall(folder / "code", filter="data")
    for made in (folder / "data", folder / "wheels"):
        made.mkdir(parents=True)
    for file in weights:
        (folder / "data" / file).parent.mkdir(parents=True, exist_ok=True)
        copyfile(resolve_weights(file), folder / "data" / file)
    _download(folder / "wheels", python, wheels)
    said = command.split()[0]
    script = RUN.format(commit=commit, command=command, said=said, unpack=unpack)
    (folder / "run.sh").write_text(script)


def _check_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")


def _size(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


def _git(*arguments: str) -> bytes:
    return subprocess.check_output(["git", "-C", str(project_root()), *arguments])


def _subset(source: Path, target: Path, n: int) -> None:
    """Write `n` images of an archive, of each class as many, in random order."""
    with np.load(source) as archive:
        images, labels = archive["images"], archive["labels"]
    rng, classes = np.random.default_rng(20261126), np.unique(labels)
    each = [rng.permutation(np.flatnonzero(labels == k))[: n // len(classes)] for k in classes]
    chosen = rng.permutation(np.concatenate(each))
    np.savez_compressed(target, images=images[chosen], labels=labels[chosen])


def _download(folder: Path, python: str, wheels: Iterable[str]) -> None:
    """Fetch wheels, in the locked version where there is one."""
    lock = (project_root() / "requirements.lock").read_text()
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE))
    wanted = [f"{name}=={locked[name]}" if name in locked else name for name in wheels]
    options = ["--quiet", "--no-deps", "--only-binary=:all:", f"--python-version={python}"]
    if wanted:
        pip = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder)]
        subprocess.run([*pip, *wanted], check=True)


def merge(folder: Path, target: Path, reference: Path | None = None) -> dict[str, str]:
    """Take results that came from a GPU into `target`; return "merged" or why not, by file name.

    Pictures stay behind: they are most of a file. With `reference`, sections of the reference scale
    go there as they are.
    """
    became = {}
    for file in sorted(folder.glob("*.nc")):
        try:
            ds = _from_a_gpu(file)
            if reference and json.loads(ds.attrs["parameters"]).get("scale") == reference.name:
                copy(file, reference / file.name)
            else:
                _same_kind(ds, target / file.name)
                save_results(ds.drop_dims(PICTURES, errors="ignore"), target / file.name)
            became[file.name] = "merged"
        except ResultError as error:
            became[file.name] = f"refused: {error}"
    if not became:
        raise FileNotFoundError(f"no .nc in {folder}")
    return became


def _from_a_gpu(file: Path) -> xr.Dataset:
    """Return the results in a file, of a step or of a section; ResultError if they are not fit."""
    kinds = {KINDS[file.stem]} if file.stem in KINDS else set()
    with suppress(ValueError):
        kinds |= {section_class(file.stem)().work.dataset.kind}
    if not kinds:
        raise ResultError(f"no step or section is called so; steps are {', '.join(KINDS)}")
    ds = open_results(file)
    if ds.attrs["kind"] not in kinds:
        raise ResultError(f"its kind is {ds.attrs['kind']}, must be {' or '.join(sorted(kinds))}")
    if not ds.attrs["device"].startswith("cuda: "):
        raise ResultError(f"computed on {ds.attrs['device']}, not on a GPU")
    if ds.attrs["git_dirty"] or not re.fullmatch("[0-9a-f]{40}", ds.attrs["git_commit"]):
        raise ResultError(f"of no clean commit: {ds.attrs['git_commit']}")
    return ds


def _same_kind(ds: xr.Dataset, file: Path) -> None:
    """Raise ResultError if `file` holds results of another kind, which other pages read."""
    kind, there = ds.attrs["kind"], open_results(file).attrs["kind"] if file.is_file() else None
    if there not in (None, kind):
        raise ResultError(f"its kind is {kind}, and {file.parent.name} has {there}")
