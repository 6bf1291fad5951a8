"""Let Sphinx read pages side by side.

It does so if every extension says that it may. Two that Jupyter Book loads say nothing: one is for
PDF alone, and one for numbered parts, which this book has none of.
"""

from __future__ import annotations

from sphinx.application import Sphinx


def allow(app: Sphinx) -> None:
    for name in ("sphinx_jupyterbook_latex", "sphinx_multitoc_numbering"):
        if name in app.extensions:
            app.extensions[name].parallel_read_safe = True


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", allow)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
