"""``make test-pages``: the book that `make book` built, page by page, in Chromium.

Pages are opened from ``file://``, and once each from a server on this machine.
`BOOK` names another folder than ``_build/html``.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from PIL import Image

from tests.book.browser import NARROW, WIDE
from tests.workspace import ROOT

pytestmark = pytest.mark.skipif(
    not os.environ.get("BROWSER"), reason="it needs Chromium: make test-pages"
)

BOOK = Path(os.environ.get("BOOK") or ROOT / "_build" / "html")
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(page["file"] for part in TOC["parts"] for page in part["chapters"])]
# A page is loaded once, narrow, and then changed, because loading and trying all rules each time
# takes twice as long. Dark changes nothing but colours. Colours of code are tried on one page: they
# are the same on all, and half of the time.
CONTRAST, WITH_CODE = {"runOnly": ["color-contrast"]}, "notebooks/finetuning_task"
WINDOWS = {
    "narrow": (NARROW, "light", {}),
    "narrow and dark": (NARROW, "dark", CONTRAST),
    "wide": (WIDE, "light", {}),
    "wide and dark": (WIDE, "dark", CONTRAST),
}
SMALLEST = 10  # pixels of text in a figure
# Pages with tables that are wider than a wide screen's column, and why.
WIDE_TABLES = {
    "notebooks/how_inverted": "a column for each of 13 layers",
    "notebooks/convergence": "a column for each way to invert",
}
LARGEST = {"notebooks/how_inverted": 4e6, "notebooks/convergence": 4e6}  # they show many X′
LARGEST |= {"notebooks/what_is_an_inversion": 4e6}

# What the theme does, and why it stays: rule -> (where, reason). All else is the book's own.
OF_THE_THEME = {
    "region": ("logo__title", "the book's name stands in the sidebar before its first landmark"),
}

each_page = pytest.mark.parametrize("page", PAGES)


@pytest.fixture(scope="module")
def book() -> Path:
    if not (BOOK / "index.html").is_file():
        pytest.fail(f"there is no book in {BOOK}: make book, or make book SCALE=smoke")
    return BOOK


@each_page
def test_it_loads_fits_and_is_accessible(visit, page):
    from axe_playwright_python.sync_playwright import Axe  # loads Playwright

    opened, wrong = visit(page, viewport=NARROW, reduced_motion="reduce"), []
    for window, (viewport, colours, rules) in WINDOWS.items():
        if viewport == WIDE:  # what is folded has the same colours in both
            opened.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        opened.set_viewport_size(viewport)
        opened.emulate_media(color_scheme=colours)
        opened.wait_for_function(f"document.documentElement.dataset.theme == '{colours}'")
        if opened.evaluate("document.documentElement.scrollWidth") > viewport["width"]:
            wrong.append(f"{window}: it scrolls sideways")
        options = {"preload": False, "resultTypes": ["violations"], **rules}
        code = {"exclude": [[".highlight"]]} if page != WITH_CODE else None
        for violation in Axe().run(opened, code, options).response["violations"]:
            where, _ = OF_THE_THEME.get(violation["id"], ("", ""))
            nodes = [n for n in violation["nodes"] if not (where and node_in(where, n))]
            wrong += [f"{window}, {violation['id']}: {node['html'][:150]}" for node in nodes[:5]]
    opened.set_viewport_size(NARROW)
    if opened.evaluate("document.documentElement.scrollWidth") > NARROW["width"]:
        wrong.append("narrow, with nothing folded: it scrolls sideways")
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def site(book) -> Iterator[str]:
    handler = partial(Quiet, directory=str(book))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@each_page
def test_it_loads_from_a_server(visit, site, page):
    opened = visit(page, site=site)
    assert opened.locator(".bd-article h1").first.is_visible()


def test_search_works_from_a_server(visit, site):
    opened = visit("search?q=forgetting", site=site)
    found = opened.locator("#search-results li a").filter(has_text="The fine-tuning task")
    found.first.wait_for(timeout=15_000)


def node_in(where: str, node: dict) -> bool:
    return re.search(where, f"{node['target']} {node['html']}") is not None


@each_page
def test_figures_can_be_read_are_said_in_words_and_have_their_files(visit, page):
    opened = visit(page)
    shown = opened.evaluate(
        "[...document.querySelectorAll('.bd-article img')].map(i => ({file: i.getAttribute('src'),"
        " alt: i.alt, width: i.getBoundingClientRect().width, in: !!i.closest('.cell_output')}))"
    )
    files = set()
    for image in shown:
        assert image["alt"].strip(), image["file"][:200]
        if image["file"].startswith("data:image/png;base64,"):  # a widget's
            file = io.BytesIO(base64.b64decode(image["file"].partition(",")[2]))
        else:
            file = (BOOK / page).parent.joinpath(image["file"]).resolve()
            files.add(file)
            if file.suffix != ".png":
                continue
        with Image.open(file) as png:
            text, drawn = png.text, png.width
        assert image["alt"] == text["Description"]
        scale = 2 * image["width"] / drawn if image["width"] else 1  # two dots a pixel
        assert float(text["Smallest text"]) * scale >= SMALLEST, file
        assert int(text["Columns"]) <= 2, file
    sizes = opened.locator(".bd-article svg text").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().width).map(one => ["
        "parseFloat(getComputedStyle(one).fontSize) * one.getScreenCTM().a, one.textContent])"
    )
    assert min(sizes, default=[SMALLEST])[0] >= SMALLEST, min(sizes)
    if page.startswith("notebooks/"):
        assert not opened.locator(
            ".bd-article .cell_output figure.align-default:not(:has(img, svg))"
        ).count()
        figures = opened.locator(".bd-article figure[id]")
        linked = figures.evaluate_all(
            "all => all.map(one => [...one.querySelectorAll('.figure-files a')].map(a => a.href))"
        )
        for links in linked:
            assert any(link.endswith(".nc") for link in links) and links[-1].endswith(".ipynb")
            assert all(Path(link.removeprefix("file://")).is_file() for link in links)
    own = (BOOK / f"{page}.html").stat().st_size + sum(file.stat().st_size for file in files)
    assert own < LARGEST.get(page, 2e6), f"{own / 1e6:.1f} MB"


@each_page
def test_tables_fit_their_column(visit, page):
    opened = visit(page)
    opened.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    tables = opened.locator(".bd-article table:not(.explorer *)")  # all numbers of an explorer
    wide = tables.evaluate_all(TABLES_TOO_WIDE)
    assert bool(wide) == (page in WIDE_TABLES), "\n".join(wide)


# What scrolls around a table, or else its section, is its column.
TABLES_TOO_WIDE = """tables => tables.filter(one => {
  let column = one.parentElement;
  while (!column.matches("section") && getComputedStyle(column).overflowX == "visible")
    column = column.parentElement;
  return one.offsetWidth > column.clientWidth + 1;
}).map(one => `${one.offsetWidth} pixels: ${one.rows[0].textContent.replace(/\\s+/g, " ")}`)"""


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


@pytest.mark.parametrize(
    "page", ["book/intro", "notebooks/what_is_an_inversion", "notebooks/your_models"]
)
def test_the_flipbook_turns(visit, page):
    opened = visit(page, NARROW)
    flipbook = opened.locator("book-explorer[aria-label^=Flipbook]")
    said = flipbook.locator(".explorer-state")
    before = said.inner_text()
    flipbook.get_by_role("slider", name="Layer").focus()
    opened.keyboard.press("End")
    assert "the distance left is" in before and said.inner_text() != before


def test_a_widget_turns(visit):
    opened = visit("notebooks/finetuning_task", NARROW)
    choice, picture = (opened.locator(f".jupyter-widgets {tag}") for tag in ("select", "img"))
    choice.focus()
    seen = [picture.get_attribute("src")]
    for _ in choice.locator("option").all()[1:]:
        opened.keyboard.press("ArrowDown")
        seen.append(picture.get_attribute("src"))
    assert len({*seen}) == len(seen) > 1


def test_search_finds_a_page(visit):
    opened = visit("search?q=forgetting")  # it lists what it finds one by one
    found = opened.locator("#search-results li a").filter(has_text="The fine-tuning task")
    found.first.wait_for(timeout=15_000)


def test_on_paper_an_explorer_is_its_table(visit):
    opened = visit("notebooks/compression_expansion")
    opened.locator("book-explorer .explorer-controls").first.wait_for(state="attached")
    opened.emulate_media(media="print")
    assert not opened.locator("book-explorer .explorer-controls").first.is_visible()
    assert opened.locator("book-explorer .explorer-print").first.is_visible()


def test_on_paper_nothing_is_folded_but_code_and_answers(visit):
    opened = visit("notebooks/finetuning_task")
    long = opened.locator("details.further > table, .tag_hide-cell details figure").all()
    answers = opened.locator(".tag_hide-input details .cell_input").all()
    assert len(long) > 1 and answers and not any(one.is_visible() for one in long)
    opened.emulate_media(media="print")
    assert all(one.is_visible() for one in long)
    assert not any(one.is_visible() for one in answers)


@pytest.mark.parametrize("page", ["notebooks/claims_ledger", "book/figures"])
def test_verdicts_and_the_index_link_pages_and_results(visit, page):
    opened = visit(page)
    rows = opened.locator(".ledger-part li, .bd-article tbody tr:has(.reference)")
    without = rows.filter(has_not=opened.locator("a[href*='.html']"))
    assert rows.count() > 20 and without.count() == 0
    links = opened.locator(".bd-article a[href$='.nc']")
    files = links.evaluate_all("all => all.map(a => a.href)")
    assert files and all(Path(file.removeprefix("file://")).is_file() for file in files)
