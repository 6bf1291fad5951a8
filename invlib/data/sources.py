"""Find the files of a named data set: `.npz` archives, image folders, official downloads."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np

from invlib.data.decoded import ImageFiles, Pixels, Source, file_stamp, validate
from invlib.data.downloads import OFFICIAL, official_source
from invlib.names import choices, nearest

__all__ = ["find_source"]

_SUFFIXES = (".jpg", ".jpeg", ".png")


def find_source(name: str, split: str, root: Path) -> Source | ImageFiles:
    """Return where a split lies, after a download where that is possible.

    `name` is a data set under `root`, a path to a folder laid out like one, or a path to one
    ``.npz`` file, whose name is its split. What the folder of the data set holds goes before a
    download and is never mixed with one, so that no test image can be among the training images.

    Raises
    ------
    ValueError
        For a split that is not there, or a name that is nowhere.
    FileNotFoundError
        For a path to no file, or after a download that failed.
    """
    path = Path(name).expanduser().absolute()
    if path.suffix == ".npz":
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        choices("split", split, [path.stem])
        return _archive(path.parent.name, split, path)

    is_path = "/" in name or os.sep in name or name.startswith((".", "~"))
    folder = path if is_path else root / name
    official = None if is_path else OFFICIAL.get(name)
    there = _splits(folder)
    if official:  # beside its own files, `eurosat/` may hold the official `2750/`
        there = {split: path for split, path in there.items() if split in official.splits}
    if there:
        place = there[choices("split", split, there)]
        return (_archive if place.is_file() else _image_folder)(folder.name, split, place)
    if official:
        return official_source(name, choices("split", split, official.splits), root)
    raise ValueError(_nothing_there(name, folder, root))


def _splits(folder: Path) -> dict[str, Path]:
    """Return what a data set's folder holds: split -> archive, or folder of class folders."""
    if not folder.is_dir():
        return {}
    found = {path.name: path for path in _folders(folder) if _folders(path)}
    found |= {path.stem: path for path in folder.glob("*.npz")}
    for other in ("val", "validation"):  # ImageNet and its like publish no labelled test split
        if other in found:
            found.setdefault("test", found[other])
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _nothing_there(name: str, folder: Path, root: Path) -> str:
    mine = [path.name for path in _folders(root) if _splits(path)] if root.is_dir() else []
    known = sorted({"digits", "shapes", "street_digits", *OFFICIAL, *mine})
    return (
        f"there is no data set {name!r}; known are {', '.join(known)}{nearest(name, known)} "
        f"Looked in {folder}, which should hold train.npz and test.npz, or images as "
        "train/<class>/*.jpg (or .png) and test/<class>/*.jpg; INVLIB_DATA names another root."
    )


def _archive(name: str, split: str, path: Path) -> Source:
    classes = path.with_name("classes.json")
    stamps = [file_stamp(file) for file in (path, classes) if file.is_file()]
    return Source(name=name, split=split, identity=stamps, read=partial(_read_archive, path))


def _read_archive(path: Path) -> Pixels:
    images, labels = _arrays(path)
    validate(images, labels, None, str(path))
    try:
        names = {int(label): name for label, name in (_classes_json(path.parent) or {}).items()}
    except ValueError as error:
        raise ValueError(
            f"{path.with_name('classes.json')}: a label is no number: {error}"
        ) from error
    names = names or {label: str(label) for label in range(max(labels.max(), 0) + 1)}
    known = np.array(sorted(names))
    # Classes are numbered 0 to K-1 in the order of their labels: of 1000 ImageNet classes an
    # archive may have ten.
    classes = np.searchsorted(known, labels).clip(max=len(known) - 1)
    if strange := set(labels[known[classes] != labels].tolist()):
        raise ValueError(f"{path}: there is no class for the labels {sorted(strange)[:5]}")
    return Pixels(images.shape, [images], classes, tuple(names[label] for label in known))


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    broken = f"{path} is not a complete .npz archive"
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{broken} (no zip directory at its end); copy it again")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in ("images", "labels") if name in arrays.files}
            names = arrays.files
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{broken} ({error}); copy it again") from error
    if len(found) < 2:
        raise ValueError(f"{path} holds {names}, not 'images' and 'labels'")
    return found["images"], found["labels"]


def _classes_json(folder: Path) -> dict[str, str] | None:
    """Return ``classes.json`` as label -> name: a list of names, or such an object; else None."""
    path = folder / "classes.json"
    if not path.is_file():
        return None
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error})") from error
    if isinstance(names, list):
        names = {str(label): name for label, name in enumerate(names)}
    if not isinstance(names, dict) or not all(isinstance(n, str) for n in names.values()):
        raise ValueError(f"{path} is neither a list of class names nor an object label -> name")
    return names


def _image_folder(name: str, split: str, path: Path) -> ImageFiles:
    data_set = path.parent
    # A class counts if any split has it, so that all splits number the classes alike.
    splits = [place for place in set(_splits(data_set).values()) if place.is_dir()]
    classes = sorted({folder.name for place in splits for folder in _folders(place)})
    files = [
        (file, label)
        for label, class_name in enumerate(classes)
        for file in sorted((path / class_name).glob("*"))
        if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".")
    ]
    if not files:
        raise ValueError(f"{path} holds no images ({', '.join(_SUFFIXES)}) in its class folders")
    paths, labels = zip(*files, strict=True)
    readable = _classes_json(data_set) or {}  # ImageNet: {"n01440764": "tench", ...}
    return ImageFiles(
        name, split, paths, np.array(labels), tuple(readable.get(c, c) for c in classes)
    )
