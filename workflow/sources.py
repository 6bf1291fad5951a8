"""Which files of the project a result or the book is made from. Paths are relative to its root."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path


def code() -> list[str]:
    """The code a notebook's results depend on. The command lines compute nothing."""
    commands = ("/__main__.py", "papers/run.py")
    return [path for path in _python() if not path.endswith(commands)]


def facts() -> list[str]:
    """What the papers report and claim."""
    return _files("data/papers", "*.yaml")


def book() -> list[str]:
    """Everything a page may show: prose, notebooks, code, results, and the files at the root."""
    return [
        *existing("_config.yml", "_toc.yml", "README.md", "LICENSE", "CITATION.cff"),
        *existing("Makefile", "environment.yml", "workflow/Snakefile"),
        *_files("book", "*"),
        *_files("notebooks", "*"),
        *_files("data/results", "*"),
        *_python(),
        *facts(),
    ]


def existing(*paths: str) -> list[str]:
    return [path for path in paths if Path(path).is_file()]


def references(notebook: str, names: Iterable[str]) -> list[str]:
    """Return the results in ``data/results`` of any of `names`, and those that a notebook opens."""
    found = {str(path) for name in names for path in Path("data/results").glob(f"*/{name}.nc")}
    text = Path(notebook).read_text(encoding="utf-8")
    opened = re.findall(r'results_root\(\\"(\w+)\\"\) / \\"(\w+\.nc)\\"', text)
    found |= {f"data/results/{folder}/{file}" for folder, file in opened}
    return existing(*sorted(found))


def names(paths: Iterable[str]) -> str:
    """Return a short text that differs for another set of files, whatever they hold."""
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()[:12]


def _python() -> list[str]:
    return [path for package in ("invlib", "papers") for path in _files(package, "*.py")]


def _files(folder: str, pattern: str) -> list[str]:
    """Files below `folder`, without what tools leave there."""
    return sorted(
        path.as_posix()
        for path in Path(folder).rglob(pattern)
        if path.is_file() and not any(p.startswith((".", "__pycache__")) for p in path.parts)
    )
