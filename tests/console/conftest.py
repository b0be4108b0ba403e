"""A real Chromium for the console tests; skipped loudly where there is none, a failure in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
DIST = Path(__file__).resolve().parents[2] / "shared" / "console" / "dist" / "index.html"


def _launch(playwright: Playwright) -> Browser | None:
    named = os.environ.get("ANDON_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    try:
        return playwright.chromium.launch(executable_path=named, args=ARGS)
    except Error:
        return None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module: while it is open, no asynchronous test can run in this thread."""
    if not DIST.is_file():
        pytest.fail("the console is not built: run `make console`")
    with sync_playwright() as playwright:
        found = _launch(playwright)
        if found is None:
            reason = "NOT RUN: no Chromium; install chromium or set ANDON_CHROMIUM"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[[str], Page]]:
    """Opens pages of their own; a page error or a request that leaves the host fails the test."""
    contexts = []
    faults: list[str] = []

    def opened(url: str) -> Page:
        context = browser.new_context(viewport={"width": 1500, "height": 820}, locale="zh-CN")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: faults.append(f"page error: {error}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((url, "data:", "blob:"))
                else faults.append(f"leaves the host: {request.url}")
            ),
        )
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
