"""Compute ``python -m papers gpu bundle`` and ``merge``: pack for the GPU, unpack the results."""

import io
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from shutil import copyfile

import numpy as np

from invlib.paths import datasets_root, project_root, resolve_weights
from invlib.results.netcdf import ResultError, open_results, save_results

MOST = 60  # MB of a bundle
SUBSET = {"train": 5000, "test": 1500}
CODE = ("invlib", "papers", "notebooks/scales", "data/papers", "pyproject.toml")
WEIGHTS = "weights/vit_tiny_patch16_224.safetensors"
KINDS = dict.fromkeys(("checks", "precisions", "convergence"), "benchmark") | dict.fromkeys(
    ("finetuning_task", "draws", "dynamics"), "comparison"
)

RUN = """#!/bin/sh
# sh run.sh [arguments of: python -m papers gpu run]
# Needs one GPU and a Python with PyTorch 2.4 or newer; no network, no git.
here=$(cd "$(dirname "$0")" && pwd) || exit
export INVLIB_GIT_COMMIT={commit} INVLIB_DATA="$here/data" PYTHONPATH="$here/code:$here/site"
[ -d "$here/site" ] || python3 -m pip install --quiet --no-index --no-deps \\
  --target "$here/site" "$here"/wheels/*.whl || exit
cd "$here/code" && exec python3 -m papers gpu run --out "${{OUT:-$here/results}}" "$@"
"""


def bundle(folder: Path, python: str, wheels: Iterable[str]) -> float:
    """Pack code, a data subset, weights and `wheels` into `folder`; return its size in MB.

    The code is that of the last commit, so that results name one. Wheels are for Python `python`
    and a machine like this one. Refused are a folder that holds something, and more than 60 MB.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    commit = _git("rev-parse", "HEAD").decode().strip()
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "HEAD", *CODE))) as sources:
        sources.extractall(folder / "code", filter="data")
    images = folder / "data" / "cifar10"
    for made in (images, folder / "data" / "weights", folder / "wheels"):
        made.mkdir(parents=True)
    for split, n in SUBSET.items():
        _subset(datasets_root() / "cifar10" / f"{split}.npz", images / f"{split}.npz", n)
    copyfile(datasets_root() / "cifar10" / "classes.json", images / "classes.json")
    copyfile(resolve_weights(WEIGHTS), folder / "data" / WEIGHTS)
    _download(folder / "wheels", python, wheels)
    (folder / "run.sh").write_text(RUN.format(commit=commit))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20
    if size > MOST:
        raise ValueError(f"{folder} has {size:.1f} MB, more than {MOST}")
    return size


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


def merge(folder: Path, target: Path) -> dict[str, str]:
    """Take results that came from a GPU into `target`; return "merged" or why not, by file name.

    Pictures stay behind: they are most of a file.
    """
    became = {}
    for file in sorted(folder.glob("*.nc")):
        try:
            ds = _from_a_gpu(file)
            pictures = ["example", "x", "y", "channel"]
            save_results(ds.drop_dims(pictures, errors="ignore"), target / file.name)
            became[file.name] = "merged"
        except ResultError as error:
            became[file.name] = f"refused: {error}"
    if not became:
        raise FileNotFoundError(f"no .nc in {folder}")
    return became


def _from_a_gpu(file: Path):
    if file.stem not in KINDS:
        raise ResultError(f"no step is called so; steps are {', '.join(KINDS)}")
    ds = open_results(file)
    if ds.attrs["kind"] != KINDS[file.stem]:
        raise ResultError(f"its kind is {ds.attrs['kind']}, must be {KINDS[file.stem]}")
    if not ds.attrs["device"].startswith("cuda: "):
        raise ResultError(f"computed on {ds.attrs['device']}, not on a GPU")
    if ds.attrs["git_dirty"] or not re.fullmatch("[0-9a-f]{40}", ds.attrs["git_commit"]):
        raise ResultError(f"of no clean commit: {ds.attrs['git_commit']}")
    return ds
