"""``{notebook-figure}``: a picture that a notebook computed, on another page.

The argument is the notebook, ``:cell:`` the name of the figure there (``mystnb: figure: name`` in
the cell's metadata); everything else is as for ``figure``. So the text shows what this copy of the
book computed, with alternative text, and nothing generated is kept beside the sources. A notebook
without that picture is a warning, which fails the build.

``{notebook-element}`` does the same with the HTML output of a cell, such as an explorer; ``:cell:``
is the cell's id.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64decode
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.directives.patches import Figure
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)


def picture(notebook: dict, name: str) -> bytes | None:
    """Return the first PNG among the outputs of the cell whose figure has this name, or None."""
    for cell in notebook["cells"]:
        if cell["metadata"].get("mystnb", {}).get("figure", {}).get("name") == name:
            for output in cell.get("outputs", []):
                if png := output.get("data", {}).get("image/png"):
                    return b64decode("".join(png))
    return None


def element(notebook: dict, cell_id: str) -> str | None:
    """Return the first HTML among the outputs of the cell with this id, or None."""
    for cell in notebook["cells"]:
        if cell.get("id") == cell_id:
            for output in cell.get("outputs", []):
                if html := output.get("data", {}).get("text/html"):
                    return "".join(html)
    return None


class NotebookElement(SphinxDirective):
    required_arguments = 1
    option_spec = {"cell": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        notebook, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(notebook)
        name, where = self.options.get("cell", ""), self.get_location()
        try:
            html = element(json.loads(Path(path).read_text(encoding="utf-8")), name)
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be read: %s", notebook, error, location=where)
            return []
        if html is None:
            logger.warning("%s has no HTML in cell %r", notebook, name, location=where)
            return []
        return [nodes.raw("", html, format="html")]


class NotebookFigure(SphinxDirective, Figure):
    option_spec = Figure.option_spec | {"cell": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        notebook, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(notebook)
        name = self.options.pop("cell", "")
        try:
            png = picture(json.loads(Path(path).read_text(encoding="utf-8")), name)
        except (OSError, ValueError) as error:
            where = self.get_location()
            logger.warning("%s cannot be read: %s", notebook, error, location=where)
            return []
        if png is None:
            where = self.get_location()
            logger.warning("%s has no picture named %r", notebook, name, location=where)
            return []
        # Beside Sphinx's own intermediate files, which are no sources and can go at any time.
        folder = Path(self.env.doctreedir).parent / "notebook_figures"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{hashlib.sha256(png).hexdigest()[:16]}.png"
        file.write_bytes(png)
        page = Path(self.env.doc2path(self.env.docname)).parent
        self.arguments[0] = Path(os.path.relpath(file, page)).as_posix()
        return super().run()


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("notebook-figure", NotebookFigure)
    app.add_directive("notebook-element", NotebookElement)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
