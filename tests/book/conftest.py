"""Chromium, and pages of a book in it, for the tests that need them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator

import pytest

from tests.book.browser import WIDE

GET_IT = (
    "Chromium is needed: `apt-get install chromium` (Debian), `dnf install chromium` (Fedora), "
    "`brew install --cask chromium` (macOS), or BROWSER=program"
)

WIDGETS_DRAWN = """[...document.querySelectorAll("script[type*='jupyter.widget-view']")].every(
  one => one.parentElement.querySelector(".widget-subarea .jupyter-widgets"))"""


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    from playwright.sync_api import sync_playwright  # loads a server; the suite does without it

    program = shutil.which(os.environ["BROWSER"]) or shutil.which("chromium-browser")
    if program is None:
        pytest.fail(GET_IT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(book, chromium) -> Iterator:
    """Open a page of the folder `book` from ``file://``, or from a local `site` that serves it.

    Whatever the browser complains of, or asks the network for, fails the test.
    """
    contexts, wrong = [], []

    def open_page(page: str, viewport=WIDE, site: str = "", **more):
        context = chromium.new_context(viewport=viewport, **more)
        contexts.append(context)
        opened = context.new_page()
        opened.on("console", lambda m: m.type == "error" and wrong.append(m.text))
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("response", lambda r: r.ok or r.url.startswith("file:") or wrong.append(r.url))
        own = ("data:", site or "file:")
        opened.on("request", lambda r: r.url.startswith(own) or wrong.append(r.url))
        elsewhere = re.compile(f"^(?!{re.escape(site)}/)https?:" if site else "^https?:")
        context.route(elsewhere, lambda route: route.abort())
        name, _, query = page.partition("?")
        opened.goto(f"{site or f'file://{book}'}/{name}.html?{query}")
        if more.get("java_script_enabled", True):
            opened.wait_for_function(WIDGETS_DRAWN)
        return opened

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong
