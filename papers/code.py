"""A digest of the project's code: what is kept on disk is found again only by the same code."""

import hashlib
from functools import cache

from invlib.paths import project_root

__all__ = ["code_digest"]

SOURCES = ("invlib/**/*.py", "papers/**/*.py", "data/papers/*.yaml")


@cache
def code_digest() -> str:
    """Return a digest of all code of both packages, and of the facts of the papers."""
    root, digest = project_root(), hashlib.sha256()
    for path in sorted({path for pattern in SOURCES for path in root.glob(pattern)}):
        digest.update(f"{path.relative_to(root).as_posix()} {path.stat().st_size} ".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
