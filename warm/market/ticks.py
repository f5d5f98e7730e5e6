"""The last trade of each symbol, from the market store into L2, where servers answer from it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from app.domain.records import TICK
from app.domain.staleness import SKEW_MS
from app.domain.symbols import currency_of
from app.domain.ticks import tick_of
from app.domain.trades import SIMULATED
from app.errors import StoreError
from app.market.protocol import Reader
from app.store.codec import encode
from app.store.patience import patiently
from app.store.protocol import Record
from warm.calendar.exchanges import exchange
from warm.calendar.sessions import at_minute
from warm.market.listing import market_of
from warm.publish import JobStore

_DAY_MS = 86_400_000
_AT_ONCE = 200
"""Symbols of one read and one write."""


def publish_ticks(
    open_reader: Callable[[], Reader], open_store: Callable[[], JobStore], symbols: Sequence[str] | None, now_ms: int
) -> int:
    """Upsert the last trades of ``symbols`` (None: of all that the market store has), as they are in it: what an older file
    brought sets none back, and none is ahead of the clock, ``now_ms``, or it would be the last one until then. How many were
    written.

    Raises:
        MarketError: the market store failed.
        StoreError: L2 failed.
    """
    if symbols is not None and not symbols:
        return 0
    try:
        return asyncio.run(_published(open_reader(), open_store, symbols, now_ms))
    except OSError as error:
        raise StoreError("unreachable", str(error)) from error


async def _published(reader: Reader, open_store: Callable[[], JobStore], symbols: Sequence[str] | None, now_ms: int) -> int:
    written, store = 0, open_store()
    try:
        wanted = await _all(reader) if symbols is None else symbols
        for some in _parts(wanted):
            trades = await reader.last_trades(some, (now_ms + SKEW_MS) * 1000)
            records = [
                tick_of(
                    trade,
                    loaded_at_ms=now_ms,
                    # Of the time behind a file nothing is known.
                    coverage="partial",
                    currency=currency_of(symbol),
                    closed_ms=closed_ms(symbol, trade.time_us // 1000, trade.venue),
                )
                for symbol, trade in trades.items()
            ]
            if records:
                rows = [Record(TICK.name, each.symbol, encode(each)) for each in records]
                written += (await patiently(partial(store.upsert, rows))).written
    finally:
        await store.close()
        await reader.close()
    return written


async def _all(reader: Reader) -> list[str]:
    found: list[str] = []
    while page := await reader.symbols(_AT_ONCE, found[-1] if found else ""):
        found += [each.symbol.symbol for each in page]
    return found


def _parts(symbols: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(symbols), _AT_ONCE):
        yield symbols[at : at + _AT_ONCE]


def closed_ms(symbol: str, as_of_ms: int, venue: str = "") -> tuple[int, int] | None:
    """From when until when the market of ``symbol`` is closed next (epoch milliseconds), the end being after ``as_of_ms``; None
    of one that never closes, as the simulated one.
    """
    if venue == SIMULATED or not (market := market_of(symbol)):
        return None
    found = exchange(market)
    closes_ms = as_of_ms
    for day, hours in found.sessions(found.local_day(as_of_ms - _DAY_MS)):
        if (opens_ms := at_minute(day, hours.opens, found.zone)) > max(as_of_ms, closes_ms):
            return closes_ms, opens_ms
        closes_ms = at_minute(day, hours.closes, found.zone)
    raise AssertionError(f"{market} has no session after {as_of_ms}")
