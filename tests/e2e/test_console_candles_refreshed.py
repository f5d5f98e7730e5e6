"""The console's candles as time passes: new bars, a store that is away, what is refused."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from app.market.protocol import Batch
from tests.e2e.browsing import Console
from tests.e2e.candles import NOON_US, Place, ask, table
from tests.kit.records import AS_OF_MS, row
from tests.market.giving import trade
from tests.market.places import MINUTE_US

_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_CANDLES = re.compile(r"/candles\?")


@pytest.fixture
def still(browser: Browser, place: Place) -> Iterator[Console]:
    """The page, open and connected; no time passes in it but what a test sets it forward by."""
    opened = Console(browser, place.server.url)
    opened.page.clock.install(time=_BEGAN)
    opened.open()
    opened.page.clock.pause_at(_BEGAN + timedelta(hours=1))
    yield opened
    opened.close()


def _settled(console: Console) -> None:
    """Returns once what the page has asked for by now was sent."""
    console.page.evaluate("fetch('/livez').then((answer) => answer.text())")


def test_new_and_revised_bars_appear_while_one_looks_and_nobody_is_asked_while_none_does(still: Console, place: Place) -> None:
    """The page's clock is set forward; a bar of a minute is looked for after five seconds."""
    page = still.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if _CANDLES.search(request.url) else None)
    place.writer.apply(Batch([trade(1, NOON_US, "10", symbol="NEW"), trade(2, NOON_US + MINUTE_US, "11", symbol="NEW")]))
    ask(still, "NEW", "1m")
    expect(page.locator("#candle-summary")).to_contain_text("2 candles of 1m")
    late = [trade(3, NOON_US + 1000, "12", symbol="NEW"), trade(4, NOON_US + 2 * MINUTE_US, "15", symbol="NEW")]
    place.writer.apply(Batch(late))
    page.clock.fast_forward(5100)
    expect(page.locator("#candle-summary")).to_contain_text("3 candles of 1m")
    assert [(row[4], row[7]) for row in table(still)] == [("12", "2"), ("11", "1"), ("15", "1")]
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    before = len(asked)
    page.clock.fast_forward(3_600_000)
    _settled(still)
    assert len(asked) == before
    place.writer.apply(Batch([trade(5, NOON_US + 3 * MINUTE_US, "16", symbol="NEW")]))
    page.evaluate("delete document.hidden")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#candle-summary")).to_contain_text("4 candles of 1m")


def test_what_comes_with_a_newer_decision_is_looked_for_at_once(still: Console, place: Place) -> None:
    page = still.page
    place.writer.apply(Batch([trade(1, NOON_US, "10", symbol="WARMED")]))
    ask(still, "WARMED", "1m")
    expect(page.locator("#candle-summary")).to_contain_text("1 candle of 1m")
    place.writer.apply(Batch([trade(2, NOON_US + MINUTE_US, "11", symbol="WARMED")]))
    place.publish(row("WARMED", AS_OF_MS + 1, "run-2"))
    expect(page.locator("#details")).to_contain_text("run-2", timeout=20_000)
    expect(page.locator("#candle-summary")).to_contain_text("2 candles of 1m")


def test_nobody_is_asked_for_candles_of_what_is_not_shown(still: Console) -> None:
    page = still.page
    ask(still, "LONG", "1m")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if _CANDLES.search(request.url) else None)
    still.decide("NOPE")
    expect(page.locator("#result")).to_be_hidden()
    page.set_viewport_size({"width": 500, "height": 800})
    page.clock.fast_forward(3_600_000)
    _settled(still)
    assert asked == []
    still.check(refused=True)


def _refuse(status: int, title: str, detail: str) -> tuple[list[str], Any]:
    """A handler that answers with this problem, and what was asked of it."""
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        body = f'{{"type": "urn:x", "title": "{title}", "status": {status}, "detail": "{detail}"}}'
        route.fulfill(status=status, content_type="application/problem+json", body=body, headers={"Retry-After": "7"})

    return asked, refuse


def test_a_store_that_is_away_is_told_and_asked_again(still: Console) -> None:
    """After a pause that grows; what was shown stays, and is called old."""
    page = still.page
    ask(still, "MINUTES", "1m")
    note = page.locator("#candle-note")
    asked, refuse = _refuse(503, "Market store unavailable", "it did not answer")
    page.route(_CANDLES, refuse)
    page.clock.fast_forward(5100)
    expect(note).to_have_text(
        "No newer candles: the market store is away, it did not answer. What is shown may be old. This page asks again by itself."
    )
    expect(page.locator("#candles")).to_be_visible()
    page.clock.fast_forward(6000)
    _settled(still)
    assert len(asked) == 1
    page.clock.fast_forward(5000)
    expect(note).to_be_visible()
    page.unroute(_CANDLES)
    page.clock.fast_forward(30_000)
    expect(note).to_be_hidden()
    page.route(_CANDLES, refuse)
    page.locator("#interval").select_option("5m")
    expect(note).to_contain_text("No candles: the market store is away")
    expect(page.locator("#chart svg")).to_be_visible()
    page.unroute(_CANDLES)
    page.clock.fast_forward(60_000)
    expect(page.locator("#candle-summary")).to_contain_text("of 5m")
    still.check(refused=True)


def test_a_decision_stands_without_its_indicators(still: Console) -> None:
    _, refuse = _refuse(403, "Forbidden", "no")
    still.page.route("**/features/*", refuse)
    ask(still, "AAPL")
    expect(still.page.locator("#indicators-note")).to_have_text("No indicators: forbidden.")
    expect(still.page.locator("#candle-basis")).to_contain_text("The decision's last bar is not among them.")
    assert still.page.locator("#indicators tr").count() == 0
    still.page.unroute("**/features/*")
    ask(still, "AGENTS")
    expect(still.page.locator("#indicators-note")).to_have_text("No indicators: there is no price record.")
    still.check(refused=True)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "No candles: this key may not read market data; it lacks the scope market:read."),
        (404, "No 1d candles of AAPL here. Load some with decide warm --bars or, from trades, decide market load FILE."),
        (422, "No candles: Not allowed, <b>why</b>."),
    ],
)
def test_what_is_refused_is_told_and_not_asked_again(status: int, words: str, still: Console) -> None:
    page = still.page
    asked, refuse = _refuse(status, "Not allowed", "<b>why</b>")
    page.route(_CANDLES, refuse)
    ask(still, "AAPL")
    expect(page.locator("#candle-note")).to_have_text(words)
    expect(page.locator("#chart svg")).to_be_visible()
    page.clock.fast_forward(3_600_000)
    _settled(still)
    assert len(asked) == 1
    still.check(refused=True)
