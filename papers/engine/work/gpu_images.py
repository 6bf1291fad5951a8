"""Data sets on their way to a borrowed GPU: small files, and the same arrays after unpacking."""

import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from shutil import copyfile

import numpy as np
from PIL import Image

from invlib.data.sources import EMBEDDED

SIDE = 16383  # pixels that a WebP has at most
PIXELS = 2**24  # of one here, so that no file is large: 16,384 images of 32 pixels
TAR = 20 * 2**20  # bytes of one, about
CONTENTS = "contents.json"


def data_sets(sections: Iterable) -> list[str]:
    """Return the data sets that sections train on and draw from, without those of the package."""
    found = set()
    for section in sections:
        found |= {dataset for _, dataset, _ in section.samples()}
        runs = list(section.runs().values())
        for run in runs:  # also those that are added on the way
            runs += [run.parent] if run.parent else []
            found.add(run.dataset)
    return sorted(name for name in found if name.removeprefix("embedded:") not in EMBEDDED)


def pack(source: Path, target: Path) -> None:
    """Write a data set to the folder `target`: archives as lossless WebP, other files as tars.

    Pictures of 32 pixels take two thirds of what they take in a compressed archive.
    """
    target.mkdir(parents=True)
    archives = sorted(source.glob("*.npz"))
    for archive in archives:
        with np.load(archive) as arrays:
            _mosaics(arrays["images"], target / archive.stem)
            np.save(target / f"{archive.stem}.npy", arrays["labels"])
    if not archives:
        _tars(source, target)
    elif (source / "classes.json").is_file():
        copyfile(source / "classes.json", target / "classes.json")
    names = sorted(file.name for file in target.iterdir())
    (target / CONTENTS).write_text(json.dumps(names))


def unpack(folder: Path, root: Path) -> None:
    """Write what `pack` left, in one or several ``<folder>/*/images/<name>``, to ``<root>/<name>``.

    FileNotFoundError if files are missing. What is unpacked already is left alone.
    """
    for contents in sorted(folder.glob(f"*/images/*/{CONTENTS}")):
        name, names = contents.parent.name, json.loads(contents.read_text())
        target = root / name
        if (target / f".{CONTENTS}").is_file():
            continue
        files = {file.name: file for file in folder.glob(f"*/images/{name}/*")}
        if missing := [file for file in names if file not in files]:
            raise FileNotFoundError(f"{name} lacks {', '.join(missing)}; bring all of the folders")
        target.mkdir(parents=True, exist_ok=True)
        for file in [files[name] for name in names]:
            if file.suffix == ".tar":
                with tarfile.open(file) as tar:
                    tar.extractall(target, filter="data")
            elif file.suffix == ".npy":
                images = _images(files, file.stem)
                np.savez(target / f"{file.stem}.npz", images=images, labels=np.load(file))
            elif file.name == "classes.json":
                copyfile(file, target / file.name)
        copyfile(contents, target / f".{CONTENTS}")


def _tars(source: Path, target: Path) -> None:
    """Write files of image folders into tars of about `TAR` bytes."""
    groups, size = [], TAR
    for file in sorted(file for file in source.rglob("*") if file.is_file()):
        if size >= TAR:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.stat().st_size
    for number, files in enumerate(groups):
        with tarfile.open(target / f"files-{number:03}.tar", "w") as tar:
            for file in files:
                tar.add(file, file.relative_to(source))


def _mosaics(images: np.ndarray, stem: Path) -> None:
    """Write images (N, H, W, 3) row by row into as few pictures as hold them."""
    n, height, width, _ = images.shape
    across = max(1, min(100, SIDE // width))
    most = across * max(1, min(SIDE, PIXELS // (across * width)) // height)
    for number, start in enumerate(range(0, n, most)):
        block = images[start : start + most]
        rows = -(-len(block) // across)
        full = np.zeros((rows * across, *images.shape[1:]), np.uint8)
        full[: len(block)] = block
        tiles = full.reshape(rows, across, height, width, 3).swapaxes(1, 2)
        picture = Image.fromarray(tiles.reshape(rows * height, across * width, 3))
        picture.save(stem.with_name(f"{stem.name}-{number:03}.webp"), lossless=True)
    said = dict(shape=images.shape, across=across)
    stem.with_suffix(".json").write_text(json.dumps(said))


def _images(files: dict[str, Path], stem: str) -> np.ndarray:
    """Return the images that `_mosaics` wrote."""
    said = json.loads(files[f"{stem}.json"].read_text())
    (n, height, width, _), across = said["shape"], said["across"]
    blocks = []
    for name in sorted(name for name in files if name.startswith(f"{stem}-")):
        with Image.open(files[name]) as picture:
            tiles = np.asarray(picture.convert("RGB"))
        tiles = tiles.reshape(-1, height, across, width, 3).swapaxes(1, 2)
        blocks.append(tiles.reshape(-1, height, width, 3))
    return np.concatenate(blocks)[:n]
