"""Bars of trades as they are stored: the `app.market.minutes.Table` of a transaction."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from app.domain.candles import MINUTE_US, Candle
from app.domain.prices import plain
from app.domain.trades import Order, Trade
from app.market.blocks import BARS_OF
from app.market.connection import Connection
from app.market.minutes import Kept
from app.market.protocol import TRADES, Minute
from app.market.trades import trades_of

_NEAR_US = 5 * MINUTE_US
"""Minutes that are no further from each other are read at once."""
_COLUMNS = (
    "open", "high", "low", "close", "volume", "notional", "trades", "open_key", "close_key", "rv", "covered_s", "is_partial",
    "revision", "updated_at_us",
)  # fmt: skip
_KEY = "symbol, interval, source, start_us"
WRITE = f"""
INSERT INTO candles ({_KEY}, {", ".join(_COLUMNS)}) VALUES ({", ".join("?" * (4 + len(_COLUMNS)))})
ON CONFLICT ({_KEY}) DO UPDATE SET {", ".join(f"{each} = excluded.{each}" for each in _COLUMNS)}
"""  # noqa: S608 - columns of ours
"""A bar in the place of what was there."""
NEWEST = f"SELECT max(start_us) FROM candles WHERE {BARS_OF}"  # noqa: S608 - as above
"""When the newest bar of a symbol, an interval and a source begins, or null."""
READ = "start_us, open, high, low, close, volume, notional, trades, open_key, close_key, rv, covered_s, revision"
_OF = f"symbol = ? AND interval = '1m' AND source = '{TRADES}'"
_READ = f"SELECT {READ} FROM candles WHERE {_OF} AND start_us BETWEEN ? AND ?"  # noqa: S608 - as above
_REMOVE = f"DELETE FROM candles WHERE {_OF} AND start_us = ?"  # noqa: S608 - as above

_order = msgspec.json.Decoder(Order)
_encode = msgspec.json.Encoder().encode


class MinuteTable:
    """``closes``: when sessions close around all that is asked for, by symbol."""

    def __init__(self, connection: Connection, closes: Mapping[str, Sequence[int]], now_us: int) -> None:
        self._connection, self._closes, self._now_us = connection, closes, now_us

    def bars(self, minutes: Sequence[Minute]) -> dict[Minute, Kept]:
        """By runs of minutes that are near each other."""
        found = {}
        for symbol, first_us, last_us in runs(minutes):
            for row in self._connection.execute(_READ, (symbol, first_us, last_us)):
                found[Minute(symbol, row[0])] = kept_of(row)
        return found

    def newest(self, symbols: Iterable[str]) -> dict[str, int]:
        """One search each."""
        found = {symbol: self._connection.execute(NEWEST, (symbol, "1m", TRADES)).fetchone()[0] for symbol in symbols}
        return {symbol: start_us for symbol, start_us in found.items() if start_us is not None}

    def trades(self, minute: Minute) -> list[Trade]:
        """From the trades' table."""
        return trades_of(self._connection, minute, self._closes.get(minute.symbol, ()))

    def write(self, changed: Mapping[Minute, Kept | None]) -> None:
        """Row by row."""
        rows = [self._row(minute, kept) for minute, kept in changed.items() if kept is not None]
        gone = [minute for minute, kept in changed.items() if kept is None]
        for statement, some in ((WRITE, rows), (_REMOVE, gone)):
            if some:
                self._connection.executemany(statement, some)

    def _row(self, minute: Minute, kept: Kept) -> tuple[object, ...]:
        candle = kept.candle
        numbers = candle.open, candle.high, candle.low, candle.close, candle.volume, candle.notional
        ends = (_encode(each).decode() for each in (candle.first, candle.last))
        row = *map(plain, numbers), candle.trades, *ends, kept.rv, kept.covered_s, False, kept.revision, self._now_us
        return minute.symbol, "1m", TRADES, minute.start_us, *row


def kept_of(row: Sequence[Any]) -> Kept:
    """The bar that a row is, as `READ` has it."""
    _, *numbers, trades, first, last, rv, covered_s, revision = row
    opened, high, low, close, volume, notional = map(Decimal, numbers)
    candle = Candle(opened, high, low, close, volume, notional, trades, _order.decode(first), _order.decode(last))
    return Kept(candle, rv, covered_s, revision)


def runs(minutes: Sequence[Minute]) -> Iterator[tuple[str, int, int]]:
    """Symbol, first and last start of sorted ``minutes`` that are near each other."""
    symbol, first_us, last_us = minutes[0].symbol, minutes[0].start_us, minutes[0].start_us
    for minute in minutes:
        if minute.symbol != symbol or minute.start_us > last_us + _NEAR_US:
            yield symbol, first_us, last_us
            symbol, first_us = minute
        last_us = minute.start_us
    yield symbol, first_us, last_us
