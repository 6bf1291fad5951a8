"""Data sets that torchvision downloads, verifies and reads, in torchvision's own folders."""

from __future__ import annotations

import http.client
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from invlib.data.decoded import ImageFiles, Pixels, Source, file_stamp
from invlib.data.sampling import held_out
from invlib.files import lock

__all__ = ["OFFICIAL", "Official", "official_source"]

_TIMEOUT = 30.0  # seconds without an answer; by default a download would wait for ever


@dataclass(frozen=True)
class Official:
    """The class, splits and files that a data set has in torchvision, below its `root`."""

    dataset: str  # class in torchvision.datasets
    splits: dict[str, dict]  # our split -> arguments of that class
    files: tuple[str, ...]  # after unpacking
    archives: tuple[str, ...] = ()  # may be there instead, copied by hand


_TRAIN_TEST = {"train": {"train": True}, "test": {"train": False}}
OFFICIAL = {
    "cifar10": Official(
        "CIFAR10", _TRAIN_TEST, ("cifar-10-batches-py",), ("cifar-10-python.tar.gz",)
    ),
    "cifar100": Official(
        "CIFAR100", _TRAIN_TEST, ("cifar-100-python",), ("cifar-100-python.tar.gz",)
    ),
    "svhn": Official(
        "SVHN",
        {split: {"split": split} for split in ("train", "test", "extra")},
        ("{split}_32x32.mat",),
    ),
    "eurosat": Official(
        "EuroSAT", {"train": {}, "test": {}}, ("eurosat/2750",), ("eurosat/EuroSAT.zip",)
    ),
    "oxford_pets": Official(
        "OxfordIIITPet",
        {"train": {"split": "trainval"}, "test": {"split": "test"}},
        ("oxford-iiit-pet/images", "oxford-iiit-pet/annotations"),
        ("oxford-iiit-pet/images.tar.gz", "oxford-iiit-pet/annotations.tar.gz"),
    ),
}


def official_source(name: str, split: str, root: Path) -> Source | ImageFiles:
    """Return a split of an official data set. It is downloaded into `root` if it is not there.

    EuroSAT has no official split. Here the test split is a fifth of each class: the files whose
    names have the smallest SHA-256. The rest is the training split (5,400 and 21,600 images).
    FileNotFoundError if it is not there and cannot be downloaded, ValueError if the files fail
    torchvision's checks.
    """
    files = [root / file.format(split=split) for file in OFFICIAL[name].files]
    if not all(file.exists() for file in files):
        _download(name, split, root, files)
    if name == "eurosat":
        images = _open(name, split, root)
        paths, labels = (np.array(column) for column in zip(*images.samples, strict=True))
        mine = held_out([Path(path).name for path in paths], labels, 0.2) == (split == "test")
        paths = [Path(path) for path in paths[mine]]
        return ImageFiles(name, split, paths, labels[mine], tuple(images.classes))
    if name == "oxford_pets":
        images = _open(name, split, root)
        labels = np.array(images._labels)  # the public way would decode every image
        return ImageFiles(name, split, images._images, labels, tuple(images.classes))
    stamps = [file_stamp(part) for file in files for part in sorted([file, *file.glob("*")])]
    return Source(
        name=name, split=split, identity=stamps, read=lambda: _read_arrays(name, split, root)
    )


def _read_arrays(name: str, split: str, root: Path) -> Pixels:
    images = _open(name, split, root)
    if name == "svhn":
        pixels = images.data.transpose(0, 2, 3, 1)  # from (N, 3, 32, 32)
        return Pixels(pixels.shape, [pixels], images.labels, tuple("0123456789"))
    return Pixels(images.data.shape, [images.data], images.targets, tuple(images.classes))


def _torchvision(name: str, split: str, root: str | Path, *, download: bool = False):
    """Return torchvision's data set, read from `root`."""
    from torchvision import datasets  # takes a second; the embedded data sets need none of it

    official = OFFICIAL[name]
    return getattr(datasets, official.dataset)(root, download=download, **official.splits[split])


def _open(name: str, split: str, root: Path):
    """Return torchvision's data set from `root`, without a download; ValueError if damaged."""
    official = OFFICIAL[name]
    try:
        return _torchvision(name, split, root)
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{name} in {root} is damaged or incomplete ({error}); delete "
            f"{_listed(official.files, split)} there to download it again"
        ) from error


def _download(name: str, split: str, root: Path, files: list[Path]) -> None:
    """Download and unpack into a temporary folder in `root`, then move the complete result."""
    official = OFFICIAL[name]
    try:
        with (
            lock(root / f".{name}.lock"),
            tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-") as folder,
        ):
            missing = [file for file in files if not file.exists()]  # others may have finished
            if not missing:
                return
            for archive in official.archives:
                if (root / archive).is_file():
                    Path(folder, archive).parent.mkdir(exist_ok=True)
                    shutil.copy(root / archive, Path(folder, archive))
            before = socket.getdefaulttimeout()
            socket.setdefaulttimeout(_TIMEOUT)
            try:
                _torchvision(name, split, folder, download=True)
            finally:
                socket.setdefaulttimeout(before)
            for file in missing:
                file.parent.mkdir(exist_ok=True)
                Path(folder, file.relative_to(root)).rename(file)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        damaged = tuple(archive for archive in official.archives if (root / archive).is_file())
        packed = f" (or, packed, {_listed(official.archives, split)})" if official.archives else ""
        raise FileNotFoundError(
            f"{name} is not in {root}, and its download failed ({error}). Put there "
            f"{_listed(official.files, split)}{packed}, or {name}/{split}.npz with uint8 `images` "
            "(N, H, W, 3) and `labels`; or let INVLIB_DATA name a folder that has them"
            + (f". {_listed(damaged, split)} is there, but fails its checksum" if damaged else "")
        ) from error


def _listed(files: tuple[str, ...], split: str) -> str:
    return " and ".join(files).format(split=split)
