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
_LEFT_BEHIND = re.compile(r"\.|@eaDir$|__MACOSX$|__pycache__$|lost\+found$|\$RECYCLE\.BIN$", re.I)
_SPLITS = {
    **dict.fromkeys(("train", "training", "train_set", "training_set"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "val_set", "validation_set", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "test_set", "testing_set"), "test"),
}
_ANNOTATIONS = "val_annotations.txt"  # of Tiny ImageNet: a file and its class a line


def find_splits(folder: Path, split: str) -> tuple[dict[str, Path], list[str]]:
    """Return the splits in a folder, and why other folders in it are none.

    A split is an ``.npz`` archive or a folder of class folders. It has its own name and, if that is
    one such as ``validation``, the usual one as well. ``val`` is also the test split if there is no
    labelled one. A folder is divided if one in it is called like a split, or `split`.
    """
    if not folder.is_dir():
        return {}, []
    folders = _folders(folder)
    found: dict[str, Path] = {path.stem: path for path in sorted(folder.glob("*.npz"))}
    called = _called_splits(folders)
    reasons = []
    if called or any(path.name == split for path in folders):
        for path in folders:
            inner = innermost(path, divided=False)
            if class_names(inner):
                found.setdefault(path.name, inner)
            elif has_pictures(path):
                reasons.append(f"{path} holds images, but no class folders")
        if not found and len(called) < min(2, len(folders)):
            reasons = []  # `train` is a class, beside `car` and `ship`
    for name in list(found):
        found.setdefault(_SPLITS.get(name.lower(), name), found[name])
    if "val" in found:  # ImageNet, for one, publishes no labelled test split
        found.setdefault("test", found["val"])
    return found, reasons


def innermost(folder: Path, *, divided: bool = True) -> Path:
    """Return the folder with the splits or classes, if `folder` only has it wrapped in others.

    An archive often unpacks to ``pets/pets/cat/*.jpg``, ``pets/images/cat/*.jpg`` or so. With False
    for `divided`, the folder is a split itself.
    """
    here = folder
    while True:
        folders = _folders(here)
        if divided and (_called_splits(folders) or any(here.glob("*.npz"))):
            return here
        inside = [path for path in folders if has_pictures(path)]
        if len(inside) > 1:
            return here
        if not inside or any(map(_is_picture, here.iterdir())):
            return folder
        if inside[0].name == here.name:
            folder = inside[0]
        here = inside[0]


def _called_splits(folders: list[Path]) -> list[Path]:
    return [path for path in folders if path.name.lower() in _SPLITS]


def has_pictures(folder: Path) -> bool:
    """Return whether there are image files in a folder or below."""
    return any(picture for _, picture in _walk(folder))


def class_names(split: Path) -> list[str]:
    """Return the names of the class folders of a split that hold images, sorted.

    If ``images`` is the only one, it is none: there are no classes.
    """
    if (split / _ANNOTATIONS).is_file():
        return sorted(set(_annotated(split).values()))
    names = sorted({_name(folder) for folder in _folders(split) if has_pictures(folder)})
    return names if names != ["images"] else []


def class_files(split: Path, *, labelled: bool = True) -> tuple[list[tuple[str, Path]], list[str]]:
    """Return class and path of the images of a split, sorted, and the names of what is skipped.

    Class folders are searched to the bottom, like torchvision's ``ImageFolder`` does, and files of
    all formats count that `invlib.data.pictures` reads. Skipped are other files, empty ones, what
    file browsers and archivers leave behind, and folders without images. Without `labelled`, all
    files are of the class `UNLABELLED`.
    """
    classes = _annotated(split) if labelled and (split / _ANNOTATIONS).is_file() else None
    files, skipped = [], []
    for path, picture in _walk(split):
        parts = path.relative_to(split).parts
        label = UNLABELLED if not labelled else _name(split / parts[0]) if len(parts) > 1 else None
        if classes is not None:
            label = classes.get(path.name)
        if picture and label is not None:
            files.append((label, path))
        elif path.name != _ANNOTATIONS:
            skipped.append("/".join(parts) + "/" * path.is_dir())
    if labelled and classes is None:
        some = {label for label, _ in files}
        skipped += [f"{path.name}/" for path in _folders(split) if _name(path) not in some]
    return sorted(files), sorted(skipped)


def _annotated(split: Path) -> dict[str, str]:
    lines = (split / _ANNOTATIONS).read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t")[:2] for line in lines if line.count("\t") > 0)


def _name(folder: Path) -> str:
    # macOS writes é as e and an accent: the same class in another split may have it in one letter.
    return unicodedata.normalize("NFC", folder.name)


def _folders(folder: Path) -> list[Path]:
    paths = (path for path in sorted(folder.iterdir()) if path.is_dir())
    return [path for path in paths if not _LEFT_BEHIND.match(path.name)]


def _walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield what is below a folder, and whether it is an image; folders only if left behind."""
    seen = set()  # a link may lead back up
    for here, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(here)) in seen:
            folders.clear()
            continue
        seen.add(real)
        paths = map(Path(here).joinpath, sorted([*filter(_LEFT_BEHIND.match, folders), *files]))
        yield from ((path, _is_picture(path)) for path in paths)
        folders[:] = sorted(name for name in folders if not _LEFT_BEHIND.match(name))


def _is_picture(path: Path) -> bool:
    if path.suffix.lower() not in suffixes() or _LEFT_BEHIND.match(path.name):
        return False
    try:
        status = path.stat()
    except OSError:  # a link to nothing
        return False
    return status.st_size > 0 or not stat.S_ISREG(status.st_mode)  # a pipe is refused when opened
