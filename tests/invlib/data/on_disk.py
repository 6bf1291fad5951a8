"""Small data sets written to disk, in a root and a cache of a test's own, without a network."""

import json
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(0)


def noise(n=12, size=8):
    return RNG.integers(0, 256, (n, size, size, 3), np.uint8)


def put_archive(folder, split="train", classes=None, **arrays):
    arrays = {"images": noise(), "labels": np.arange(12) % 3} | arrays
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / f"{split}.npz", **arrays)
    if classes is not None:
        (folder / "classes.json").write_text(json.dumps(classes))
    return arrays


def put_picture(path, size=(8, 8), colour=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (*size[::-1], 3), np.uint8) if colour is None else colour
    picture = Image.fromarray(pixels) if colour is None else Image.new("RGB", size, colour)
    picture.save(path)
    return np.asarray(picture)


def cache_entries(tmp_path):
    folder = tmp_path / "cache" / "images"
    return [p for p in folder.iterdir() if not p.name.endswith(".lock")] if folder.exists() else []


def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data root of the test's own; it has a cache of its own as well, and no network."""

    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setenv("INVLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("INVLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"
