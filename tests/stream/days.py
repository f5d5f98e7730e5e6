"""Price records of days, as warm runs make them, in a rig's stores."""

import asyncio
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import polars as pl

from app.domain.records import HISTORY, PRICE
from app.domain.vector import HistoryRecord, PriceRecord
from app.market.protocol import Export, GivenBar
from app.store.codec import decode
from app.store.protocol import Row, RunInfo
from app.store.sqlite import EmbeddedStore
from tests.market.places import DAY_US, NOON_US
from tests.stream.rig import Rig
from warm.calendar.intervals import Market
from warm.calendar.sessions import open_session
from warm.make.indicators import latest_of_markets
from warm.make.vectors import build_vectors, last_closes

RUN = "run-1"


class Day(NamedTuple):
    """A day's bar."""

    start_us: int
    end_us: int
    low: float
    high: float
    close: float
    volume: float


def days_of(spans: Sequence[tuple[int, int]]) -> list[Day]:
    """Bars from when to when, the same each time."""
    chance, price, made = random.Random(7), 100.0, []
    for start_us, end_us in spans:
        price = round(price * chance.uniform(0.97, 1.03), 2)
        made.append(Day(start_us, end_us, round(price * 0.98, 2), round(price * 1.02, 2), price, float(chance.randint(1, 999))))
    return made


def days_before(count: int) -> list[Day]:
    """That many before the day under way, of a market that never closes."""
    today_us = NOON_US - DAY_US // 2
    return days_of([(today_us - back * DAY_US, today_us - (back - 1) * DAY_US) for back in range(count, 0, -1)])


def row_of(days: Sequence[Day], symbol: str = "BTC-USD") -> Row:
    """What a warm run makes of them."""
    frame = pl.DataFrame(
        {
            "symbol": [symbol] * len(days),
            "as_of_ms": [each.end_us // 1000 for each in days],
            **{name: [getattr(each, name) for each in days] for name in ("high", "low", "close", "volume")},
        }
    )
    markets, session = {symbol: Market("1d", symbol != "AAPL")}, open_session(None, None, "1d")
    (row,) = build_vectors(
        latest_of_markets(frame, markets), last_closes(frame), pl.DataFrame(),
        run=RUN, loaded_at_ms=1, markets=markets, session=session,
    ).rows  # fmt: skip
    return row


def in_store(rig: Rig, work: Callable[[EmbeddedStore], Any]) -> Any:  # noqa: ANN401 - whatever that is
    """What ``work`` makes of L2."""

    async def done() -> Any:  # noqa: ANN401 - as above
        store = rig.store()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(done())


def publish(rig: Rig, *rows: Row) -> None:
    """As a warm run does."""
    in_store(rig, lambda store: store.publish_run(rows, RunInfo(RUN, 1, 1, len(rows), 1, 1)))


def records(rig: Rig, symbol: str = "BTC-USD") -> tuple[PriceRecord, HistoryRecord]:
    """As they stand in L2."""
    price = in_store(rig, lambda store: store.record(PRICE.name, symbol))
    history = in_store(rig, lambda store: store.record(HISTORY.name, symbol))
    return decode(PRICE, price, symbol), decode(HISTORY, history, symbol)


def put(rig: Rig, days: Sequence[Day], symbol: str = "BTC-USD") -> None:
    """Into the market store, as a file gives them."""
    bars = []
    for each in days:
        close, high, low, volume = (Decimal(str(value)) for value in (each.close, each.high, each.low, each.volume))
        bars.append(GivenBar(each.start_us, close, high, low, close, volume))
    rig.market.writer().put_bars(Export(symbol, "1d", "file", bars))
