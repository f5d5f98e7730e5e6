"""The console while trades come: the price moves, the last candle grows, the decision follows, and nothing is loaded anew."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import expect

from app.market.protocol import Batch
from app.market.sqlite import EmbeddedWriter
from app.store.protocol import Record
from tests.e2e.browsing import Console
from tests.e2e.candles import NOON_US, Place, ask, table
from tests.e2e.publishing import publish, upsert
from tests.kit.records import replaced, row, run_info, tick
from tests.kit.servers import decide_server
from tests.market.giving import trade
from tests.market.places import MINUTE_US

NOON_MS = NOON_US // 1000
_SYMBOLS = ("GROWS", "LAGS", "SETTLES", "FOLLOWS", "MADEUP", "FIRST", "SECOND", "LOCKED401", "LOCKED403")


def _tell(place: Place, *records: Record) -> None:
    """Into the store of records alone; in a thread of its own, since this one's event loop is the browser's."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(upsert, place.store, records).result()


def _trade(place: Place, symbol: str, after_ms: int, price: str, size: str = "1", **facts: Any) -> None:  # noqa: ANN401 - of a tick
    """As the stream does, so long after noon: the market store has it first."""
    place.writer.apply(Batch([trade(after_ms + 3, NOON_US + after_ms * 1000, price, size, symbol=symbol)]))
    _tell(place, tick(symbol, NOON_MS + after_ms, price, size=size, **facts))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Its clock begins at noon. All symbols were traded twice just then, and their last bar ended before."""
    folder = tmp_path_factory.mktemp("console-prices")
    store, path = folder / "store.sqlite3", folder / "market.sqlite3"
    rows = [row(each, NOON_MS - 1000) for each in _SYMBOLS]
    publish(store, [*rows, replaced(row("AGENTS", NOON_MS - 1000), price=None, history=None)], run_info("run-1", NOON_MS - 1000))
    with (
        closing(EmbeddedWriter(path)) as writer,
        decide_server(folder, STORE_PATH=str(store), MARKET_PATH=str(path), CLOCK="replay", feed_wait_ms="200") as server,
    ):
        for each in _SYMBOLS:
            first = [trade(number, NOON_US + number * 1000, str(99 + number), symbol=each) for number in (1, 2)]
            writer.apply(Batch(first))
        server.wait_ready()
        yield Place(server, writer, store)


def test_the_price_moves_the_last_candle_grows_and_another_begins(console: Console, place: Place) -> None:
    page = console.page
    ask(console, "GROWS", "1m")
    expect(page.locator("#candle-summary")).to_contain_text("1 candle of 1m")
    quote, legend = page.locator("#quote-price"), page.locator("#candle-legend")
    expect(quote).to_have_text("100")
    expect(page.locator("#quote")).to_contain_text("last close")
    page.evaluate("window.isTheSamePage = true")
    _trade(place, "GROWS", 10_000, "103.25", "0.1")
    expect(quote).to_have_text("103.25")
    expect(page.locator("#quote [aria-label=up]")).to_be_visible()
    expect(legend).to_contain_text("close 103.25")
    _trade(place, "GROWS", 20_000, "99.25", "0.2")
    expect(quote).to_have_text("99.25")
    expect(page.locator("#quote [aria-label=down]")).to_be_visible()
    expect(page.locator("#quote")).to_contain_text("from a-file, 2013-03-01 12:00:20 UTC")
    expect(legend).to_contain_text("volume 2.3")
    assert table(console)[-1][1:6] == ["100.00", "103.25", "99.25", "99.25", "2.3"]
    _trade(place, "GROWS", 3 * 60_000 + 500, "104.55", "2")
    expect(page.locator("#candle-summary")).to_contain_text("2 candles of 1m")
    assert table(console)[-1][:6] == ["1 Mar 2013 12:03 – 12:04 UTC", *["104.55"] * 4, "2"]
    _trade(place, "GROWS", 3 * 60_000 + 900, "105.15", "0.5")
    expect(legend).to_contain_text("high 105.15")
    expect(legend).to_contain_text("volume 2.5")
    assert page.evaluate("window.isTheSamePage")
    console.check()


def test_a_bar_that_grows_is_not_over_until_the_server_says_so(console: Console, place: Place) -> None:
    """Where it has less than was told, as a replica that lags, what was told stays."""
    page = console.page
    ask(console, "LAGS", "1m")
    expect(page.locator("#quote-price")).to_have_text("100")
    _tell(place, tick("LAGS", NOON_MS + 61_000, "103", size="1"))
    expect(page.locator("#candle-summary")).to_contain_text("2 candles of 1m")
    with page.expect_response(re.compile(r"/candles\?")):
        pass
    expect(page.locator("#candle-key")).to_contain_text("1 open, not over (dimmed)")
    _tell(place, tick("LAGS", NOON_MS + 62_000, "104", size="2"))
    expect(page.locator("#candle-legend")).to_contain_text("volume 3")
    assert [each[4] for each in table(console)] == ["101", "104"]
    console.check()


def test_what_the_server_says_of_a_bar_counts_over_what_was_drawn_of_it(console: Console, place: Place) -> None:
    """The next look comes by itself, after five seconds for bars of a minute."""
    page = console.page
    ask(console, "SETTLES", "1m")
    expect(page.locator("#quote-price")).to_have_text("100")
    _tell(place, tick("SETTLES", NOON_MS + 61_000, "103"))
    expect(page.locator("#candle-summary")).to_contain_text("2 candles of 1m")
    later = [
        trade(3, NOON_US + 2000, "90", "5", symbol="SETTLES"),
        *(trade(4 + each, NOON_US + MINUTE_US + each * 1000, str(102 + each), "3", symbol="SETTLES") for each in range(2)),
    ]
    place.writer.apply(Batch(later))
    expect(page.locator("#candle-legend")).to_contain_text("volume 6", timeout=20_000)
    assert [(each[1:6]) for each in table(console)] == [
        ["100", "101", "90", "90", "7"],
        ["102", "103", "102", "103", "6"],
    ]
    console.check()


def test_the_decision_follows_the_price_and_is_remembered_once(console: Console, place: Place) -> None:
    """What the user types meanwhile stays, and nobody is told aloud of each trade."""
    page = console.page
    ask(console, "FOLLOWS", "1m")
    score, inputs = page.locator("#score"), page.locator("#inputs")
    expect(page.locator("#connection")).to_have_text(re.compile("^Live"))
    page.locator("#price").fill("7")
    spoken, lines = console.text("#spoken"), page.locator("#recent li").count()
    seen = set()
    for number, price in enumerate(("101.5", "102.5", "103.5"), 1):
        _trade(place, "FOLLOWS", number * 1000, price)
        expect(inputs).to_contain_text(f"Last trade {float(price):.2f}", timeout=20_000)
        seen.add(score.inner_text())
    assert len(seen) == 3
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    assert page.locator("#recent li").count() <= lines + 1
    assert console.text("#spoken").split(",")[0] == spoken.split(",")[0]
    assert page.locator("#price").input_value() == "7"
    console.check()


def test_simulated_prices_are_called_so(console: Console, place: Place) -> None:
    page = console.page
    ask(console, "MADEUP", "1m")
    expect(page.locator("#candle-key")).not_to_contain_text("simulated")
    _trade(place, "MADEUP", 10_000, "67012.345", source="simulated", coverage="gap", currency="USD")
    expect(page.locator("#quote")).to_have_text(
        re.compile(r"^67,012\.345 USD ▲ simulated, 2013-03-01 12:00:10 UTC, trades are missing$")
    )
    expect(page.locator("#inputs")).to_contain_text("from simulated")
    _trade(place, "MADEUP", 61_000, "67013", source="simulated")
    expect(page.locator("#candle-key")).to_contain_text("simulated")
    console.check()


def test_a_symbol_is_followed_alone_and_its_going_takes_the_price_away(console: Console, place: Place) -> None:
    page = console.page
    ask(console, "FIRST", "1m")
    ask(console, "SECOND", "1m")
    expect(page.locator("#quote-price")).to_have_text("100")
    _trade(place, "FIRST", 10_000, "150")
    _trade(place, "SECOND", 10_000, "120")
    expect(page.locator("#quote-price")).to_have_text("120")
    assert table(console)[-1][4] == "120"
    console.decide("NOPE")
    expect(page.locator("#result")).to_be_hidden()
    ask(console, "AGENTS")
    expect(page.locator("#quote")).to_be_hidden()
    console.check(refused=True)


@pytest.mark.parametrize("status", [401, 403])
def test_who_may_not_read_prices_follows_decisions_all_the_same(status: int, console: Console, place: Place) -> None:
    page = console.page
    problem = f'{{"type": "urn:x", "title": "Forbidden", "status": {status}, "detail": "no"}}'
    page.route(
        "**/stream?prices=*", lambda route: route.fulfill(status=status, content_type="application/problem+json", body=problem)
    )
    symbol = f"LOCKED{status}"
    ask(console, symbol, "1m")
    _trade(place, symbol, 10_000, "103")
    expect(page.locator("#inputs")).to_contain_text("Last trade 103.00", timeout=20_000)
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    expect(page.locator("#quote")).to_be_hidden()
    console.check(refused=True)


_GROWN = """([bar, trade, interval, isNews]) => import('/console/bars.js').then(({ barOf, grown, withDigits }) => {
  const read = (text) => JSON.parse(text, withDigits);
  const bars = grown([barOf(read(bar), interval)], read(trade), interval, isNews);
  const shown = ({ start_time, end_time, at, coverage, digits }) => [start_time, end_time, at, coverage, digits];
  return bars === null ? null : bars.map(shown);
})"""


def _grown(console: Console, time: str, interval: str, start: str, end: str, **facts: object) -> list[list[Any]] | None:
    session = facts.get("session", "null")
    numbers = '"open":10,"high":12,"low":9.5,"close":11,"volume":0.1,"vwap":10.5,"trades":3'
    state = f'"coverage":"{facts.get("coverage", "open")}","session":{session}'
    sent = f'{{"start_time":"{start}","end_time":"{end}",{numbers},{state}}}'
    told = f'{{"price":{facts.get("price", "12.10")},"size":{facts.get("size", "0.2")},"timestamp":"{time}"}}'
    found: list[list[Any]] | None = console.page.evaluate(_GROWN, [sent, told, interval, facts.get("is_news", True)])
    return found


def test_bars_grow_and_begin_where_that_is_known_and_with_all_digits(console: Console) -> None:
    minute = ("1m", "2024-03-01T12:00:00Z", "2024-03-01T12:01:00Z")
    ((_, _, _, coverage, digits),) = _grown(console, "2024-03-01T12:00:59.999999Z", *minute) or []
    assert coverage == "open"
    assert digits == {"open": "10", "high": "12.10", "low": "9.5", "close": "12.10", "volume": "0.3", "vwap": None}
    (grown,) = _grown(console, "2024-03-01T12:00:00Z", *minute, price="9", is_news=False, coverage="gap") or []
    assert (grown[3], grown[4]["low"], grown[4]["high"], grown[4]["volume"]) == ("gap", "9", "12", "0.1")
    _, begun = _grown(console, "2024-03-01T12:01:00Z", *minute, size="1e-8") or []
    assert begun[:2] == ["2024-03-01T12:01:00.000Z", "2024-03-01T12:02:00.000Z"]
    assert begun[4] == {**dict.fromkeys(("open", "high", "low", "close"), "12.10"), "volume": "0.00000001", "vwap": None}
    _, later = _grown(console, "2024-03-01T15:07:30Z", *minute) or []
    assert later[0] == "2024-03-01T15:07:00.000Z"
    _, day = _grown(console, "2024-03-02T00:00:00Z", "1d", "2024-03-01T00:00:00Z", "2024-03-02T00:00:00Z") or []
    assert day[:3] == ["2024-03-02T00:00:00.000Z", "2024-03-03T00:00:00.000Z", 1_709_337_600]
    assert _grown(console, "2024-03-01T11:59:59Z", *minute) is None
    assert _grown(console, "2024-03-01T12:01:00Z", *minute, session='"regular"') is None
    assert _grown(console, "2024-05-01T00:00:00Z", "1M", "2024-04-01T00:00:00Z", "2024-05-01T00:00:00Z") is None
    assert _grown(console, "2024-03-01T21:30:00Z", "1h", "2024-03-01T20:30:00Z", "2024-03-01T21:00:00Z") is None
