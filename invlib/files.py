"""Write files whole or not at all, lock them between processes, and hash their content."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["atomic", "content", "copy", "lock"]

logger = logging.getLogger(__name__)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`. What is written there becomes `path` at the end.

    It may be a file or a folder. A reader of `path` finds the old file or the new one, never a
    part, even after a crash or a power cut. If the block fails, the new file is removed. A folder
    cannot replace another folder.

    Raises
    ------
    OSError
        If the file system refuses. The old file stays.

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
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        yield unfinished
        for file in unfinished.iterdir() if unfinished.is_dir() else [unfinished]:
            _flush(file)  # otherwise a power cut could leave the name without the bytes
        os.replace(unfinished, path)
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


def copy(source: Path, target: Path) -> None:
    """Copy a file to `target`, whole or not at all, and make its folder if needed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic(target) as unfinished:
        shutil.copyfile(source, unfinished)


def lock(path: Path) -> AbstractContextManager:
    """Wait until no other process holds the lock file `path`, then lock it until the context ends.

    If the process that holds it dies, the operating system frees it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, lock(Path(folder, "new", ".lock")) as held:
    ...     held.is_locked
    True
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(path)
    try:
        return held.acquire(blocking=False)
    except Timeout:
        logger.info("another process holds %s: waiting", path)
        return held.acquire()


def content(path: Path) -> str:
    """Return a digest of the file or folder at `path`, or its name if nothing is there.

    The digest of a file is of its bytes, that of a folder of the names and sizes of its files.

    Examples
    --------
    >>> content(Path("nowhere/weights.safetensors"))
    'name:weights.safetensors'
    """
    if path.is_file():
        stat = path.stat()
        return "file:" + _file_digest(str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if path.is_dir():
        entries = sorted(
            (p.relative_to(path).as_posix(), p.stat().st_size)
            for p in path.rglob("*")
            if p.is_file()
        )
        return "folder:" + hashlib.sha256(json.dumps(entries).encode()).hexdigest()
    return f"name:{path.name}"


@functools.lru_cache(maxsize=256)
def _file_digest(path: str, size: int, mtime_ns: int) -> str:
    # Size and time are in the key so that a file that changes is read again.
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
