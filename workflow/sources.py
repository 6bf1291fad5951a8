"""Which files of the project a result or the book is made from. Paths are relative to its root."""

from pathlib import Path


def library() -> list[str]:
    """The code a notebook's results depend on. The command line computes nothing."""
    return [path for path in _files("invlib", "*.py") if path != "papers/__main__.py"]


def book() -> list[str]:
    """Everything a page may show: prose, notebooks, code, results, and the files at the root."""
    return [
        *existing("_config.yml", "_toc.yml", "README.md", "LICENSE", "CITATION.cff"),
        *existing("Makefile", "environment.yml", "workflow/Snakefile", "data/paper.yaml"),
        *_files("book", "*"),
        *_files("notebooks", "*"),
        *_files("invlib", "*.py"),
        *_files("data/results", "*"),
    ]


def existing(*paths: str) -> list[str]:
    return [path for path in paths if Path(path).is_file()]


def _files(folder: str, pattern: str) -> list[str]:
    """Files below `folder`, without what tools leave there."""
    return sorted(
        path.as_posix()
        for path in Path(folder).rglob(pattern)
        if path.is_file() and not any(p.startswith((".", "__pycache__")) for p in path.parts)
    )
