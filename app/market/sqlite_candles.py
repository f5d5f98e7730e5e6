"""Bars of trades in SQLite: the `app.market.minutes.Table` of a transaction."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from app.domain.candles import MINUTE_US, Candle
from app.domain.prices import plain
from app.domain.trades import Order, Trade
from app.market.minutes import Kept
from app.market.protocol import TRADES, Minute
from app.market.sqlite_trades import trades_of

_NEAR_US = 5 * MINUTE_US
"""Minutes that are no further from each other are read at once."""
_OF = f"symbol = ? AND interval = '1m' AND source = '{TRADES}'"
_READ = f"""
SELECT start_us, open, high, low, close, volume, notional, trades, open_key, close_key, rv, covered_s, revision
FROM candles WHERE {_OF} AND start_us BETWEEN ? AND ?
"""  # noqa: S608 - words of ours
_NEWEST = f"SELECT max(start_us) FROM candles WHERE {_OF}"  # noqa: S608 - as above
_WRITE = f"""
INSERT OR REPLACE INTO candles VALUES (?, '1m', '{TRADES}', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)
"""  # noqa: S608 - as above
_REMOVE = f"DELETE FROM candles WHERE {_OF} AND start_us = ?"  # noqa: S608 - as above

_order = msgspec.json.Decoder(Order)
_encode = msgspec.json.Encoder().encode


class MinuteTable:
    """``closes``: when sessions close around all that is asked for, by symbol."""

    def __init__(self, connection: sqlite3.Connection, closes: Mapping[str, Sequence[int]], now_us: int) -> None:
        self._connection, self._closes, self._now_us = connection, closes, now_us

    def bars(self, minutes: Sequence[Minute]) -> dict[Minute, Kept]:
        """By runs of minutes that are near each other."""
        found = {}
        for symbol, first_us, last_us in _runs(minutes):
            for start_us, *row, rv, covered_s, revision in self._connection.execute(_READ, (symbol, first_us, last_us)):
                *numbers, trades, first, last = row
                opened, high, low, close, volume, notional = map(Decimal, numbers)
                candle = Candle(opened, high, low, close, volume, notional, trades, _order.decode(first), _order.decode(last))
                found[Minute(symbol, start_us)] = Kept(candle, rv, covered_s, revision)
        return found

    def newest(self, symbols: Iterable[str]) -> dict[str, int]:
        """One search each."""
        found = {symbol: self._connection.execute(_NEWEST, (symbol,)).fetchone()[0] for symbol in symbols}
        return {symbol: start_us for symbol, start_us in found.items() if start_us is not None}

    def trades(self, minute: Minute) -> list[Trade]:
        """From the trades' table."""
        return trades_of(self._connection, minute, self._closes.get(minute.symbol, ()))

    def write(self, changed: Mapping[Minute, Kept | None]) -> None:
        """Row by row."""
        rows = [self._row(minute, kept) for minute, kept in changed.items() if kept is not None]
        self._connection.executemany(_WRITE, rows)
        self._connection.executemany(_REMOVE, [minute for minute, kept in changed.items() if kept is None])

    def _row(self, minute: Minute, kept: Kept) -> tuple[object, ...]:
        candle = kept.candle
        numbers = candle.open, candle.high, candle.low, candle.close, candle.volume, candle.notional
        ends = (_encode(each).decode() for each in (candle.first, candle.last))
        return *minute, *map(plain, numbers), candle.trades, *ends, kept.rv, kept.covered_s, kept.revision, self._now_us


def _runs(minutes: Sequence[Minute]) -> Iterator[tuple[str, int, int]]:
    """Symbol, first and last start of sorted ``minutes`` that are near each other."""
    symbol, first_us, last_us = minutes[0].symbol, minutes[0].start_us, minutes[0].start_us
    for minute in minutes:
        if minute.symbol != symbol or minute.start_us > last_us + _NEAR_US:
            yield symbol, first_us, last_us
            symbol, first_us = minute
        last_us = minute.start_us
    yield symbol, first_us, last_us
