"""The console in a real Chromium, and a witness of everything that it must never do."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

_ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
_WITNESS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""
Scheme = Literal["light", "dark"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, headless. In CI there must be one; elsewhere its tests are skipped loudly without.

    While it runs, nothing else in this thread can have an event loop.
    """
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on the PATH: in CI the tests of pages are never skipped")
        pytest.skip("NO CHROMIUM: none is on the PATH; the tests of pages did not run")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Console:
    """The page, open; `check` holds it to what must never happen."""

    def __init__(self, browser: Browser, url: str, *, width: int = 1280, scheme: Scheme = "light") -> None:
        self.url = url
        self._errors: list[str] = []
        self._requests: list[str] = []
        self._context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce", locale="en-GB"
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.add_init_script(_WITNESS)
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self._errors.append(f"page error: {error}"))
        self.page.on("dialog", lambda dialog: self._errors.append(f"dialog: {dialog.message}"))
        self.page.on("request", self._asked)

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self._errors.append(f"{kind}: {text}")

    def _asked(self, request: Request) -> None:
        self._requests.append(request.url)

    def open(self) -> None:
        """Load it, until it is connected."""
        self.page.goto(self.url + "/")
        self.page.wait_for_selector('#connection[data-state="live"]')

    def decide(self, symbol: str, price: str = "") -> None:
        """Ask, and wait for the answer and its chart."""
        self.page.locator("#symbol").fill(symbol)
        self.page.locator("#price").fill(price)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("#result:not([aria-busy]):visible, #failure:visible")

    def text(self, selector: str) -> str:
        """What can be read there."""
        return self.page.locator(selector).inner_text()

    def violations(self) -> list[str]:
        """Directives of the Content-Security-Policy that were run into."""
        found: list[str] = self.page.evaluate("window.violations")
        return found

    def check(self, *, refused: bool = False) -> None:
        """No error, no violation, nothing asked of another origin. ``refused``: answers of 400 and more were meant."""
        meant = ("error: Failed to load resource",) if refused else ()
        assert [each for each in self._errors if not each.startswith(meant or ("-",))] == []
        assert self.violations() == []
        assert [each for each in self._requests if not each.startswith((self.url + "/", "data:"))] == []

    def close(self) -> None:
        """End it."""
        self._context.close()


@contextmanager
def open_console(browser: Browser, url: str) -> Iterator[Console]:
    """The page of the server at ``url``, open and connected."""
    opened = Console(browser, url)
    opened.open()
    yield opened
    opened.close()
