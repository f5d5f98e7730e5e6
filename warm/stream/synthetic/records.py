"""Price records of a simulated market, from its days in the market store, so that there are decisions before a day is over."""

import asyncio
from collections.abc import Callable, Sequence

import polars as pl

from app.domain.trades import SIMULATED
from app.errors import StoreError
from app.market.protocol import Bar, CandlesWanted, Reader
from app.store.protocol import Record
from warm.calendar.intervals import Market, bars_a_year
from warm.calendar.sessions import open_session
from warm.make.indicators import latest
from warm.make.vectors import build_vectors, last_closes
from warm.publish import JobStore

_INTERVAL = "1d"
_DAYS = 1_000


def publish_prices(
    open_reader: Callable[[], Reader], open_store: Callable[[], JobStore], symbols: Sequence[str], now_us: int
) -> int:
    """Upsert the price records of ``symbols``, with their last closes, after the last day that was over at ``now_us``. How many
    records were written: one that L2 has of a later day stays.

    Raises:
        MarketError: the market store failed.
        StoreError: L2 failed.
    """
    try:
        return asyncio.run(_published(open_reader(), open_store, symbols, now_us))
    except OSError as error:
        raise StoreError("unreachable", str(error)) from error


async def _published(reader: Reader, open_store: Callable[[], JobStore], symbols: Sequence[str], now_us: int) -> int:
    store = open_store()
    try:
        bars: list[Bar] = []
        for symbol in sorted(symbols):
            page = await reader.candles(CandlesWanted(symbol, _INTERVAL, _DAYS, descending=True))
            bars += [each for each in reversed(page.bars) if each.end_us <= now_us]
        return (await store.upsert(_records(bars, now_us // 1000))).written if bars else 0
    finally:
        await store.close()
        await reader.close()


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
