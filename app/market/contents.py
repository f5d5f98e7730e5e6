"""What a market store holds, in order and some rows at a time, however much it is: for whoever looks at all of it.

Plain SQL on a connection whose transaction is the caller's.
"""

import heapq
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from app.domain.candles import Candle
from app.domain.trades import Order, Trade
from app.market.connection import Connection
from app.market.minutes import Kept
from app.market.protocol import TIME_MAX_US, TRADES, Gap
from app.market.selection import Row
from app.market.trades import series_by_venue
from app.market.windows import Moment

_AT_ONCE = 5_000
_TRADES = """
SELECT trade_key, time_us, price, size, closing FROM trades
WHERE series = ? AND (time_us, trade_key) > (?, ?) AND time_us < ? AND NOT cancelled AND size <> '0'
ORDER BY time_us, trade_key LIMIT ?
"""
_FIRST, _LAST = (f"SELECT {end}(time_us) FROM trades WHERE series = ?" for end in ("min", "max"))  # noqa: S608 - words of ours
_MINUTES = f"""
SELECT start_us, open, high, low, close, volume, notional, trades, open_key, close_key, rv, covered_s, revision FROM candles
WHERE symbol = ? AND interval = '1m' AND source = '{TRADES}' AND start_us > ? ORDER BY start_us LIMIT ?
"""  # noqa: S608 - a word of ours
_COLUMNS = "open, high, low, close, volume, notional, trades, rv, covered_s, is_partial, revision"
_MINUTES_OF = {"candles": "1", "blocks": "minutes"}
_ROWS = """
SELECT start_us, interval, source, {}, {} FROM {} WHERE symbol = ? AND source = ? AND interval = ? AND start_us > ?
ORDER BY start_us LIMIT ?
"""
_GAPS = """
SELECT venue, symbol, from_us, to_us, found_by, missing, filled_us FROM gaps
WHERE symbol = ? AND filled_us IS NULL ORDER BY from_us, venue LIMIT ?
"""
_order = msgspec.json.Decoder(Order)


class Contents:
    """Of one ``moment``, that of the connection's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self.moment = connection, Moment(connection)

    def symbols(self) -> list[str]:
        """All, sorted."""
        return [symbol for (symbol,) in self._connection.execute("SELECT symbol FROM symbols ORDER BY symbol").fetchall()]

    def retained_us(self) -> int:
        """Trades of before were removed."""
        row = self._connection.execute("SELECT value FROM marks WHERE name = 'retained_from_us'").fetchone()
        return 0 if row is None else int(row[0])

    def trades(self, symbol: str, from_us: int = 0, before_us: int = TIME_MAX_US) -> Iterator[Trade]:
        """Those that count from the one time to before the other, of all venues, in order."""
        series = self._connection.execute("SELECT series, venue FROM series WHERE symbol = ?", (symbol,)).fetchall()
        span = from_us, before_us
        return heapq.merge(*(self._of(symbol, number, venue, span) for number, venue in series), key=lambda each: each.order)

    def span(self, symbol: str) -> tuple[int, int]:
        """From when to when it has trades; zeros of one without."""
        found = []
        for series, _ in series_by_venue(self._connection, symbol):
            for statement in (_FIRST, _LAST):
                found += [us for (us,) in self._connection.execute(statement, (series,)) if us is not None]
        return (min(found), max(found)) if found else (0, 0)

    def minutes(self, symbol: str) -> Iterator[tuple[int, Kept]]:
        """When each minute of its trades begins, and its bar, ascending."""
        for row in self._pages(lambda after: (_MINUTES, (symbol, after, _AT_ONCE))):
            start_us, *numbers, trades, first, last, rv, covered_s, revision = row
            opened, high, low, close, volume, notional = map(Decimal, numbers)
            candle = Candle(opened, high, low, close, volume, notional, trades, _order.decode(first), _order.decode(last))
            yield start_us, Kept(candle, rv, covered_s, revision)

    def sources(self, symbol: str) -> list[str]:
        """Whose minutes, or blocks of them, it has."""
        statement = """
            SELECT source FROM candles WHERE symbol = ? AND interval = '1m'
            UNION SELECT source FROM blocks WHERE symbol = ? ORDER BY source
        """
        return [source for (source,) in self._connection.execute(statement, (symbol, symbol)).fetchall()]

    def rows(self, table: str, symbol: str, source: str, interval: str) -> Iterator[Row]:
        """Bars as they are stored in ``candles`` or ``blocks``, ascending."""
        statement = _ROWS.format(_COLUMNS, _MINUTES_OF[table], table)
        yield from map(Row._make, self._pages(lambda after: (statement, (symbol, source, interval, after, _AT_ONCE))))

    def gaps(self, symbol: str, most: int) -> list[Gap]:
        """The first so many that are not filled."""
        return [Gap(*row) for row in self._connection.execute(_GAPS, (symbol, most)).fetchall()]

    def _of(self, symbol: str, series: int, venue: str, span: tuple[int, int]) -> Iterator[Trade]:
        (from_us, before_us), rows = span, list[Any]([()] * _AT_ONCE)
        after = from_us, ""
        while len(rows) == _AT_ONCE:
            rows = self._connection.execute(_TRADES, (series, *after, before_us, _AT_ONCE)).fetchall()
            for key, time_us, price, size, closing in rows:
                yield Trade(venue, symbol, key, time_us, Decimal(price), Decimal(size), key, closing=bool(closing))
            if rows:
                after = rows[-1][1], rows[-1][0]

    def _pages(self, page: Callable[[int], tuple[str, tuple[Any, ...]]]) -> Iterator[Any]:
        after_us = -1
        rows: list[Any] = [()] * _AT_ONCE
        while len(rows) == _AT_ONCE:
            rows = self._connection.execute(*page(after_us)).fetchall()
            yield from rows
            if rows:
                after_us = rows[-1][0]
