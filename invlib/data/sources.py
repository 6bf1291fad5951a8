"""Find the files of a named data set: `.npz` archives, image folders, official downloads."""

from __future__ import annotations

import json
import logging
import os
import zipfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np

from invlib.data import folders
from invlib.data.decoded import ImageFiles, Pixels, Source, file_stamp, validate
from invlib.data.downloads import OFFICIAL, official_source
from invlib.data.sampling import held_out
from invlib.names import choices, listed, nearest

__all__ = ["EMBEDDED", "find_source"]

logger = logging.getLogger(__name__)

EMBEDDED = ("digits", "shapes", "shapes_by_form", "street_digits")
_LARGEST = 16 * 2**30  # bytes that the arrays of an archive may have
_MOST_CLASSES = 100_000  # that need no names
_BROKEN = "is not a complete .npz archive: the file is damaged"


def find_source(
    name: str, split: str | None, root: Path, test_share: float | None = None, split_seed: int = 0
) -> Source | ImageFiles:
    """Return the files of a split, after a download if there are none.

    `name` is a data set under `root`, a path to a folder with the same layout, or to one ``.npz``
    file named after its split; `split` as in `load_images`. A folder with files is never mixed with
    a download: no test image can be among the training images. ValueError for an unknown name or
    split, FileNotFoundError for a path to no file, or if a download failed.
    """
    if not name.strip():
        raise ValueError(f"name={name!r} is empty; it names a data set, or is the path of one")
    path = Path(name).expanduser().absolute()
    if path.suffix == ".npz":
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        _check_name(path.parent)
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path} {_BROKEN} (no zip directory at its end); copy it again")
        return _archive(path.parent.name, choices("split", split or path.stem, [path.stem]), path)

    is_path = "/" in name or os.sep in name or name.startswith((".", "~"))
    folder = path if is_path else root / name
    _check_name(folder)
    official = None if is_path else OFFICIAL.get(name)
    inner = folder if official else folders.innermost(folder)
    splits, reasons = folders.find_splits(inner, split or "test")
    if official:
        splits = {split: path for split, path in splits.items() if split in official.splits}
        own = not (folder / "2750").is_dir()  # which is EuroSAT's
        if not splits and own and folders.has_pictures(folder):
            raise ValueError(
                f"name={name!r} is a data set to download, and there is a folder {folder} without "
                "train/ and test/; rename it, or give its path to read it"
            )
    if test_share is not None and (there := splits or (official and official.splits)):
        raise ValueError(f"test_share={test_share}: {folder} has splits: {listed(sorted(there))}")
    if split is None:
        split = "test" if splits or official or test_share is not None else "all"
    if splits:
        if reasons:
            logger.warning("%s", "; ".join(reasons))
        place = splits[choices("split", split, splits)]
        if place.is_file():
            return _archive(folder.name, split, place)
        return _image_folder(folder.name, split, splits, inner)
    if official:
        return official_source(name, choices("split", split, official.splits), root)
    if inner.is_dir() and not reasons and folders.has_pictures(inner):
        return _undivided(folder, split, inner, test_share, split_seed)
    raise ValueError(_nothing_there(None if is_path else name, folder, root, reasons))


def _check_name(path: Path) -> None:
    """Raise ValueError for a name that no text can have: results and figures could not show it."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{os.fsencode(path)!r}: the name is not UTF-8; rename it") from None


def _nothing_there(name: str | None, folder: Path, root: Path, reasons: list[str]) -> str:
    mine = [path.name for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    known = sorted({*EMBEDDED, *OFFICIAL, *(name for name in mine if not name.startswith("."))})
    layout = "train.npz and test.npz, or images as train/<class>/*.jpg and test/<class>/*.jpg"
    if folder.is_dir():
        why = "; ".join(reasons) or f"{folder} has no train/ and test/ with class folders"
        return f"{why}; {folder} should hold {layout}{_tables(folder)}"
    if folder.is_file():
        return f"{folder} is a file; name a folder that holds {layout}, or an .npz file"
    if name is None:
        beside = [path.name for path in folder.parent.glob("*/")]
        return f"there is no folder {folder}{nearest(folder.name, beside)}; it should hold {layout}"
    hint = nearest(name, known) or f"; known are {', '.join(known)}."
    return (
        f"there is no data set {name!r}{hint} Looked in {folder}, which should hold {layout}; "
        "INVLIB_DATA names another root"
    )


def _archive(name: str, split: str, path: Path) -> Source:
    classes = path.with_name("classes.json")
    stamps = [file_stamp(file) for file in (path, classes) if file.is_file()]
    return Source(name=name, split=split, identity=stamps, read=partial(_read_archive, path))


def _read_archive(path: Path) -> Pixels:
    images, labels = _arrays(path)
    validate(images, labels, None, str(path))
    given = _classes_json(path.parent) or {}
    try:
        names = {int(label): name for label, name in given.items()}
    except ValueError as error:
        raise ValueError(
            f"{path.with_name('classes.json')}: a label is no number: {error}"
        ) from error
    if not names and labels.max() >= _MOST_CLASSES:
        raise ValueError(
            f"{path}: its labels go up to {labels.max()}, and there is no classes.json to name them"
        )
    names = names or {label: str(label) for label in range(max(labels.max(), 0) + 1)}
    known = np.array(sorted(names))
    # Classes are numbered 0 to K-1 in the order of their labels, because an archive may have only
    # ten of the 1000 ImageNet classes.
    classes = np.searchsorted(known, labels).clip(max=len(known) - 1)
    if nameless := set(labels[known[classes] != labels].tolist()):
        raise ValueError(f"{path}: there is no class for the labels {sorted(nameless)[:5]}")
    return Pixels(images.shape, [images], classes, tuple(names[label] for label in known))


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
        if claimed > _LARGEST:
            raise MemoryError(f"its arrays are {claimed / 2**30:.1f} GiB")
        with np.load(path, allow_pickle=False) as arrays:
            wanted = {name: arrays[name] for name in ("images", "labels") if name in arrays.files}
            names = arrays.files
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        if "Object arrays" in str(error):
            raise ValueError(f"{path} holds Python objects; save arrays of numbers") from error
        raise ValueError(f"{path} {_BROKEN} ({error}); copy it again") from error
    except MemoryError as error:
        raise ValueError(
            f"{path} is too large to be read at once ({error}; at most {_LARGEST >> 30} GiB, and "
            "the free memory); keep such a data set as a folder of images, read one by one"
        ) from error
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


def _image_folder(name: str, split: str, splits: dict[str, Path], data_set: Path) -> ImageFiles:
    places = {place for place in splits.values() if place.is_dir()}
    names = {place: set(folders.class_names(place)) for place in places}
    path, train = splits[split], splits.get("train")
    if not names.get(train, names[path]) & names[path]:
        theirs, ours = listed(sorted(names[path])), listed(sorted(names[train]))
        raise ValueError(f"{path} has the classes {theirs}, none of those in {train}: {ours}")
    if unseen := names[path] - names.get(train, names[path]):
        logger.warning("%s has classes that %s lacks: %s", path, train, listed(sorted(unseen)))
    # Classes of all splits together, so that every split numbers them alike.
    classes = sorted(set().union(*names.values()))
    return _named(name, split, folders.class_files(path), classes, data_set)


def _tables(folder: Path) -> str:
    """Return in words that tables, where labels may stand, are not read; "" without any."""
    names = sorted(path.name for path in folder.glob("*.[CTct][Ss][Vv]"))
    ways = "move the images into a folder for each class, or save images and labels as .npz"
    return f"; labels in {listed(names)} are not read: {ways}" if names else ""


def _undivided(folder: Path, split: str, path: Path, share: float | None, seed: int) -> ImageFiles:
    """Return all images of a folder without splits, or a part of them; they are in `path`."""
    classes = folders.class_names(path)
    tables = "" if classes else _tables(folder)
    files, skipped = folders.class_files(path, labelled=bool(classes))
    if share is not None:
        choices("split", split, ("test", "train"))
        keys = [f"{seed}/{file.relative_to(path).as_posix()}" for _, file in files]
        test = held_out(keys, np.array([label for label, _ in files]), share)
        files = [file for file, mine in zip(files, test == (split == "test"), strict=True) if mine]
        if not files:
            raise ValueError(f"test_share={share} leaves no image of {path} for {split!r}")
    elif split != "all":
        what = f"the classes {listed(classes)}" if classes else "images without class folders"
        raise ValueError(
            f"{path} has {what}, but no train/ and test/ with class folders; take split='all', or "
            f"test_share=0.2, which divides every class, instead of {split!r}{tables}"
        )
    if tables:
        logger.warning("%s: all images are %s%s", folder, folders.UNLABELLED, tables)
    return _named(folder.name, split, (files, skipped), classes or [folders.UNLABELLED], path)


def _named(
    name: str, split: str, found: tuple[list, list], classes: list[str], data_set: Path
) -> ImageFiles:
    files, skipped = found
    if skipped:
        what = f"{len(files)} images; skipped {len(skipped)} others: {listed(skipped, 5)}"
        logger.warning("%s/%s: %s", name, split, what)
    for class_name in classes:
        _check_name(data_set / class_name)
    labels, paths = zip(*files, strict=True)
    readable = _classes_json(data_set) or {}  # ImageNet: {"n01440764": "tench", ...}
    numbers = np.searchsorted(classes, labels)
    return ImageFiles(name, split, paths, numbers, tuple(readable.get(c, c) for c in classes))
