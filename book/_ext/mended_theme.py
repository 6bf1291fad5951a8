"""Mend what the theme and docutils put into pages.

Jupyter Book loads thebe on every page: twice, which is an error in browsers. It would run a page's
code on somebody's server, by way of a CDN. No page of this book asks for it.

docutils gives an entry of a bibliography a role that DPUB-ARIA 1.1 withdrew. It is an item of the
list around it.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


def mend(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    scripts = context.get("script_files", [])
    context["script_files"] = [js for js in scripts if not _of_thebe(js)]
    body = context.get("body", "")
    context["body"] = body.replace('role="doc-biblioentry"', 'role="listitem"')


def _of_thebe(script: object) -> bool:
    attributes = getattr(script, "attributes", {})
    if attributes.get("type", "").startswith("application/"):  # data, such as pictures in base64
        return False
    return "thebe" in f"{script} {attributes.get('body', '')}".lower()


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
