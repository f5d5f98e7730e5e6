"""The API's page in a real browser, against a real server: what is drawn, what can be tried out, and that nothing leaves it."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import chromium
from tests.kit.servers import DecideServer

_LIGHTNESS = """(element) => {
  const numbers = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const lightness = ([red, green, blue]) => (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
  const over = (part, ground) => part.slice(0, 3).map((each, at) => each * (part[3] ?? 1) + ground[at] * (1 - (part[3] ?? 1)));
  const grounds = [];
  for (let each = element; each; each = each.parentElement) grounds.unshift(numbers(getComputedStyle(each).backgroundColor));
  const ground = grounds.reduce((under, each) => over(each, under), [255, 255, 255]);
  return [lightness(ground), lightness(numbers(getComputedStyle(element).color))];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests here; the server is everybody's."""
    with chromium() as running:
        yield running


class Watched:
    """A page, and all that it said and asked for."""

    def __init__(self, browser: Browser, server: DecideServer, width: int) -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900})
        self.said: list[str] = []
        self.asked: list[str] = []
        self.sent: list[dict[str, str]] = []
        # Violations of the content security policy are errors on the console.
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("request", lambda request: self.sent.append(request.headers))
        self.page.goto(server.url + "/docs")

    def open(self, operation: str) -> None:
        """Unfold an operation."""
        self.page.locator(f"[id$='-{operation}'] .opblock-summary").click()

    def execute(self) -> str:
        """Try the unfolded operation out as it stands; the status that came."""
        self.page.get_by_role("button", name="Try it out").click()
        self.page.get_by_role("button", name="Execute", exact=True).click()
        status = self.page.locator(".live-responses-table tbody .response-col_status").first
        expect(status).to_be_visible()
        return status.inner_text().split()[0]


@pytest.fixture(params=[1280, 360], ids=["wide", "narrow"])
def watched(browser: Browser, server: DecideServer, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """The page, on a screen and on a telephone; nothing may be wrong with it in the end, and nobody else be asked."""
    each = Watched(browser, server, request.param)
    yield each
    width = each.page.evaluate("document.documentElement.scrollWidth")
    each.page.close()
    assert width <= request.param
    assert each.said == []
    origins = {urlsplit(url).netloc for url in each.asked if not url.startswith("data:")}
    assert origins == {urlsplit(server.url).netloc}


def test_the_page_shows_every_operation_of_the_document(watched: Watched, server: DecideServer) -> None:
    paths = httpx.get(server.url + "/openapi.json").json()["paths"]
    documented = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    expect(watched.page.locator(".opblock")).to_have_count(len(documented))
    shown = set()
    for block in watched.page.locator(".opblock").all():
        path = block.locator(".opblock-summary-path").get_attribute("data-path") or ""
        shown.add((block.locator(".opblock-summary-method").inner_text(), path))
    assert shown == documented


def test_the_page_is_dark_where_the_system_is_and_follows_it(watched: Watched) -> None:
    """Text stays readable on its ground, that of descriptions and of code too."""
    page = watched.page
    watched.open("decide")
    places = [
        "h1.title",
        ".info td",
        ".info code",
        ".opblock-summary-path",
        ".opblock-summary-description",
        ".response-col_status",
    ]
    for scheme, is_dark in (("dark", True), ("light", False), ("dark", True)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        expect(page.locator("html.dark-mode")).to_have_count(int(is_dark))
        for selector in (*places, ".examples-select__section-label"):
            ground, text = page.locator(selector).first.evaluate(_LIGHTNESS)
            assert (ground < 0.5 < text) if is_dark else (text < 0.5 < ground), (scheme, selector)


def test_a_decision_can_be_tried_out(watched: Watched) -> None:
    watched.open("decide")
    assert watched.execute() == "200"
    body = watched.page.locator(".live-responses-table .highlight-code").first.inner_text()
    assert '"symbol": "AAPL"' in body


def test_a_symbol_can_be_looked_up_and_a_problem_is_shown(watched: Watched) -> None:
    watched.open("features")
    watched.page.get_by_role("button", name="Try it out").click()
    watched.page.get_by_placeholder("symbol").fill("NOPE")
    watched.page.get_by_role("button", name="Execute", exact=True).click()
    expect(watched.page.locator(".live-responses-table")).to_contain_text("urn:decide:problem:unknown-symbol")
    # The browser itself says on the console that an answer was 404.
    assert [line for line in watched.said if "404" not in line] == []
    watched.said.clear()


def test_a_key_that_is_entered_is_sent_and_not_kept(watched: Watched) -> None:
    page = watched.page
    page.get_by_role("button", name="Authorize").click()
    page.locator(".auth-container").filter(has_text="X-API-Key").locator("input").fill("key-1")
    page.locator(".auth-container").filter(has_text="X-API-Key").get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close").first.click()
    watched.open("version")
    assert watched.execute() == "200"
    assert watched.sent[-1]["x-api-key"] == "key-1"
    page.reload()
    # The address says which operation is unfolded.
    assert watched.execute() == "200"
    assert "x-api-key" not in watched.sent[-1]
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
