"""Leave out thebe, which Jupyter Book loads on every page: twice, which is an error in browsers.

It would run a page's code on somebody's server, by way of a CDN. No page of this book asks for it.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


def leave_out(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    scripts = context.get("script_files", [])
    known = [(js, f"{js} {getattr(js, 'attributes', {}).get('body', '')}") for js in scripts]
    context["script_files"] = [js for js, text in known if "thebe" not in text.lower()]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", leave_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
