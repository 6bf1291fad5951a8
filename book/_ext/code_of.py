"""``{code-of}``: a function as its file has it, signature and body, without the docstring.

It takes the options of ``literalinclude``. The method page sets a function beside the equation it
implements; the docstring would say the equation a second time. A name that is no longer in the
file is a warning, which fails the build: page and code cannot drift apart.
"""

from __future__ import annotations

import ast
import textwrap

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.directives.code import LiteralInclude


def without_docstrings(source: str) -> str:
    """Return Python `source` without the docstrings of its functions and classes.

    >>> print(without_docstrings('def f(x):\\n    "Doc."\\n    return x'))
    def f(x):
        return x
    """
    lines = source.splitlines()
    for node in ast.walk(ast.parse(textwrap.dedent(source))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            doc = node.body[0]
            lines[doc.lineno - 1 : doc.end_lineno] = [None] * (doc.end_lineno - doc.lineno + 1)
    return "\n".join(line for line in lines if line is not None)


class CodeOf(LiteralInclude):
    def run(self) -> list[nodes.Node]:
        self.options.setdefault("language", "python")
        found = super().run()
        for block in (b for node in found for b in node.findall(nodes.literal_block)):
            text = without_docstrings(block.astext())
            block.rawsource = text
            block[:] = [nodes.Text(text)]
        return found


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("code-of", CodeOf)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
