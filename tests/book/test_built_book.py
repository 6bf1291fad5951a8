"""``make test-browser``: the book that `make book` built, page by page, in Chromium from ``file://``.

`BOOK` names another folder than ``_build/html``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.book.browser import NARROW, WIDE
from tests.workspace import ROOT

pytestmark = pytest.mark.skipif(
    not os.environ.get("BROWSER"), reason="it needs Chromium: make test-browser"
)

BOOK = Path(os.environ.get("BOOK") or ROOT / "_build" / "html")
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(page["file"] for part in TOC["parts"] for page in part["chapters"])]
WINDOWS = {
    "wide": dict(viewport=WIDE),
    "dark": dict(viewport=WIDE, color_scheme="dark"),
    "narrow": dict(viewport=NARROW),
}
SMALLEST = 10  # pixels of text in a figure
LARGEST = {"notebooks/how_inverted": 4e6, "notebooks/convergence": 4e6}  # they show many X′
LARGEST |= {"notebooks/what_is_an_inversion": 4e6}

# What the theme does, and why it stays: rule -> (where, reason). All else is the book's own.
OF_THE_THEME = {
    "region": ("logo__title", "the book's name stands in the sidebar before its first landmark"),
}

each_page = pytest.mark.parametrize("page", PAGES)


@pytest.fixture
def visit(chromium) -> Iterator:
    """Open a page; whatever the browser complains of or asks the network for fails the test."""
    if not (BOOK / "index.html").is_file():
        pytest.fail(f"there is no book in {BOOK}: make book, or make book SCALE=smoke")
    contexts, wrong = [], []

    def open_page(page: str, **more):
        context = chromium.new_context(**dict(viewport=WIDE) | more)
        contexts.append(context)
        opened = context.new_page()
        opened.on("console", lambda m: m.type == "error" and wrong.append(m.text))
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("request", lambda r: r.url.startswith(("file:", "data:")) or wrong.append(r.url))
        context.route(re.compile("^https?:"), lambda route: route.abort())
        opened.goto(f"file://{BOOK / page}.html")
        return opened

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.mark.parametrize("window", WINDOWS)
@each_page
def test_it_loads_fits_and_is_accessible(visit, page, window):
    from axe_playwright_python.sync_playwright import Axe  # loads Playwright

    opened = visit(page, **WINDOWS[window])
    width = WINDOWS[window]["viewport"]["width"]
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    for violation in Axe().run(opened, options={"preload": False}).response["violations"]:
        where, _ = OF_THE_THEME.get(violation["id"], ("", ""))
        own = [node["html"] for node in violation["nodes"] if not (where and node_in(where, node))]
        assert not own, f"{violation['id']}: {violation['help']}\n" + "\n".join(own[:5])


def node_in(where: str, node: dict) -> bool:
    return re.search(where, f"{node['target']} {node['html']}") is not None


@each_page
def test_figures_can_be_read_and_are_said_in_words(visit, page):
    opened = visit(page)
    shown = opened.evaluate(
        "[...document.querySelectorAll('.bd-article img')].map(i => ({file: i.getAttribute('src'),"
        " alt: i.alt, width: i.getBoundingClientRect().width, in: !!i.closest('.cell_output')}))"
    )
    files = {(BOOK / page).parent.joinpath(image["file"]).resolve() for image in shown}
    for image in shown:
        file = (BOOK / page).parent / image["file"]
        assert image["alt"].strip(), file
        if file.suffix != ".png":
            continue
        with Image.open(file) as png:
            text, drawn = png.text, png.width
        assert image["alt"] == text["Description"]
        scale = 2 * image["width"] / drawn if image["width"] else 1  # two dots a pixel
        assert float(text["Smallest text"]) * scale >= SMALLEST, file
    own = (BOOK / f"{page}.html").stat().st_size + sum(file.stat().st_size for file in files)
    assert own < LARGEST.get(page, 2e6), f"{own / 1e6:.1f} MB"


@each_page
def test_next_in_the_text_is_next_in_the_navigation(page):
    source = ROOT / f"{page}.ipynb"
    if not source.is_file():
        return
    cells = json.loads(source.read_text())["cells"]
    said = re.findall(
        r"\*\*Next:\*\*\s+{doc}`/([^`]+)`", "".join("".join(c["source"]) for c in cells)
    )
    assert said == [PAGES[PAGES.index(page) + 1]]


def test_a_click_or_a_key_enlarges_a_figure(visit):
    opened = visit("notebooks/finetuning_task")
    link = opened.locator(".bd-article a.image-reference").first
    small = link.locator("img").bounding_box()["width"]
    link.focus()
    opened.keyboard.press("Enter")
    picture = opened.locator("dialog.enlarged[open] img")
    picture.wait_for()
    assert picture.bounding_box()["width"] > 1.5 * small
    opened.keyboard.press("Escape")
    assert opened.locator("dialog[open]").count() == 0
    link.click()
    assert picture.is_visible()


def test_search_finds_a_page(visit):
    opened = visit("search", viewport=WIDE)
    opened.goto(f"file://{BOOK / 'search.html'}?q=forgetting")
    opened.locator("#search-results li a").first.wait_for(timeout=15_000)
    found = opened.locator("#search-results li a").all_inner_texts()
    assert any("fine-tuning task" in title.lower() for title in found)


def test_on_paper_an_explorer_is_its_table(visit):
    opened = visit("notebooks/compression_expansion")
    opened.locator("book-explorer .explorer-controls").first.wait_for(state="attached")
    opened.emulate_media(media="print")
    assert not opened.locator("book-explorer .explorer-controls").first.is_visible()
    assert opened.locator("book-explorer .explorer-print").first.is_visible()
