"""Chromium, for the tests that need it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

GET_IT = (
    "Chromium is needed: `apt-get install chromium` (Debian), `dnf install chromium` (Fedora), "
    "`brew install --cask chromium` (macOS), or BROWSER=program"
)


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
