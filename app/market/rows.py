"""Stored bars in order, as they are asked for; of minutes the blocks that stand for them."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter

from app.domain.candles import MINUTE_US, SECOND_US
from app.domain.intervals import INTERVALS
from app.market.blocks import BARS, BARS_OF, BLOCKS, LENGTHS_US, LEVELS
from app.market.connection import Connection
from app.market.kinds import Kind
from app.market.selection import Row, Selection

_NEXT = f"SELECT min(start_us) FROM candles WHERE {BARS_OF} AND start_us > ?"  # noqa: S608 - words of ours
_ADDED = f"""
SELECT 1 FROM candles AS added WHERE {BARS_OF} AND start_us >= ? AND start_us < ? AND NOT EXISTS (
    SELECT 1 FROM candles WHERE {BARS_OF} AND start_us = added.start_us
) LIMIT 1
"""  # noqa: S608 - as above
_LAST = f"SELECT max(start_us) FROM candles WHERE {BARS_OF} AND start_us < ?"  # noqa: S608 - as above
_AT_ONCE_MAX = 2_048
"""Rows of a statement at most."""
_EIGHT = 8
"""Of so many rows, or a multiple: a database knows statements by their text, and keeps the plans of some."""
_LEFT_MAX = 16
"""Blocks in a row whose parts are read at once."""
_END_US = 2**62


def stored(
    connection: Connection,
    of: tuple[str, str, str],
    span: tuple[int, int],
    at_once: int,
    *,
    descending: bool,
    statement: str = BARS,
) -> Iterator[Row]:
    """Bars of a symbol, an interval and a source in a span, ``at_once`` first and then more: who stops early has read few."""
    (from_us, to_us), order = span, " DESC" if descending else ""
    at_once = min(-(-at_once // _EIGHT) * _EIGHT, _AT_ONCE_MAX)
    while True:
        number, start_us = 0, from_us
        # Row by row, for the database that reads no further than it is asked.
        for number, row in enumerate(connection.execute(f"{statement}{order} LIMIT {at_once}", (*of, from_us, to_us)), 1):  # noqa: B007 - how many
            start_us = row[0]
            yield Row._make(row)
        if number < at_once:
            return
        from_us, to_us = (from_us, start_us) if descending else (start_us + 1, to_us)
        at_once = min(4 * at_once, _AT_ONCE_MAX)


def rows_of(
    connection: Connection, selection: Selection, kinds: Sequence[Kind], span: tuple[int, int], number: int, *, descending: bool
) -> Iterator[Row]:
    """All that ``selection`` makes bars of, from stored ones of ``kinds``. So many bars are wanted, as far as is known."""
    minutes = {kind.source: kind.newest_us for kind in kinds if kind.interval == "1m"}
    longer = [(kind.interval, kind.source) for kind in kinds if kind.interval != "1m"]
    cursors = [
        stored(connection, (selection.symbol, *kind), span, number * _parts(selection.interval, kind[0]), descending=descending)
        for kind in longer
    ]
    if minutes:
        cursors.append(Rows(connection, selection, minutes, longer, number, descending=descending).of(*span))
    return heapq.merge(*cursors, key=itemgetter(0), reverse=descending)


class Rows:
    """Minutes for the bars of ``selection``; ``newest`` has by source when the newest begins. Where a block of one of them says
    the same as all minutes that there are, it comes in their place. ``longer``: interval and source of given bars that may come
    in the place of minutes.
    """

    def __init__(
        self,
        connection: Connection,
        selection: Selection,
        newest: Mapping[str, int],
        longer: Sequence[tuple[str, str]],
        number: int,
        *,
        descending: bool,
    ) -> None:
        self._connection, self._selection, self._descending = connection, selection, descending
        self._number = number
        self._newest = newest
        # Bars as long as those that are asked for take the place of all of a bar or nothing.
        self._longer = [each for each in longer if each[0] != selection.interval]
        self._without: dict[tuple[str, str], tuple[int, int]] = {}
        self._same = 0, 0

    def of(self, from_us: int, to_us: int) -> Iterator[Row]:
        """Those of the span, in order."""
        asked_us = INTERVALS[self._selection.interval] * SECOND_US
        yield from self._at(next(place for place, level in enumerate(LEVELS) if LENGTHS_US[level] <= asked_us), from_us, to_us)

    def _at(self, place: int, from_us: int, to_us: int) -> Iterator[Row]:
        length_us, left = LENGTHS_US[LEVELS[place]], list[tuple[int, int]]()
        if LEVELS[place] == "1m":
            cursors = [self._stored(source, "1m", from_us, to_us, BARS) for source in self._newest]
            yield from heapq.merge(*cursors, key=itemgetter(0), reverse=self._descending)
            return
        for start_us, group in groupby(self._blocks(LEVELS[place], from_us - from_us % length_us, to_us), itemgetter(0)):
            first_us, last_us = max(from_us, start_us), min(to_us, start_us + length_us)
            rows = {source: row for _, source, row in group}
            row = self._one(start_us, start_us + length_us, rows) if last_us - first_us == length_us else None
            is_outside = row is None and self._selection.next_inside(first_us) >= last_us
            if left and (row is not None or is_outside or len(left) == _LEFT_MAX):
                yield from self._at(place + 1, min(left)[0], max(left)[1])
                left.clear()
            if row is not None:
                yield row
            elif not is_outside:
                left.append((first_us, last_us))
        if left:
            yield from self._at(place + 1, min(left)[0], max(left)[1])

    def _blocks(self, level: str, from_us: int, to_us: int) -> Iterator[tuple[int, str, Row | None]]:
        """Starts, sources and blocks; None where the newest minute of a source is, since that block is not over."""
        cursors = list[Iterator[tuple[int, str, Row | None]]]()
        for source, newest_us in self._newest.items():
            open_us = newest_us - newest_us % LENGTHS_US[level]
            last = [(open_us, source, None)] if from_us <= open_us < to_us else []
            over = map(_placed, self._stored(source, level, from_us, to_us, BLOCKS))
            cursors.append(chain(last, over) if self._descending else chain(over, last))
        return heapq.merge(*cursors, key=itemgetter(0), reverse=self._descending)

    def _stored(self, source: str, level: str, from_us: int, to_us: int, statement: str) -> Iterator[Row]:
        of = self._selection.symbol, level, source
        at_once = self._number * _parts(self._selection.interval, level)
        return stored(self._connection, of, (from_us, to_us), at_once, descending=self._descending, statement=statement)

    def _one(self, start_us: int, end_us: int, rows: Mapping[str, Row | None]) -> Row | None:
        """Of blocks that begin and end then the one that stands for all; None if there is none."""
        if not self._same[0] <= start_us <= end_us <= self._same[1]:
            self._same = start_us, self._selection.same_until(start_us)
        if end_us > self._same[1]:
            return None
        row = self._selection.of_block(start_us, end_us, rows)
        if row is None or self._others_add(start_us, end_us, rows, row):
            return None
        for kind in self._longer:
            span = self._selection.at_odds(kind[0], start_us, end_us, row)
            if span is not None and self._begins(kind, span[0] - 1, span[1]):
                return None
        return row

    def _others_add(self, start_us: int, end_us: int, rows: Mapping[str, Row | None], row: Row) -> bool:
        """Whether another source has a minute that the one of ``row`` lacks."""
        if row.minutes * MINUTE_US == end_us - start_us:
            return False
        of, others = (self._selection.symbol, "1m"), [each for each in rows if each != row.source]
        if any(its.minutes > row.minutes for its in rows.values() if its is not None):
            return True
        parameters = ((*of, each, start_us, end_us, *of, row.source) for each in others)
        return any(self._connection.execute(_ADDED, each).fetchone() for each in parameters)

    def _begins(self, kind: tuple[str, str], after_us: int, before_us: int) -> bool:
        """Whether a bar of ``kind`` begins between. A span without one is remembered as far as it goes."""
        first_us, last_us = self._without.get(kind, (0, 0))
        if first_us <= after_us and before_us <= last_us:
            return False
        statement, bound_us = (_LAST, before_us) if self._descending else (_NEXT, after_us)
        (found_us,) = self._connection.execute(statement, (self._selection.symbol, *kind, bound_us)).fetchone()
        if self._descending:
            first_us, last_us = -_END_US if found_us is None else found_us, before_us
        else:
            first_us, last_us = after_us, _END_US if found_us is None else found_us
        self._without[kind] = first_us, last_us
        return not (first_us <= after_us and before_us <= last_us)


def _parts(interval: str, stored: str) -> int:
    """How many bars of the interval ``stored`` are as long as one of ``interval``."""
    return max(1, INTERVALS[interval] // INTERVALS[stored])


def _placed(row: Row) -> tuple[int, str, Row]:
    return row.start_us, row.source, row
