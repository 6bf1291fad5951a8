"""Write files whole or not at all, lock them between processes, hash and seal their content."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open

__all__ = [
    "BLANK", "atomic", "broken_part", "check_seal", "content", "copy", "lock", "read_sealed",
    "seal", "usable", "write_sealed",
]  # fmt: skip

logger = logging.getLogger(__name__)

BLANK = "0" * 64  # what a file has in its first bytes where its seal is to stand
_HEAD = 4096  # a seal stands in the first bytes
# One flipped bit breaks a seal into two parts, of which one is still recognised as such.
_SEAL = re.compile(rb"[0-9a-f]{32,64}")
_LARGE = 2**20  # a larger file that stays the same is read once per process
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, a quota, a limit on file sizes

Seen = TypeVar("Seen")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`. What is written there becomes `path` at the end.

    It may be a file or a folder. The folder around it is made if needed, and a link is followed. A
    reader of `path` finds the old file or the new one, never a part, even after a crash or a power
    cut. If the block fails, or the file system refuses (OSError), the new file is removed. A folder
    cannot replace another folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "log.txt")
    ...     with atomic(path) as unfinished:
    ...         _ = unfinished.write_text("all of it")
    ...     path.read_text(), [file.name for file in Path(folder).iterdir()]
    ('all of it', ['log.txt'])
    """
    path = Path(os.path.realpath(path))
    usable(path.parent)
    # a name is 255 bytes long at most
    unfinished = path.with_name(f".{path.name[:50]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        yield unfinished
        for file in unfinished.iterdir() if unfinished.is_dir() else [unfinished]:
            _flush(file)  # otherwise a power cut could leave the name without the bytes
        os.replace(unfinished, path)
    except Exception as error:  # libraries wrap the system's error, or hide it
        full = any(os.strerror(code) in str(error) for code in _FULL)
        if full or shutil.disk_usage(path.parent).free < 2**20:
            reason = f"{os.strerror(errno.ENOSPC)}: free some, then give the same command again"
            raise OSError(errno.ENOSPC, reason, str(path)) from error
        raise
    finally:  # there is nothing to remove if all went well
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        unfinished.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # some systems cannot flush a folder; the file is whole
        _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def usable(folder: Path) -> None:
    """Make `folder` if needed; OSError names it if no file can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # root may write anywhere, but not in /proc
            pass
    except OSError as error:
        words = f"{folder} is no folder that can be written to ({error.strerror})"
        raise OSError(error.errno, words) from error


def copy(source: Path, target: Path) -> None:
    """Copy a file to `target`, whole or not at all."""
    with atomic(target) as unfinished:
        shutil.copyfile(source, unfinished)


def lock(path: Path) -> AbstractContextManager:
    """Wait until no other process holds the lock file `path`, then lock it until the context ends.

    If the process that holds it dies, the operating system frees it. OSError if its folder cannot
    be written.
    """
    held = FileLock(path)
    try:
        usable(path.parent)
        return held.acquire(blocking=False)
    except Timeout:
        logger.info("another process holds %s: waiting", path)
        return held.acquire()
    except OSError as error:
        words = f"{error.strerror}; for a cache, let INVLIB_CACHE name another folder"
        raise OSError(error.errno, words) from error


def content(path: Path) -> str:
    """Return a digest of the file or folder at `path`, or its name if nothing is there.

    The digest of a file is of its bytes, that of a folder of the names and sizes of its files.

    Examples
    --------
    >>> content(Path("nowhere/weights.safetensors"))
    'name:weights.safetensors'
    """
    if path.is_file():
        return "file:" + _remembered(_file_digest, path)
    if path.is_dir():
        entries = sorted(
            (p.relative_to(path).as_posix(), p.stat().st_size)
            for p in path.rglob("*")
            if p.is_file()
        )
        return "folder:" + hashlib.sha256(json.dumps(entries).encode()).hexdigest()
    return f"name:{path.name}"


def seal(path: Path) -> None:
    """Write the SHA-256 of the file at `path` over the `BLANK` in its first 4 KiB.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "weights")
    ...     _ = path.write_text(f"seal {BLANK} and much more")
    ...     seal(path)
    ...     check_seal(path)
    True
    """
    with open(path, "r+b") as file:
        place = file.read(_HEAD).index(BLANK.encode())
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(place)
        file.write(digest.encode())


def check_seal(path: Path) -> bool:
    """Return whether the file at `path` has a seal. Files of older versions have none.

    ValueError if a single byte is not as it was when it was sealed.
    """
    return _remembered(_seal_holds, path)


def broken_part(path: Path) -> str | None:
    """Return the first entry of a zip archive that fails its CRC-32; None if all are whole."""
    return _remembered(_first_broken, path)


def write_sealed(tensors: dict[str, Any], path: Path, settings: dict[str, Any]) -> None:
    """Write PyTorch's tensors, and settings in JSON's types, whole or not at all, with a seal."""
    from safetensors.torch import save_file  # imports torch; a list of runs needs none

    with atomic(path) as unfinished:
        # One key, because safetensors writes several keys in random order.
        save_file(tensors, unfinished, {"invlib": json.dumps({"seal": BLANK} | settings)})
        seal(unfinished)


def read_sealed(path: Path, *, tensors: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tensors of a safetensors file, and the settings that stand beside its seal.

    The tensors are PyTorch's. With ``tensors=False`` only the settings are read. OSError or
    ValueError if the file cannot be read, is damaged or no safetensors file.
    """
    check_seal(path)
    try:
        with safe_open(path, "pt") as file:
            settings = json.loads((file.metadata() or {}).get("invlib", "{}"))
            names = file.keys() if tensors else ()
            return {name: file.get_tensor(name) for name in names}, settings
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is no complete safetensors file: {error}") from error


def _remembered(read: Callable[..., Seen], path: Path) -> Seen:
    """Return what `read` finds in a file; in a large one it looks again only if that changed."""
    stat = path.stat()
    read = read if stat.st_size > _LARGE else read.__wrapped__
    return read(str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@functools.lru_cache(maxsize=1024)
def _seal_holds(path: str, *_stamp: int) -> bool:
    with open(path, "rb") as file:
        head = file.read(_HEAD)
        if (found := _SEAL.search(head)) is None:
            return False
        digest = hashlib.sha256(_SEAL.sub(BLANK.encode(), head, count=1))
        while block := file.read(_LARGE):
            digest.update(block)
    if digest.hexdigest().encode() != found[0]:
        raise ValueError(f"{path} is damaged: it is not as it was written")
    return True


@functools.lru_cache(maxsize=1024)
def _first_broken(path: str, *_stamp: int) -> str | None:
    with zipfile.ZipFile(path) as archive:
        some = any(part.CRC for part in archive.infolist())  # PyTorch can be told to write none
        return archive.testzip() if some else None


@functools.lru_cache(maxsize=1024)
def _file_digest(path: str, *_stamp: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
