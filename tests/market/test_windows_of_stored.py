"""Windows of a symbol are made anew from what a store has, bit for bit."""

import random
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import msgspec
import pytest

from app.domain.candles import by_minute
from app.domain.trades import Trade
from app.domain.window_bars import bar_of
from app.domain.windows import BARS, WINDOW_SIZE, Windows, trades_from
from app.market.protocol import Batch, CandlesWanted, Reader, Symbol, TradesWanted
from tests.market.giving import sessions, trade
from tests.market.places import MINUTE_US, NOON_US, Place

_SESSIONS = sessions(date(2023, 11, 15), [15], opens_min=735)
"""From 12:15 to 12:30."""


def _market(rng: random.Random, last_us: int) -> list[Trade]:
    price, made = 100.0, []
    for number in range(400):
        price *= 1 + rng.gauss(0, 1e-3)
        at_us = NOON_US + rng.randrange(last_us)
        size = str(Decimal(rng.randrange(1000)) / 100)
        made.append(trade(number, at_us, f"{price:.4f}", size, closing=rng.random() < 0.1))
    return made


async def _anew(reader: Reader, closes: list[int]) -> Windows:
    page = await reader.candles(CandlesWanted("A", "1m", BARS, descending=True, extended=True))
    bars = []
    for bar in reversed(page.bars):
        assert bar.rv is not None
        assert bar.covered_s is not None
        assert bar.trades is not None
        bars.append(bar_of(bar.start_us, bar.high, bar.low, bar.close, bar.volume, bar.trades, bar.rv, bar.covered_s))
    from_us = trades_from([bar.start_us for bar in bars], closes)
    newest = await reader.trades(TradesWanted("A", 2 * WINDOW_SIZE, descending=True))
    since = await reader.trades(TradesWanted("A", 10_000, start_us=from_us))
    older = [each for each in newest.trades if each.time_us < from_us]
    return Windows.of(bars, [*older, *since.trades], closes=closes)


@pytest.mark.parametrize("last_min", [2, 45, 900])
@pytest.mark.parametrize("closes", [[], [_SESSIONS[0].closes_us]], ids=["always", "sessions"])
def test_a_store_gives_back_the_windows_of_its_trades(make_place: Callable[[], Place], closes: list[int], last_min: int) -> None:
    """That took the trades in any order and any batches."""
    rng = random.Random(last_min)
    trades = _market(rng, last_min * MINUTE_US)
    place = make_place()
    writer = place.writer()
    if closes:
        writer.put_sessions("X", _SESSIONS)
        writer.put_symbols([Symbol("A", market="X")])
    for first in range(0, len(trades), 50):
        writer.apply(Batch(trades=trades[first : first + 50]))
    windows = Windows(closes=closes)
    for each in sorted(trades, key=lambda each: each.order):
        for (_, start_us), group in by_minute([each], {"A": closes}).items():
            assert windows.add(start_us, group)
    anew = place.read(lambda reader: _anew(reader, closes))
    place.close()
    assert msgspec.msgpack.encode(anew.features()) == msgspec.msgpack.encode(windows.features())
