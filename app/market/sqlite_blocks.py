"""Quarters, hours and days of minutes, in SQLite: longer bars are read from them where they lie in one bar whole.

A day of minutes is 1,440 rows, and a page of a hundred months would be millions. A block is there if it is over: the newest
minute of its source is behind it. It is made anew whenever one of its minutes changes, so it is the sum of what is there.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from app.domain.candles import SECOND_US
from app.domain.intervals import INTERVALS
from app.domain.prices import plain
from app.market.calendar import Calendar
from app.market.selection import Row, joined

_COLUMNS = "open, high, low, close, volume, notional, trades, rv, covered_s, is_partial, revision"
BARS = f"""
SELECT start_us, interval, source, {_COLUMNS} FROM candles
WHERE symbol = ? AND interval = ? AND source = ? AND start_us >= ? AND start_us < ? ORDER BY start_us
"""  # noqa: S608 - columns of ours
"""`Row` s of a symbol, an interval and a source in a span."""
_BLOCKS = f"""
SELECT start_us, '1m', source, {_COLUMNS} FROM blocks
WHERE symbol = ? AND interval = ? AND source = ? AND start_us >= ? AND start_us < ? ORDER BY start_us
"""  # noqa: S608 - as above
_NEWEST = "SELECT max(start_us) FROM candles WHERE symbol = ? AND interval = '1m' AND source = ?"
_IS_THERE = "SELECT 1 FROM candles WHERE symbol = ? AND interval = ? AND source = ? AND start_us > ? AND start_us < ? LIMIT 1"
_WRITE = "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_REMOVE_AFTER = "DELETE FROM blocks WHERE symbol = ? AND source = ? AND interval = ? AND start_us > ?"
_REMOVE = "DELETE FROM blocks WHERE symbol = ? AND source = ? AND interval = ? AND start_us = ?"

_LEVELS = ("1d", "1h", "15m", "1m")
_LENGTHS_US = {each: INTERVALS[each] * SECOND_US for each in _LEVELS}


def refresh(connection: sqlite3.Connection, symbol: str, source: str, touched: Iterable[int], newest_us: int | None) -> None:
    """Make the blocks anew of minutes that were ``touched``, and those that are over now. ``newest_us`` is when the newest minute
    of ``source`` began before.
    """
    (now_us,) = connection.execute(_NEWEST, (symbol, source)).fetchone()
    starts = {*touched} if newest_us is None else {*touched, newest_us}
    for below, level in pairwise(reversed(_LEVELS)):
        length_us, statement = _LENGTHS_US[level], BARS if below == "1m" else _BLOCKS
        starts = {each - each % length_us for each in starts}
        # A newest minute whose trades are all cancelled leaves an older one, and what begins then is not over any more.
        over_us = -1 if now_us is None else now_us - length_us
        connection.execute(_REMOVE_AFTER, (symbol, source, level, over_us))
        for start_us in starts:
            if start_us > over_us:
                continue
            rows = list(map(Row._make, connection.execute(statement, (symbol, below, source, start_us, start_us + length_us))))
            if not rows:
                connection.execute(_REMOVE, (symbol, source, level, start_us))
                continue
            one = joined(rows)
            numbers = (None if each is None else plain(each) for each in one[:6])
            is_partial = max(each.is_partial for each in rows)
            row = symbol, source, level, start_us, *numbers, one.trades, one.rv, one.covered_s, is_partial, one.revision
            connection.execute(_WRITE, row)


class Rows:
    """A source's minutes for bars of ``interval``, by blocks where there is one that lies in one bar whole, and that no bar of
    the ``others`` (interval and source) touches. Bars as long as those that are asked for take the place of all of it or nothing.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        symbol: str,
        source: str,
        others: Sequence[tuple[str, str]],
        calendar: Calendar,
        interval: str,
        *,
        descending: bool,
    ) -> None:
        self._connection, self._symbol, self._source, self._calendar = connection, symbol, source, calendar
        self._interval, self._descending = interval, descending
        self._others = [each for each in others if each not in (("1m", source), (interval, each[1]))]
        self._order = " DESC" if descending else ""

    def of(self, from_us: int, to_us: int) -> Iterator[Row]:
        """Those of the span, in order."""
        (newest_us,) = self._connection.execute(_NEWEST, (self._symbol, self._source)).fetchone()
        spans = []
        for level in _LEVELS:
            length_us = _LENGTHS_US[level]
            if newest_us is None or length_us > INTERVALS[self._interval] * SECOND_US:
                continue
            # Behind the newest minute nothing is over, and blocks of this length end before it.
            end_us = to_us if level == "1m" else min(to_us, newest_us - newest_us % length_us)
            if from_us < end_us:
                spans.append((level, from_us, end_us))
                from_us = end_us
        for span in reversed(spans) if self._descending else spans:
            yield from self._at(*span)

    def _at(self, level: str, from_us: int, to_us: int) -> Iterator[Row]:
        if level == "1m":
            of = self._symbol, level, self._source, from_us, to_us
            yield from map(Row._make, self._connection.execute(BARS + self._order, of))
            return
        length_us, below = _LENGTHS_US[level], _LEVELS[_LEVELS.index(level) + 1]
        of = self._symbol, level, self._source, from_us - from_us % length_us, to_us
        for block in map(Row._make, self._connection.execute(_BLOCKS + self._order, of)):
            end_us = block.start_us + length_us
            if from_us <= block.start_us and end_us <= to_us and self._fits(block.start_us, end_us):
                yield block
            else:
                yield from self._at(below, max(from_us, block.start_us), min(to_us, end_us))

    def _fits(self, start_us: int, end_us: int) -> bool:
        edges = self._calendar.bar_of(start_us, self._interval)
        if edges is None or end_us > edges.end_us:
            return False
        for stored, source in self._others:
            of = self._symbol, stored, source, start_us - INTERVALS[stored] * SECOND_US, end_us
            if self._connection.execute(_IS_THERE, of).fetchone() is not None:
                return False
        return True
