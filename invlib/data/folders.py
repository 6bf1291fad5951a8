"""Find splits and classes in folders of image files, laid out as people have them."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from invlib.data.pictures import suffixes

__all__ = ["UNLABELLED", "class_files", "class_names", "find_splits", "has_pictures", "innermost"]

UNLABELLED = "unlabelled"  # the class of images without class folders
# What file browsers, archivers and notebooks leave behind, with pictures in it or not.
_LEFT_BEHIND = re.compile(
    r"\.|@eaDir$|__MACOSX$|__pycache__$|lost\+found$|\$RECYCLE\.BIN$"
    r"|[@#](recycle|snapshot|tmp)$|System Volume Information$",
    re.I,
)
_SPLIT = re.compile(  # also training_set, test1, val2017
    r"((train)(ing)?|(val)(id|idation)?|(dev)|(test)(ing)?)([_-]?(set|images|data|\d+))?", re.I
)
_ANNOTATIONS = "val_annotations.txt"  # of Tiny ImageNet: a file and its class a line


def find_splits(folder: Path, split: str) -> tuple[dict[str, Path], list[str]]:
    """Return the splits in a folder, and why other folders in it are none.

    A split is an ``.npz`` archive or a folder of class folders. It has its own name, and the usual
    one if that is another, such as ``validation``. Without a labelled test split, ``val`` is it.
    A folder has splits if one in it is called like a split, or `split`.
    """
    found = {path.stem: path for path in sorted(folder.glob("*.npz")) if path.is_file()}
    folders, reasons = _folders(folder), []
    called = _called_splits(folders)
    for path in folders if called or split in [path.name for path in folders] else ():
        inner = innermost(path, divided=False)
        inside = _folders(inner)
        if path not in called and inside and _called_splits(inside) == inside:
            reasons.append(f"{path} has splits of its own")
        elif class_names(inner):
            found.setdefault(path.name, inner)
        elif has_pictures(path):
            reasons.append(f"{path} holds images, but no class folders")
    if not found and len(called) < min(2, len(folders)):
        reasons = []  # `train` is a class, beside `car` and `ship`
    usual = {name: _usual_name(name) for name in found}
    for name, word in usual.items():
        if word and [*usual.values()].count(word) == 1:  # not of train2014 and train2017
            found.setdefault(word, found[name])
    if "val" in found:  # ImageNet, for one, publishes no labelled test split
        found.setdefault("test", found["val"])
    return found, reasons


def innermost(folder: Path, *, divided: bool = True) -> Path:
    """Return the folder with the splits or, without `divided`, the classes, if `folder` wraps it.

    An archive often unpacks to ``pets/pets/cat/*.jpg``, ``pets/images/cat/*.jpg`` or so. What is
    beside ``images`` is about them, such as masks.
    """
    here = folder
    while True:
        folders = _folders(here)
        if divided and (_called_splits(folders) or any(here.glob("*.npz"))):
            return here
        inside = [path for path in folders if has_pictures(path)]
        inside = [path for path in inside if _is_images(path.name)] or inside
        if len(inside) > 1 or (here / _ANNOTATIONS).is_file():
            return here
        if not inside or any(map(_is_picture, here.iterdir())):
            return here if _is_images(here.name) else folder  # a single class
        folder = inside[0] if inside[0].name == here.name else folder
        here = inside[0]


def has_pictures(folder: Path) -> bool:
    """Return whether there are image files in a folder or below."""
    return any(picture for _, picture in _walk(folder))


def class_names(split: Path) -> list[str]:
    """Return the names of the class folders with images, sorted; none if one is ``images``."""
    if (split / _ANNOTATIONS).is_file():
        return sorted(set(_annotated(split).values()))
    names = sorted({_name(folder) for folder in _folders(split) if has_pictures(folder)})
    return [] if any(map(_is_images, names)) else names


def class_files(split: Path, *, labelled: bool = True) -> tuple[list[tuple[str, Path]], list[str]]:
    """Return class and path of the images of a split, sorted, and the names of what is skipped.

    Class folders are searched to the bottom, as by torchvision's ``ImageFolder``. Skipped are other
    files, empty ones, `_LEFT_BEHIND`, and folders without images. Without `labelled`, all files are
    of the class `UNLABELLED`.
    """
    annotated = _annotated(split) if labelled and (split / _ANNOTATIONS).is_file() else {}
    files, skipped = [], []
    for path, picture in _walk(split):
        top, *below = path.relative_to(split).parts
        label = _name(Path(top)) if below else None
        label = annotated.get(path.name) if annotated else label if labelled else UNLABELLED
        if picture and label is not None:
            files.append((label, path))
        elif path.name != _ANNOTATIONS:
            skipped.append("/".join([top, *below]) + "/" * path.is_dir())
    if labelled and not annotated:
        classes = {label for label, _ in files}
        skipped += [f"{path.name}/" for path in _folders(split) if _name(path) not in classes]
    return sorted(files), sorted(skipped)


def _annotated(split: Path) -> dict[str, str]:
    try:
        lines = (split / _ANNOTATIONS).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{split / _ANNOTATIONS} is not text in UTF-8 ({error})") from error
    return dict(line.split("\t")[:2] for line in lines if "\t" in line)


def _name(folder: Path) -> str:
    # macOS writes é as e and an accent: the same class in another split may have it in one letter.
    return unicodedata.normalize("NFC", folder.name)


def _folders(folder: Path) -> list[Path]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in paths if path.is_dir() and not _LEFT_BEHIND.match(path.name)]


def _called_splits(folders: list[Path]) -> list[Path]:
    return [path for path in folders if _usual_name(path.name)]


def _usual_name(split: str) -> str | None:
    """Return ``train``, ``val`` or ``test`` if this is another name of it."""
    match = _SPLIT.fullmatch(split)
    return match and dict(tr="train", va="val", de="val", te="test")[match[1][:2].lower()]


def _is_images(name: str) -> bool:
    return name.casefold() == "images"


def _walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield what is below a folder, and whether it is an image; folders only if left behind."""
    seen = set()  # a link may lead back up
    for here, folders, files in os.walk(folder, followlinks=True):
        names = [] if (real := os.path.realpath(here)) in seen else folders
        left = list(filter(_LEFT_BEHIND.match, names))
        for name in sorted([*left, *files]) if real not in seen else ():
            yield Path(here, name), _is_picture(Path(here, name))
        folders[:] = sorted(set(names) - set(left))
        seen.add(real)


def _is_picture(path: Path) -> bool:
    if path.suffix.lower() not in suffixes() or _LEFT_BEHIND.match(path.name):
        return False
    try:
        status = path.stat()
    except OSError:  # a link to nothing
        return False
    return status.st_size > 0 or not stat.S_ISREG(status.st_mode)  # a pipe is refused when opened
