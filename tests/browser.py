"""A real browser for the tests: Debian's Chromium, headless, driven by playwright, with no network, on pages on disk.

How a test uses it, by the fixtures that `conftest.py` takes from here:

    def test_the_slider_moves(open_page, real_book):           # real_book, small_book: the path of index.html
        visit = open_page(real_book.parent / "explorer.html", width=390, theme="dark")
        visit.page.get_by_role("slider").press("ArrowRight")   # visit.page: playwright's own page, sync API
        assert visit.complaints == []                          # what failed, or was asked of another place

Every visit has a fresh profile and is closed with its test; the browser is closed with its file, since playwright's
event loop stands in the way of a later test that runs a notebook. What can be wrong with a page stands in `looks.py`.
"""

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

_FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
_ELSEWHERE = re.compile(r"^(?!file:|data:|blob:|about:)")


def find() -> str:
    """The browser's command. Without it, or without playwright, the test is skipped, but in CI it fails."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    reason = f"no browser: none of {', '.join(BROWSERS)} is installed (on Debian: apt-get install chromium)"
    if found is not None:
        try:
            import playwright  # noqa: F401
        except ImportError:
            found, reason = None, "no playwright to drive the browser: pip install -e '.[dev]'"
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass
class Visit:
    """A page that is open. `complaints`: errors of its console, its scripts and its loads, and requests elsewhere.

    The list grows while the page is open; `settle` waits until what a script has asked for is there or has failed.
    """

    page: Any
    complaints: list[str] = field(default_factory=list)
    _pending: set[Any] = field(default_factory=set)

    def settle(self) -> "Visit":
        """Wait for two frames, and until all that was asked for has come or is among the complaints."""
        self.page.evaluate(_FRAMES)
        while self._pending:
            self.page.wait_for_timeout(20)
        self.page.evaluate(_FRAMES)
        return self

    def go(self, path: Path, fragment: str = "") -> "Visit":
        """Open another file in the same window, which is quicker than a new one; complaints begin anew."""
        self.complaints.clear()
        self.page.goto(path.resolve().as_uri() + fragment, wait_until="load")
        return self.settle()

    def watch(self) -> None:
        """Note every complaint from now on."""

        def console(message: Any) -> None:
            if message.type == "error":
                self.complaints.append(f"console: {message.text} ({(message.location or {}).get('url', '')})")

        def refuse(route: Any) -> None:
            self.complaints.append(f"asked elsewhere: {route.request.url}")
            route.abort()

        def failed(request: Any) -> None:
            self._pending.discard(request)
            self.complaints.append(f"not loaded: {request.url}")

        self.page.on("request", lambda request: self._pending.add(request))
        self.page.on("requestfinished", lambda request: self._pending.discard(request))
        self.page.on("console", console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("requestfailed", failed)
        self.page.on("websocket", lambda socket: self.complaints.append(f"asked elsewhere: {socket.url}"))
        self.page.route(_ELSEWHERE, refuse)


@pytest.fixture(scope="module")
def chromium():
    """The browser, playwright's own object."""
    command = find()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Without a sandbox since containers seldom allow one; the pages are the project's own.
        browser = playwright.chromium.launch(executable_path=command, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium) -> Any:
    """A function that opens a file: `open_page(path, width=1280, height=900, theme="light")` gives a `Visit`.

    theme: what the reader's system asks for, "light" or "dark". The page has been loaded and is quiet.
    """
    contexts = []

    def visit(path: Path, width: int = 1280, height: int = 900, theme: str = "light", fragment: str = "") -> Visit:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        contexts.append(context)
        context.set_offline(True)
        shown = Visit(context.new_page())
        shown.watch()
        return shown.go(path, fragment)

    yield visit
    for context in contexts:
        context.close()
