"""Provenance: the attributes of a result that say how, where and from which sources it was made."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from invlib import __version__
from invlib.results.schema import SCHEMA_VERSION

__all__ = ["command_text", "parameters_text", "provenance"]

PACKAGES = ("torch", "timm", "xarray", "numpy")
GIT_TIMEOUT_S = 10  # a checkout on a network drive may hang; then the result has no commit

# An absolute path of two or more parts inside a text, but no lone "/" and no "and/or". A slash
# after a word, a dot or another slash belongs to a relative path or to a web address.
_EMBEDDED_PATH = re.compile(
    r"(?:file://|(?<![\w.}/\\~]))(?:~|\b[A-Za-z]:)?(?:[\\/][^\s\\/'\",;|]+){2,}"
)


def provenance(
    *,
    parameters: Mapping[str, Any],
    seeds: Iterable[int],
    wall_time: float,
    command: str,
    device: object = "cpu",
) -> dict[str, Any]:
    """Return the attributes that say what produced a result, for ``ds.attrs.update(...)``.

    `parameters` are all settings, written as JSON: also paths, dataclasses, pydantic models and
    NumPy values. TypeError for others, ValueError for numbers that are not finite. `wall_time` is
    in seconds, `command` repeats the result, and `device` gets the name of the hardware.

    Absolute paths are shortened to the file's name, because they name somebody's disk. The commit
    is that of the checkout `invlib` runs from, or ``"unknown"`` outside one.

    Examples
    --------
    >>> attrs = provenance(parameters={"weights": "/disk/vit.safetensors"}, seeds=(0, 1),
    ...                    wall_time=2.5, command="papermill notebooks/a.ipynb out.ipynb")
    >>> attrs["parameters"], attrs["seeds"], attrs["wall_time_s"]
    ('{"weights": "vit.safetensors"}', '[0, 1]', 2.5)
    """
    if not math.isfinite(wall_time) or wall_time < 0:
        raise ValueError(f"wall_time={wall_time!r} must be a number of seconds, 0 or more")
    if not command.strip():
        raise ValueError("command is empty; give the command that repeats this result")
    commit, dirty = _git_state()
    created = datetime.datetime.now(datetime.UTC)
    return {
        "schema_version": SCHEMA_VERSION,
        "parameters": parameters_text(parameters),
        "seeds": json.dumps([int(seed) for seed in seeds]),
        "versions": json.dumps(_versions()),
        "device": _device_name(device),
        "git_commit": commit,
        "git_dirty": int(dirty),  # netCDF has no truth values
        "wall_time_s": float(wall_time),
        "created": created.isoformat(timespec="seconds"),
        "command": command_text(command),
    }


def parameters_text(parameters: Mapping[str, Any]) -> str:
    """Return `parameters` as JSON text, absolute paths shortened, as results have them."""
    return json.dumps(_plain(parameters, "parameters"))


def _plain(value: Any, name: str) -> Any:
    """Return `value` in JSON's types, absolute paths shortened; errors call it `name`."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif hasattr(value, "model_dump"):  # pydantic
        value = value.model_dump(mode="json")
    elif isinstance(value, set | frozenset):
        value = sorted(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}={value!r} is not finite")
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | PurePath):
        return _strip(value.as_posix() if isinstance(value, PurePath) else value)
    if isinstance(value, Mapping):
        return {_strip(str(key)): _plain(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
    raise TypeError(f"{name}={value!r} of type {type(value).__name__} cannot be written to JSON")


def _strip(text: str) -> str:
    """Return `text` with every absolute path in it shortened to the file's name."""
    if "\n" not in text and "://" not in text:
        if PurePosixPath(text).is_absolute() or text.startswith("~/"):
            return PurePosixPath(text).name
        if PureWindowsPath(text).is_absolute():
            return PureWindowsPath(text).name
    return _EMBEDDED_PATH.sub(lambda match: re.split(r"[\\/]", match.group())[-1], text)


def command_text(command: str) -> str:
    """Return a shell command with absolute paths shortened, as results have it."""
    try:
        words = shlex.split(command)
    except ValueError:  # a quote is not closed: this is no shell command
        return _EMBEDDED_PATH.sub(lambda match: re.split(r"[\\/]", match.group())[-1], command)
    stripped = [_strip(word) for word in words]
    return command if stripped == words else shlex.join(stripped)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "invlib": __version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # one can read results without it
            versions[package] = "not installed"
    return versions


def _device_name(device: object) -> str:
    name = str(device)
    torch = sys.modules.get("torch")  # loaded if anything was computed with it
    if name == "cpu":
        threads = torch.get_num_threads() if torch else os.cpu_count()
        return f"cpu: {_cpu_name()}, {threads} thread{'s' if threads != 1 else ''}"
    if torch and re.fullmatch(r"cuda(:\d+)?", name):
        return f"cuda: {torch.cuda.get_device_name(name)}, CUDA {torch.version.cuda}"
    return name


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine() or "unknown"


def _git_state() -> tuple[str, bool]:
    """Return the commit of the checkout of this file, and whether a tracked file was changed.

    On a machine that has the sources without their history, ``INVLIB_GIT_COMMIT`` names the commit,
    as ``git describe --always --dirty --abbrev=40`` prints it.
    """
    if stated := os.environ.get("INVLIB_GIT_COMMIT", "").strip():
        return stated.removesuffix("-dirty"), stated.endswith("-dirty")
    here = Path(__file__).resolve()
    # This file may be installed inside somebody else's repository; git does not track it there.
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return "unknown", False
    commit = _git(here.parent, "rev-parse", "HEAD")
    # Stored results change no number. If they were included, a second reference run were dirty.
    paths = (":(top)", ":(top,exclude)data/results")
    status = _git(here.parent, "status", "--porcelain", "--untracked-files=no", "--", *paths)
    if commit is None or status is None:
        return "unknown", False
    return commit, bool(status)


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, or None if it fails, hangs or does not exist."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env=keep | {"GIT_OPTIONAL_LOCKS": "0"},  # do not block the user's own git
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
