"""What windows of a symbol's trades are made anew from. Plain SQL on a connection, whose transaction is the caller's."""

from collections.abc import Sequence
from decimal import Decimal

from app.domain.trades import Trade
from app.domain.window_bars import bar_of
from app.domain.windows import BARS, Windows, trades_from
from app.market import closes, gaps
from app.market.connection import Connection
from app.market.protocol import TRADES, Gap
from app.market.trades import last_before, trades_of_span

_BARS = f"""
SELECT start_us, high, low, close, volume, trades, rv, covered_s FROM candles
WHERE symbol = ? AND interval = '1m' AND source = '{TRADES}' AND start_us < ? ORDER BY start_us DESC LIMIT ?
"""  # noqa: S608 - a word of ours
_MARKET = "SELECT market FROM symbols WHERE symbol = ?"


class Moment:
    """What a transaction of the market store sees of symbols, as far as rows of features rest on it. Trades are those that
    count: none that was cancelled, and none of size 0.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def calendar(self) -> int:
        """How often the closes of some symbol have changed."""
        return closes.version_of(self._connection)

    def closes(self, symbol: str) -> Sequence[int]:
        """When its market's sessions close, ascending; none of one that never does."""
        market = self._connection.execute(_MARKET, (symbol,)).fetchone()
        return closes.closes_of(self._connection, market[0]) if market and market[0] else ()

    def windows(self, symbol: str, before_us: int, size: int) -> Windows:
        """The state after all trades of before ``before_us`` (epoch microseconds), with a ring of ``size``."""
        connection, ends = self._connection, self.closes(symbol)
        rows = connection.execute(_BARS, (symbol, before_us, BARS)).fetchall()
        if not rows:
            return Windows(size, ends)
        bars = [
            bar_of(start_us, Decimal(high), Decimal(low), Decimal(close), Decimal(volume), trades, rv, covered_s)
            for start_us, high, low, close, volume, trades, rv, covered_s in reversed(rows)
        ]
        from_us = trades_from([bar.start_us for bar in bars], ends)
        older = last_before(connection, symbol, from_us, size)
        return Windows.of(bars, [*older, *trades_of_span(connection, symbol, from_us, before_us)], size, ends)

    def trades(self, symbol: str, from_us: int, before_us: int) -> list[Trade]:
        """From the one time to before the other, in order."""
        return trades_of_span(self._connection, symbol, from_us, before_us)

    def lacking(self, symbol: str) -> tuple[Gap, ...]:
        """Its gaps in which trades were lost and have not come since."""
        return gaps.lacking(self._connection, symbol)
