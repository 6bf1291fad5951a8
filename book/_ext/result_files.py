"""Link result files: the one place that makes ``.nc`` files and notebooks of a page reachable.

The built book has the results at the paths of the project, ``data/results/cifar/dynamics.nc``, so
links work without a network. A path of one in code becomes a link, and so does a bare
``dynamics.nc``, which is the reference result. Below each figure of a notebook's page stand the
files that its boxes of provenance name, and the notebook as it was run. A file that the build has
not got is no link.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

REFERENCE = "data/results/cifar"
CODE = re.compile(r"<code[^>]*>(?:<span class=\"pre\">)?((?:[\w.-]+/)*\w+\.nc)(?:</span>)?</code>")
PROVENANCE = re.compile(r"<aside class='provenance'.*?</aside>", re.DOTALL)


def link_results(body: str, page: str, there: set[str]) -> str:
    """Return the HTML of `page` with its links; `there` are the results that the book has.

    >>> link_results("<code>a.nc</code> <code>b.nc</code>", "book/figures", {f"{REFERENCE}/a.nc"})
    "<a href='../data/results/cifar/a.nc' download><code>a.nc</code></a> <code>b.nc</code>"
    """
    up = "../" * page.count("/")

    def link(path: str, words: str) -> str:
        return f"<a href='{up}{path}' download>{words}</a>"

    def of_code(match: re.Match) -> str:
        path = match[1] if "/" in match[1] else f"{REFERENCE}/{match[1]}"
        return link(path, match[0]) if path in there else match[0]

    if page.startswith("notebooks/"):
        read = CODE.findall("".join(PROVENANCE.findall(body)))
        words = {path: path.removeprefix("data/").removeprefix("results/") for path in read}
        links = [link(path, words) for path, words in words.items() if path in there]
        links.append(f"<a href='{up}_sources/{page}.ipynb' download>the notebook</a>")
        below = f"<p class='figure-files'>Made from {' · '.join(links)}</p>"
        body = body.replace("</figcaption>", f"{below}</figcaption>")
    return CODE.sub(of_code, body)


def results_in(source: str | Path) -> set[str]:
    return {file.relative_to(source).as_posix() for file in Path(source, "data").rglob("*.nc")}


def put_links(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if "body" in context:
        context["body"] = link_results(context["body"], page, results_in(app.srcdir))


def copy_results(app: Sphinx, error: Exception | None) -> None:
    for path in results_in(app.srcdir) if error is None else ():
        Path(app.outdir, path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(app.srcdir, path), Path(app.outdir, path))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", put_links)
    app.connect("build-finished", copy_results)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
