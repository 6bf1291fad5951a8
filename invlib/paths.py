"""Where the project keeps data sets, decoded images, weights, runs and results.

Two environment variables move what is large or shared. All other places lie in the checkout. The
variables are read at every call, so a notebook may set them before it loads anything.

================  ==============================================  ==========================
variable          names                                           default
================  ==============================================  ==========================
``INVLIB_DATA``   data sets, and weights in ``weights/``;         ``data/datasets``,
                  may be read-only                                ``data/weights``
``INVLIB_CACHE``  decoded images and inversions, may be deleted   ``data/datasets/.cache``
================  ==============================================  ==========================

This module imports only the standard library, because the workflow imports it too.
"""

from __future__ import annotations

import os
from pathlib import Path

from invlib.names import nearest

__all__ = [
    "cache_root", "datasets_root", "project_root", "resolve_weights", "results_root", "runs_root",
    "training_folder",
]  # fmt: skip


def project_root() -> Path:
    """Return the folder whose ``data/`` holds runs, results and downloads.

    The first of these that exists: the checkout around the current folder (a notebook runs in
    ``notebooks/``), the checkout this package was installed from, the current folder.
    """
    here = Path.cwd()
    installed = Path(__file__).resolve().parent.parent
    for folder in (here, *here.parents, installed):
        if (folder / "pyproject.toml").is_file() and (folder / "invlib" / "paths.py").is_file():
            return folder
    return here


def datasets_root() -> Path:
    """Return the folder that holds one folder per data set: ``<root>/cifar10/train.npz``.

    It is ``$INVLIB_DATA`` itself, or ``data/datasets`` of the project.
    """
    return _from_environment("INVLIB_DATA") or project_root() / "data" / "datasets"


def cache_root() -> Path:
    """Return the folder of decoded images and inversions: ``$INVLIB_CACHE``, or in the project.

    It never lies in ``$INVLIB_DATA``, which may be read-only or shared by a whole class.

    Examples
    --------
    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", INVLIB_CACHE="/tmp/invlib"):
    ...     cache_root().as_posix()
    '/tmp/invlib'
    """
    return _from_environment("INVLIB_CACHE") or project_root() / "data" / "datasets" / ".cache"


def runs_root(scale: str) -> Path:
    """Return the folder of one scale's results and inversions, which is not committed."""
    return project_root() / "data" / "runs" / scale


def training_folder(id: str, root: Path) -> Path:
    """Return the folder of the training `id` below `root`, which all scales share.

    What an older version finished in ``<scale>/training`` beside ``training`` stays there.
    """
    older = sorted(root.parent.glob(f"*/training/{id}")) if root.name == "training" else []
    places = (root / id, *older)
    return next((path for path in places if (path / "done.json").is_file()), root / id)


def results_root(scale: str) -> Path:
    """Return the folder of one scale's reference results, which is committed."""
    return project_root() / "data" / "results" / scale


def resolve_weights(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a weights file.

    A relative path is looked for in the current folder, then in ``$INVLIB_DATA``, then in ``data/``
    of the project. So ``weights/vit_tiny.safetensors`` is the same file in everybody's settings.
    FileNotFoundError names every place that was searched, and the nearest file name there.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "tiny.safetensors")
    ...     _ = file.write_bytes(b"")
    ...     resolve_weights(file).name
    'tiny.safetensors'
    """
    if not isinstance(path, str | os.PathLike):
        what = f"weights is of type {type(path).__name__}"
        raise TypeError(f"{what}; it is None (random), 'timm' (pretrained), or the path of a file")
    given = Path(path).expanduser()
    bases = (Path.cwd(), _from_environment("INVLIB_DATA"), project_root() / "data")
    # each place once, in order: with an absolute path all of them are equal
    places = list(dict.fromkeys(base / given for base in bases if base))
    for place in places:
        if place.is_file():
            return place.resolve()
        if place.is_dir():
            inside = ", ".join(sorted(file.name for file in place.iterdir())[:9]) or "it is empty"
            raise FileNotFoundError(f"weights={place} is a folder; name a file in it: {inside}")
    beside = [f.name for p in places if p.parent.is_dir() for f in p.parent.glob("[!.]*")]
    beside = {*beside, "random", "timm"} - {given.name}  # as in NAME=WEIGHTS of a command
    raise FileNotFoundError(
        f"weights={os.fspath(path)!r} is no file; looked for "
        f"{', '.join(map(str, places))}{nearest(given.name, beside)}"
    )


def _from_environment(variable: str) -> Path | None:
    """Return the absolute folder that an environment variable names, None if unset or empty."""
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None
