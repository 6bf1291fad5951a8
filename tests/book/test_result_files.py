"""Results and notebooks are linked where a page names them, and only if the book has them."""

from __future__ import annotations

import importlib
import re
import sys

from tests.workspace import ROOT

sys.path.append(str(ROOT / "book" / "_ext"))
result_files = importlib.import_module("result_files")

THERE = {"data/results/cifar/dynamics.nc", "data/runs/smoke/dynamics.nc"}
FIGURE = "<figure><figcaption><p>A curve.</p></figcaption></figure>"


def box(path: str) -> str:
    return f"<aside class='provenance'><code>{path}</code></aside>"


def links(body: str, page: str) -> list[str]:
    return re.findall("href='([^']*)'", result_files.link_results(body, page, THERE))


def test_a_figure_has_the_files_of_its_pages_boxes_and_its_notebook():
    body = FIGURE + "".join(map(box, [*sorted(THERE), "data/runs/elsewhere/dynamics.nc"]))
    of_figure = [f"../{path}" for path in sorted(THERE)]
    of_figure.append("../_sources/notebooks/dynamics.ipynb")
    of_boxes = [f"../{path}" for path in sorted(THERE)]
    assert links(body, "notebooks/dynamics") == [*of_figure, *of_boxes]
    assert links(FIGURE, "book/method") == []


def test_a_bare_name_is_the_reference_result():
    code = '<code class="docutils"><span class="pre">{}.nc</span></code>'
    assert links(code.format("dynamics"), "book/figures") == ["../data/results/cifar/dynamics.nc"]
    assert links(code.format("dynamics"), "index") == ["data/results/cifar/dynamics.nc"]
    assert links(code.format("your_models"), "book/figures") == []
