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
_BROKEN = "is not a complete .npz archive: the file is damaged"


def find_source(name: str, split: str, root: Path) -> Source | ImageFiles:
    """Return the files of a split, after a download if there are none.

    `name` is a data set under `root`, a path to a folder with the same layout, or a path to one
    ``.npz`` file named after its split. If the folder of the data set has files, nothing is
    downloaded. The two are never mixed, so no test image can be among the training images.

    Raises
    ------
    ValueError
        For a split that does not exist, or an unknown name.
    FileNotFoundError
        For a path to no file, or if a download failed.
    """
    path = Path(name).expanduser().absolute()
    if path.suffix == ".npz":
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        _check_complete(path)
        choices("split", split, [path.stem])
        return _archive(path.parent.name, split, path)

    is_path = "/" in name or os.sep in name or name.startswith((".", "~"))
    folder = path if is_path else root / name
    official = None if is_path else OFFICIAL.get(name)
    splits = _splits(folder)
    if official:  # the folder `2750/` in `eurosat/` is no split
        splits = {split: path for split, path in splits.items() if split in official.splits}
    if splits:
        place = splits[choices("split", split, splits)]
        return (_archive if place.is_file() else _image_folder)(folder.name, split, place)
    if official:
        return official_source(name, choices("split", split, official.splits), root)
    raise ValueError(_nothing_there(name, folder, root))


def _splits(folder: Path) -> dict[str, Path]:
    """Return the splits in a data set's folder: split -> archive, or folder of class folders."""
    if not folder.is_dir():
        return {}
    splits = {path.name: path for path in _folders(folder) if _folders(path)}
    splits |= {path.stem: path for path in folder.glob("*.npz")}
    for other in ("val", "validation"):  # ImageNet, for one, publishes no labelled test split
        if other in splits:
            splits.setdefault("test", splits[other])
    return splits


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _nothing_there(name: str, folder: Path, root: Path) -> str:
    mine = [path.name for path in _folders(root) if _splits(path)] if root.is_dir() else []
    known = sorted({"digits", "shapes", "street_digits", *OFFICIAL, *mine})
    layout = (
        "train.npz and test.npz, or images as train/<class>/*.jpg (or .png) and test/<class>/*.jpg"
    )
    if folder.is_dir():
        return f"{folder} has no train/ and test/ with class folders; it should hold {layout}"
    return (
        f"there is no data set {name!r}; known are {', '.join(known)}{nearest(name, known) or '.'} "
        f"Looked in {folder}, which should hold {layout}; INVLIB_DATA names another root."
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
    # Classes are numbered 0 to K-1 in the order of their labels, because an archive may have only
    # ten of the 1000 ImageNet classes.
    classes = np.searchsorted(known, labels).clip(max=len(known) - 1)
    if nameless := set(labels[known[classes] != labels].tolist()):
        raise ValueError(f"{path}: there is no class for the labels {sorted(nameless)[:5]}")
    return Pixels(images.shape, [images], classes, tuple(names[label] for label in known))


def _check_complete(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} {_BROKEN} (no zip directory at its end); copy it again")


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    _check_complete(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            wanted = {name: arrays[name] for name in ("images", "labels") if name in arrays.files}
            names = arrays.files
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} {_BROKEN} ({error}); copy it again") from error
    if len(wanted) < 2:
        raise ValueError(f"{path} holds {names}, not 'images' and 'labels'")
    return wanted["images"], wanted["labels"]


def _classes_json(folder: Path) -> dict[str, str] | None:
    """Return ``classes.json`` (a list of names, or an object) as label -> name; None without it."""
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
    # Classes of all splits together, so that every split numbers them alike.
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
