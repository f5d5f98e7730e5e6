"""Price records of a simulated market, from its days in the market store, so that there are decisions before a day is over."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import polars as pl

from app.domain.records import PRICE
from app.domain.trades import SIMULATED
from app.errors import MarketError, StoreEmpty, StoreError
from app.market.protocol import Bar, CandlesWanted, Reader
from app.store.protocol import Record
from warm.calendar.intervals import Market, bars_a_year
from warm.calendar.sessions import open_session
from warm.make.indicators import latest
from warm.make.vectors import build_vectors, last_closes
from warm.publish import JobStore

_INTERVAL = "1d"
_DAYS = 1_000
_LOOK_S = 5.0


def publish_prices(
    open_reader: Callable[[], Reader],
    open_store: Callable[[], JobStore],
    symbols: Sequence[str],
    now_us: int,
    *,
    lacking: bool = False,
) -> int:
    """Upsert the price records of ``symbols``, or of those that L2 is ``lacking``, with their last closes, after the last day
    that was over at ``now_us``. How many records were written: one that L2 has of a later day stays.

    Raises:
        MarketError: the market store failed.
        StoreError: L2 failed.
    """
    try:
        return asyncio.run(_published(open_reader(), open_store, symbols, now_us, lacking=lacking))
    except OSError as error:
        raise StoreError("unreachable", str(error)) from error


def keep_prices(
    open_reader: Callable[[], Reader],
    open_store: Callable[[], JobStore],
    symbols: Sequence[str],
    now_us: Callable[[], int],
    say: Callable[..., None],
    stop: threading.Event,
) -> None:
    """Until it is to stop, make those records anew that L2 lost: it may be emptied. What fails is tried again."""
    while not stop.wait(_LOOK_S):
        with suppress(MarketError, StoreError):
            if written := publish_prices(open_reader, open_store, symbols, now_us(), lacking=True):
                say("prices_anew", records=written)


async def _published(
    reader: Reader, open_store: Callable[[], JobStore], symbols: Sequence[str], now_us: int, *, lacking: bool
) -> int:
    store = open_store()
    try:
        if lacking:
            symbols = await _lacking(store, symbols)
        bars: list[Bar] = []
        for symbol in sorted(symbols):
            page = await reader.candles(CandlesWanted(symbol, _INTERVAL, _DAYS, descending=True))
            bars += [each for each in reversed(page.bars) if each.end_us <= now_us]
        return (await store.upsert(_records(bars, now_us // 1000))).written if bars else 0
    finally:
        await store.close()
        await reader.close()


async def _lacking(store: JobStore, symbols: Sequence[str]) -> Sequence[str]:
    try:
        stored = await store.get_many(symbols)
    except StoreEmpty:
        return symbols
    return [symbol for symbol, each in zip(symbols, stored, strict=True) if PRICE.name not in each.records]


def _records(bars: Sequence[Bar], now_ms: int) -> list[Record]:
    frame = pl.DataFrame(
        {
            "symbol": [each.symbol for each in bars],
            "as_of_ms": [each.end_us // 1000 for each in bars],
            **{name: [float(getattr(each, name)) for each in bars] for name in ("high", "low", "close", "volume")},
        }
    )
    made = build_vectors(
        latest(frame.lazy(), bars_a_year(_INTERVAL, never_closes=True)).collect(),
        last_closes(frame),
        pl.DataFrame({"symbol": []}),
        run=SIMULATED,
        loaded_at_ms=now_ms,
        markets={each.symbol: Market(_INTERVAL, never_closes=True) for each in bars},
        session=open_session(None, None, _INTERVAL),
        is_of_store=True,
    )
    return [Record(kind, row.symbol, each.value) for row in made.rows for kind, each in row.records.items()]
