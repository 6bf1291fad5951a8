"""Take MathJax from the package `sphinx-mathjax-offline`, so that no page needs a network.

Sphinx loads MathJax from a CDN unless told otherwise. The package carries all of MathJax, 24 MB;
pages need one component, its fonts and what that loads on demand, and only these are copied. Where
the package is not installed the book still builds: formulas then come by way of the CDN, and
without a network they stay readable as TeX.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

PACKAGE = "sphinx-mathjax-offline"
COMPONENT = "tex-chtml.js"  # TeX in, HTML and CSS out, with hidden MathML for screen readers
NEEDED = [COMPONENT, "input/tex/extensions", "output/chtml", "a11y", "sre/mathmaps/base.json",
          "sre/mathmaps/en.json"]  # fmt: skip


def _source() -> Path | None:
    spec = find_spec(PACKAGE)
    return Path(spec.origin).parent / "static" / "mathjax" if spec and spec.origin else None


def use_local_mathjax(app: Sphinx) -> None:
    source = _source()
    if app.builder.format != "html":
        return
    if source is None:
        logging.getLogger(__name__).info("%s is not installed: MathJax comes from a CDN", PACKAGE)
        return
    target = Path(app.outdir) / "_static" / "mathjax"
    for name in NEEDED:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            shutil.copyfile(source / name, target / name)
    app.config.mathjax_path = f"mathjax/{COMPONENT}"  # relative to _static


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", use_local_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
