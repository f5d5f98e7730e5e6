"""The console while data changes under it, what its address and keys do, and charts of bars of all kinds."""

import math
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Route, expect

from app.store.codec import encode
from app.store.protocol import Record, Row
from tests.e2e.browsing import Console
from tests.e2e.publishing import publish, upsert, withdraw
from tests.kit.records import AS_OF_MS, agent_record, agent_view, history_record, replaced, row, run_info, tick
from tests.kit.servers import DecideServer, decide_server

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000


def _with_closes(symbol: str, closes: list[float], step_ms: int) -> Row:
    times_ms = tuple(AS_OF_MS - step_ms * back for back in reversed(range(len(closes))))
    plain = history_record(symbol)
    history = type(plain)(
        *(plain.schema, plain.as_of_ms, plain.loaded_at_ms, plain.run, symbol, step_ms // 1000, times_ms, tuple(closes))
    )
    return replaced(row(symbol), history=encode(history))


def _turned(symbol: str, number: int) -> Row:
    """Newer records, by which the symbol is sold."""
    as_of_ms, run = AS_OF_MS + number, f"run-{number}"
    views = tuple(agent_view(name, -1.0, as_of_ms, 1.0) for name in ("agent_a", "agent_b"))
    return replaced(row(symbol, as_of_ms, run), agents=encode(agent_record(symbol, as_of_ms, run, views)), price=None)


class Place(NamedTuple):
    """A server of two workers, and the store to publish into."""

    server: DecideServer
    store: Path

    def publish(self, number: int, *rows: Row) -> None:
        """As a warm run would."""
        _beside(publish, self.store, rows, run_info(f"run-{number}", AS_OF_MS + number))

    def trade(self, record: Record) -> None:
        """As a stream would."""
        _beside(upsert, self.store, [record])

    def withdraw(self, symbol: str) -> None:
        """As `decide withdraw` would."""
        _beside(withdraw, self.store, symbol)


def _beside(work: Callable[..., None], *arguments: object) -> None:
    """In a thread of its own: this one's event loop is the browser's."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work, *arguments).result()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Two workers: which of them answers what of a page is left to chance."""
    folder = tmp_path_factory.mktemp("console-live")
    store = folder / "store.sqlite3"
    rows = [
        *(row("AAPL"), row("IBM"), row("MSFT"), row("GOOG")),
        _with_closes("BTC-USDT", [65_000 + 3000 * math.sin(each / 9) for each in range(120)], _HOUR_MS),
        _with_closes("BELOW", [-5 - 3 * math.sin(each / 7) for each in range(60)], _DAY_MS),
        _with_closes("AROUND", [20 * math.cos(each / 9) for each in range(60)], _DAY_MS),
    ]
    publish(store, rows, run_info(symbols=len(rows)))
    with decide_server(folder, STORE_PATH=str(store), CLOCK="replay", WORKERS="2", feed_wait_ms="200") as server:
        server.wait_ready()
        yield Place(server, store)


def test_what_is_shown_follows_a_change_by_itself(console: Console, place: Place) -> None:
    """What the user types meanwhile stays, and so does the focus."""
    page = console.page
    console.decide("AAPL", "101.5")
    expect(page.locator("#action")).to_contain_text("buy", ignore_case=True)
    page.locator("#price").fill("10")
    place.publish(2, _turned("AAPL", 2))
    expect(page.locator("#action")).not_to_contain_text("buy", ignore_case=True, timeout=20_000)
    expect(page.locator("#details")).to_contain_text("run-2")
    expect(page.locator("#inputs")).to_contain_text("Live price 101.50")
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    assert page.locator("#price").input_value() == "10"
    assert page.evaluate("document.activeElement.id") == "price"
    # It asks again until the answer rests on what it was told of; so an answer may stand there twice, and a change once.
    bought = ["buy" in each.lower() for each in page.locator("#recent li").all_inner_texts()]
    assert [is_buy for is_buy, _ in groupby(bought)] == [False, True]
    console.check()


def test_the_last_trade_is_shown_and_followed(console: Console, place: Place) -> None:
    """With what is wrong with it, and why it is not used. A server of old data takes one from ahead of it as new."""
    inputs, later_ms = console.page.locator("#inputs"), AS_OF_MS + _DAY_MS
    console.decide("MSFT")
    expect(inputs).not_to_contain_text("Last trade")
    place.trade(tick("MSFT", later_ms, "104.5"))
    expect(inputs).to_contain_text(re.compile(r"Last trade 104\.50, [\d.]+ s old, from a-file"), timeout=20_000)
    place.trade(tick("MSFT", later_ms + 1, "96.25", coverage="gap"))
    expect(inputs).to_contain_text(re.compile(r"Last trade 96\.25.*, trades are missing"), timeout=20_000)
    expect(console.page.locator("#fallback")).to_contain_text("tick_gap")
    console.decide("MSFT", "101.5")
    expect(inputs).to_contain_text(re.compile(r"Last trade, not used 96\.25.*: price given"))
    expect(console.page.locator("#fallback")).to_be_hidden()
    console.check()


def test_a_live_price_that_does_not_count_is_shown_as_ignored(console: Console, place: Place) -> None:
    """There are no bars which it could carry on."""
    place.publish(1, replaced(row("NEW"), price=None, history=None))
    console.decide("NEW", "101.5")
    expect(console.page.locator("#inputs")).to_contain_text("Live price 101.50, ignored")
    expect(console.page.locator("#inputs")).to_contain_text("missing")
    console.check(refused=True)


def test_what_is_shown_never_lags_behind_while_it_says_live(console: Console, place: Place) -> None:
    page = console.page
    console.decide("IBM")
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    holding = True
    held: list[Route] = []
    page.route("**/decide", lambda route: held.append(route) if holding else route.continue_())
    place.publish(3, _turned("IBM", 3))
    expect(page.locator("#connection")).to_have_text("Updating", timeout=20_000)
    assert page.locator("#connection").get_attribute("data-state") == "waiting"
    expect(page.locator("#details")).to_contain_text("run-1")
    holding = False
    for each in held:
        each.continue_()
    expect(page.locator("#connection")).to_have_text(re.compile("^Live"))
    expect(page.locator("#details")).to_contain_text("run-3")
    console.check()


def test_a_decision_that_cannot_be_followed_is_not_called_live(console: Console) -> None:
    page = console.page
    page.route("**/stream*", lambda route: route.abort())
    console.decide("MSFT")
    expect(page.locator("#connection")).to_have_text("Reconnecting")
    page.unroute("**/stream*")
    expect(page.locator("#connection")).to_have_text(re.compile("^Live"), timeout=20_000)
    console.check(refused=True)


def test_a_symbol_that_leaves_the_universe_leaves_the_page_and_comes_back(console: Console, place: Place) -> None:
    page = console.page
    place.publish(4, row("VISITOR", AS_OF_MS + 4, "run-4"))
    expect(page.locator("#connection")).to_have_text(re.compile("^Live"))
    for _ in range(50):
        console.decide("VISITOR")
        if page.locator("#result").is_visible():
            break
        page.wait_for_timeout(100)
    page.locator("#price").focus()
    place.withdraw("VISITOR")
    expect(page.get_by_role("alert")).to_contain_text("VISITOR is not in the loaded universe", timeout=20_000)
    assert page.locator("#result").is_hidden()
    assert page.evaluate("document.activeElement.id") == "price"
    place.publish(5, row("VISITOR", AS_OF_MS + 5, "run-5"))
    expect(page.locator("#details")).to_contain_text("run-5", timeout=20_000)
    expect(page.get_by_role("alert")).to_be_hidden()
    console.check(refused=True)


def test_a_slash_leads_to_the_search_from_everywhere_and_stays_in_a_symbol(console: Console) -> None:
    """It is typed only where it can belong: no symbol begins with one, and no price has one."""
    page = console.page
    symbol, price = page.locator("#symbol"), page.locator("#price")
    page.keyboard.press("/")
    assert symbol.input_value() == ""
    price.fill("100")
    price.press("/")
    assert (page.evaluate("document.activeElement.id"), price.input_value()) == ("symbol", "100")
    page.keyboard.type("btc/usdt")
    page.keyboard.press("Enter")
    expect(page.locator("#of")).to_have_text("BTC-USDT")
    page.locator("#recent button").first.focus()
    page.keyboard.press("/")
    page.keyboard.type("aapl")
    assert symbol.input_value() == "aapl"
    console.check()


def test_an_address_opens_its_symbol_and_is_that_of_what_is_shown(console: Console, place: Place) -> None:
    page = console.page
    page.goto(place.server.url + "/?symbol=goog&price=101.5")
    expect(page.locator("#of")).to_have_text("GOOG")
    expect(page.locator("#inputs")).to_contain_text("Live price 101.50")
    console.decide("MSFT")
    assert page.url == place.server.url + "/?symbol=MSFT"
    page.reload()
    expect(page.locator("#of")).to_have_text("MSFT")
    page.goto(place.server.url + "/?symbol=%3Cb%3E")
    expect(page.get_by_role("alert")).to_contain_text("Invalid request: symbol is '<b>'")
    console.check(refused=True)


def test_the_age_of_the_bars_is_told_apart_from_a_live_price(console: Console) -> None:
    """The price is as new as the request; without one, the price is that of the bars."""
    console.decide("GOOG", "101.5")
    chips = console.text("#inputs").splitlines()
    assert "Live price 101.50" in chips
    assert any(re.fullmatch(r"Bars [\d.]+ (s|min|h|days) old", each) for each in chips)
    assert "Price" not in console.text("#inputs")
    console.decide("GOOG")
    assert re.search(r"^Price present, [\d.]+ \w+ old$", console.text("#inputs"), re.MULTILINE)
    console.check()


@pytest.mark.parametrize("width", [1280, 360])
def test_all_of_a_chart_can_be_read_at_any_width(width: int, browser: Browser, place: Place) -> None:
    console = Console(browser, place.server.url, width=width)
    console.open()
    for symbol in ("BTC-USDT", "GOOG", "BELOW"):
        console.decide(symbol)
        expect(console.page.locator("#chart svg")).to_be_visible()
        whole, *boxes = console.page.evaluate(
            """() => [...document.querySelectorAll("#chart svg, #chart text")].map((each) => {
              const { left, right, top, bottom } = each.getBoundingClientRect();
              return [left, right, top, bottom];
            })"""
        )
        assert len(boxes) > 4
        for left, right, _, _ in boxes:
            assert whole[0] <= left
            assert right <= whole[1]
        for number, one in enumerate(boxes):
            for other in boxes[:number]:
                beside = one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
                assert beside, (symbol, one, other)
        if symbol == "BTC-USDT":
            times = console.page.locator("#chart text.axis[text-anchor]").all_text_contents()
            assert all(re.search(r"\d\d:\d\d$", each) for each in times), times
            assert console.text("#reading").startswith("120 closes from 24 Feb 2013 22:00 UTC, low ")
            assert "1 Mar 2013 21:00 at" in (console.page.locator("#chart .mark-text").text_content() or "")
    console.check()
    console.close()


@pytest.mark.parametrize(("symbol", "reaches"), [("GOOG", "floor"), ("BELOW", "top"), ("AROUND", "zero")])
def test_prices_below_zero_hang_from_it(symbol: str, reaches: str, console: Console) -> None:
    """Their ground is drawn downwards, from zero or, where that is far above, from the top."""
    console.decide(symbol)
    expect(console.page.locator("#chart svg")).to_be_visible()
    outline = console.page.locator("#chart .area").get_attribute("d") or ""
    heights = [float(each) for each in re.findall(r",([\d.]+)", outline)]
    ground, line = heights[0], heights[1:-1]
    assert heights[-1] == ground
    above, below = min(line) < ground - 1, max(line) > ground + 1
    assert {"floor": (True, False), "top": (False, True), "zero": (True, True)}[reaches] == (above, below)
    assert console.page.locator("#chart line.zero").count() == (reaches == "zero")
    console.check()
