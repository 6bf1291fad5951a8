"""What a file or folder says: a digest of its content, whatever its place."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

__all__ = ["content"]


def content(path: Path) -> str:
    """Return a digest of what lies at `path`, or its name while nothing does.

    A file counts by its bytes, a folder by the names and sizes of its files.

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
