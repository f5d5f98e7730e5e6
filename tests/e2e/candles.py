"""A server whose market store has bars, and the console's candles of them."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from app.domain.prices import exact
from app.market.protocol import Batch, Export, Gap, GivenBar, Session, Symbol
from app.market.sqlite import EmbeddedWriter
from app.store.codec import encode
from app.store.protocol import Row
from tests.e2e.browsing import Console
from tests.e2e.publishing import publish
from tests.kit.records import AS_OF_MS, history_record, make_row, price_record, replaced, row, run_info
from tests.kit.servers import DecideServer, decide_server
from tests.market.giving import bar, export, trade
from tests.market.places import DAY_US, MINUTE_US

_MIDNIGHT_MS = 1_362_182_400_000
"""2013-03-02T00:00:00Z: a day of a market that never closes ends then."""
NOON_US = _MIDNIGHT_MS * 1000 - DAY_US // 2
_DAYS = 900


def _days(closes: Sequence[float]) -> list[GivenBar]:
    """Bars of days, the last of which ends at the midnight."""
    first = _MIDNIGHT_MS * 1000 - len(closes) * DAY_US
    opens = [closes[0], *closes[:-1]]
    return [
        GivenBar(
            first + number * DAY_US,
            exact(one),
            exact(max(one, two) + 1),
            exact(min(one, two) - 1),
            exact(two),
            exact(1000.0 + number),
        )
        for number, (one, two) in enumerate(zip(opens, closes, strict=True))
    ]


_WAVES = [round(100 + 10 * float(np.sin(number / 9)), 2) for number in range(_DAYS)]


class Place(NamedTuple):
    """A server, the writer of its market store, and the store to publish into."""

    server: DecideServer
    writer: EmbeddedWriter
    store: Path

    def publish(self, *rows: Row) -> None:
        """As a warm run would; in a thread of its own, since this one's event loop is the browser's."""
        with ThreadPoolExecutor(1) as thread:
            thread.submit(publish, self.store, rows, run_info("run-2", AS_OF_MS + 1)).result()


def _write(writer: EmbeddedWriter) -> None:
    """AAPL has days, MINUTES trades with gaps, DIGITS and SMALL what no double holds, EXCHANGE sessions, LONG many bars, AHEAD a
    day that is not over.
    """
    writer.put_bars(Export("AAPL", "1d", "file", _days(_WAVES)))
    writer.put_bars(Export("SPLIT", "1d", "file", _days(_WAVES)))
    writer.put_bars(Export("OTHER", "1d", "file", _days(_WAVES[-60:])))
    prices = [20, 22, 21, 25, 30, 28, 24, 26, 20, 40]
    trades = [
        trade(2 * number + part, NOON_US + number * MINUTE_US + part * 1000, str(price), symbol="MINUTES")
        for number, pair in enumerate(zip([20, *prices[:-1]], prices, strict=True))
        for part, price in enumerate(pair)
    ]
    gaps = [
        Gap("V", "MINUTES", NOON_US + 3 * MINUTE_US, NOON_US + 5 * MINUTE_US, "ids", 3),
        Gap("V", "MINUTES", NOON_US + 7 * MINUTE_US, NOON_US + 8 * MINUTE_US, "ids", 1, NOON_US + DAY_US),
    ]
    writer.apply(Batch(trades, gaps=gaps))
    writer.put_bars(export("file", [NOON_US], "123456789.123456789", symbol="DIGITS"))
    writer.put_bars(Export("SMALL", "1m", "file", [bar(NOON_US, "0.00000001", "0.000000000000000001")]))
    first = NOON_US - 6400 * MINUTE_US
    writer.put_bars(export("file", range(first, NOON_US, MINUTE_US), symbol="LONG"))
    writer.apply(Batch([trade(1, time.time_ns() // 1000 + 2 * DAY_US, symbol="AHEAD")]))
    writer.put_symbols([Symbol("EXCHANGE", market="XNYS")])
    opens_us = NOON_US + 150 * MINUTE_US
    writer.put_sessions("XNYS", [Session(date(2013, 3, 1), opens_us, opens_us + 390 * MINUTE_US)])
    starts = [opens_us - MINUTE_US, opens_us, opens_us + MINUTE_US]
    writer.put_bars(export("file", starts, "50", symbol="EXCHANGE"))


@contextmanager
def candle_server(folder: Path) -> Iterator[Place]:
    """AAPL's decision rests on the bars that the market store has, SPLIT's on adjusted ones, OTHER's on others; BARE and NEW have
    no bars there.
    """
    sma = [float(np.mean(_WAVES[-many:])) for many in (20, 50)]
    price = encode(price_record("AAPL", _MIDNIGHT_MS, close=_WAVES[-1], sma_ratio_20_50=sma[0] / sma[1]))
    history = encode(history_record("AAPL", _MIDNIGHT_MS))
    rows = [
        make_row("AAPL", _MIDNIGHT_MS, price, None, None, history),
        replaced(row("SPLIT", _MIDNIGHT_MS), price=encode(price_record("SPLIT", _MIDNIGHT_MS, close=_WAVES[-1]))),
        *(row("OTHER", _MIDNIGHT_MS), row("BARE"), row("NEW"), replaced(row("UNTOLD"), history=None)),
        replaced(row("AGENTS"), price=None, history=None),
        *(row(symbol) for symbol in ("MINUTES", "DIGITS", "SMALL", "EXCHANGE", "LONG", "WARMED", "AHEAD")),
    ]
    publish(folder / "store.sqlite3", rows, run_info(symbols=len(rows)))
    path = folder / "market.sqlite3"
    with (
        closing(EmbeddedWriter(path)) as writer,
        decide_server(folder, STORE_PATH=str(folder / "store.sqlite3"), MARKET_PATH=str(path), CLOCK="replay") as server,
    ):
        _write(writer)
        server.wait_ready()
        yield Place(server, writer, folder / "store.sqlite3")


def ask(console: Console, symbol: str, interval: str = "", price: str = "") -> None:
    """Decide, and wait until its candles are there or are known not to be."""
    console.decide(symbol, price)
    if interval:
        console.page.locator("#interval").select_option(interval)
    console.page.wait_for_selector("#prices:not([aria-busy])")


def table(console: Console) -> list[list[str]]:
    """The table's rows, oldest first."""
    if not console.page.locator("#candle-table[open]").count():
        console.page.locator("#candle-table summary").click()
        console.page.wait_for_selector("#candle-rows td")
    found: list[list[str]] = console.page.evaluate(
        "[...document.querySelectorAll('#candle-rows tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent))"
    )
    return found[::-1]
