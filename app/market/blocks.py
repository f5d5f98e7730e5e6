"""Quarters, hours and days of minutes, as they are kept: longer bars are read from them where they lie in one bar whole.

A day of minutes is 1,440 rows, and a page of a hundred months would be millions. A block is there if it is over: the newest
minute of its source is behind it. It is made anew whenever one of its minutes changes, so it is the sum of what is there.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from app.domain.candles import SECOND_US
from app.domain.intervals import INTERVALS
from app.domain.prices import plain
from app.market.calendar import Calendar
from app.market.candles import NEWEST
from app.market.connection import Connection
from app.market.selection import Row, joined

_COLUMNS = "open, high, low, close, volume, notional, trades, rv, covered_s, is_partial, revision"
_SPAN = "symbol = ? AND interval = ? AND source = ? AND start_us >= ? AND start_us < ?"
_BARS = f"SELECT start_us, interval, source, {_COLUMNS} FROM candles WHERE {_SPAN} ORDER BY start_us"  # noqa: S608 - columns of ours
_BLOCKS = f"SELECT start_us, '1m', source, {_COLUMNS} FROM blocks WHERE {_SPAN} ORDER BY start_us"  # noqa: S608 - as above
_KEY = "symbol = ? AND interval = ? AND source = ?"
_NEXT = f"SELECT min(start_us) FROM candles WHERE {_KEY} AND start_us > ?"  # noqa: S608 - as above
_LAST = f"SELECT max(start_us) FROM candles WHERE {_KEY} AND start_us < ?"  # noqa: S608 - as above
_NEW = ", ".join(f"{each} = excluded.{each}" for each in _COLUMNS.split(", "))
_WRITE = f"""
INSERT INTO blocks (symbol, interval, source, start_us, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (symbol, source, interval, start_us) DO UPDATE SET {_NEW}
"""  # noqa: S608 - as above
_REMOVE_AFTER = f"DELETE FROM blocks WHERE {_KEY} AND start_us > ?"  # noqa: S608 - as above
_REMOVE = f"DELETE FROM blocks WHERE {_KEY} AND start_us = ?"  # noqa: S608 - as above

_LEVELS = ("1d", "1h", "15m", "1m")
_LENGTHS_US = {each: INTERVALS[each] * SECOND_US for each in _LEVELS}
_AT_ONCE, _AT_ONCE_MAX = 128, 2_048
"""Rows of the first statement of a span, and of later ones at most."""
_LEFT_MAX = 16
"""Blocks in a row whose parts are read at once."""
_END_US = 2**62


def stored(
    connection: Connection, of: tuple[str, str, str], from_us: int, to_us: int, *, descending: bool, statement: str = _BARS
) -> Iterator[Row]:
    """Bars of a symbol, an interval and a source in a span, some at a time: who stops early has read few."""
    at_once, order = _AT_ONCE, " DESC" if descending else ""
    while True:
        number, start_us = 0, from_us
        # Row by row, for the database that reads no further than it is asked.
        for number, row in enumerate(connection.execute(f"{statement}{order} LIMIT {at_once}", (*of, from_us, to_us)), 1):  # noqa: B007 - how many
            start_us = row[0]
            yield Row._make(row)
        if number < at_once:
            return
        from_us, to_us = (from_us, start_us) if descending else (start_us + 1, to_us)
        at_once = min(2 * at_once, _AT_ONCE_MAX)


def refresh(
    connection: Connection, symbol: str, source: str, touched: Iterable[int], before_us: int | None, now_us: int | None
) -> None:
    """Make the blocks anew of minutes that were ``touched``, and those that are over now. The newest minute of ``source`` began
    ``before_us``, and now begins ``now_us``.
    """
    starts = {*touched} if before_us is None else {*touched, before_us}
    for below, level in pairwise(reversed(_LEVELS)):
        length_us, statement = _LENGTHS_US[level], _BARS if below == "1m" else _BLOCKS
        starts = {each - each % length_us for each in starts}
        over_us = -1 if now_us is None else now_us - length_us
        if before_us is not None and over_us < before_us - length_us:
            # All trades of the newest minute are cancelled: what begins behind an older one is not over any more.
            connection.execute(_REMOVE_AFTER, (symbol, level, source, over_us))
        for start_us in sorted(each for each in starts if each <= over_us):
            span = symbol, below, source, start_us, start_us + length_us
            rows = list(map(Row._make, connection.execute(statement, span)))
            if not rows:
                connection.execute(_REMOVE, (symbol, level, source, start_us))
                continue
            one = joined(rows)
            numbers = (None if each is None else plain(each) for each in one[:6])
            is_partial = max(each.is_partial for each in rows)
            row = symbol, level, source, start_us, *numbers, one.trades, one.rv, one.covered_s, is_partial, one.revision
            connection.execute(_WRITE, row)


class Rows:
    """A source's minutes for bars of ``interval``, by blocks where there is one that lies in one bar whole, and that no bar of
    the ``others`` (interval and source) touches. Bars as long as those that are asked for take the place of all of it or nothing.
    """

    def __init__(
        self,
        connection: Connection,
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
        self._without: dict[tuple[str, str], tuple[int, int]] = {}

    def of(self, from_us: int, to_us: int) -> Iterator[Row]:
        """Those of the span, in order."""
        (newest_us,) = self._connection.execute(NEWEST, (self._symbol, "1m", self._source)).fetchone()
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
            of = self._symbol, level, self._source
            yield from stored(self._connection, of, from_us, to_us, descending=self._descending)
            return
        length_us, below = _LENGTHS_US[level], _LEVELS[_LEVELS.index(level) + 1]
        of, first_us = (self._symbol, level, self._source), from_us - from_us % length_us
        left: list[tuple[int, int]] = []
        for block in stored(self._connection, of, first_us, to_us, descending=self._descending, statement=_BLOCKS):
            end_us = block.start_us + length_us
            fits = from_us <= block.start_us and end_us <= to_us and self._fits(block.start_us, end_us)
            if not fits:
                left.append((max(from_us, block.start_us), min(to_us, end_us)))
            if left and (fits or len(left) == _LEFT_MAX):
                yield from self._at(below, min(left)[0], max(left)[1])
                left.clear()
            if fits:
                yield block
        if left:
            yield from self._at(below, min(left)[0], max(left)[1])

    def _fits(self, start_us: int, end_us: int) -> bool:
        edges = self._calendar.bar_of(start_us, self._interval)
        if edges is None or end_us > edges.end_us:
            return False
        return not any(self._begins(each, start_us - INTERVALS[each[0]] * SECOND_US, end_us) for each in self._others)

    def _begins(self, other: tuple[str, str], after_us: int, before_us: int) -> bool:
        """Whether a bar of ``other`` begins between. A span without one is remembered as far as it goes."""
        first_us, last_us = self._without.get(other, (0, 0))
        if first_us <= after_us and before_us <= last_us:
            return False
        statement, bound_us = (_LAST, before_us) if self._descending else (_NEXT, after_us)
        (found_us,) = self._connection.execute(statement, (self._symbol, *other, bound_us)).fetchone()
        if self._descending:
            first_us, last_us = -_END_US if found_us is None else found_us, before_us
        else:
            first_us, last_us = after_us, _END_US if found_us is None else found_us
        self._without[other] = first_us, last_us
        return not (first_us <= after_us and before_us <= last_us)
