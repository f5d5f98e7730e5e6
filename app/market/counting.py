"""How many bars there are in a span, without making them. Plain functions on a connection, whose transaction is the caller's."""

from bisect import bisect_left
from collections.abc import Sequence

from app.domain.candles import MINUTE_US, SECOND_US
from app.domain.intervals import DAY_S, INTERVALS
from app.market.calendar import clock_of, is_of_days
from app.market.connection import Connection
from app.market.kinds import Kind
from app.market.selection import Selection

COUNT_MAX = 5_000
"""Bars that are counted at most."""
_SEARCHES_MAX = 2_000
"""Searches by an index, some microseconds each, of what does not go by the clock."""
_AHEAD_MAX = 256
"""Starts that one statement reads."""
_BLOCKS = ("1d", "1h", "15m")
_DAY_US = DAY_S * SECOND_US
_QUARTER_US, _QUARTER_MINUTES = 15 * MINUTE_US, 15
_OF = "symbol = ? AND source = ? AND interval = ?"
_NEXT = f"SELECT start_us FROM candles WHERE {_OF} AND start_us >= ? AND start_us < ? ORDER BY start_us LIMIT "  # noqa: S608 - as above
_STARTS = (
    "SELECT start_us FROM (SELECT start_us FROM {} WHERE {} AND start_us >= ? AND start_us < ? ORDER BY start_us{} LIMIT {})"
)
_QUARTERS = f"""
(SELECT start_us, minutes FROM blocks WHERE {_OF} AND start_us >= ? AND start_us < ? ORDER BY start_us{{}} LIMIT {{}}) AS quarters
"""  # noqa: S608 - as above
_OF_FULL = f"""
SELECT start_us + after_us AS start_us FROM (
    SELECT start_us FROM {{}} WHERE minutes = {_QUARTER_MINUTES} ORDER BY start_us{{}} LIMIT {{}}
) AS whole CROSS JOIN ({{}}) AS bars
"""  # noqa: S608 - as above
_OF_OTHERS = f"""
SELECT candles.start_us FROM {{}} CROSS JOIN candles WHERE minutes < {_QUARTER_MINUTES} AND {_OF}
AND candles.start_us >= quarters.start_us AND candles.start_us < quarters.start_us + {_QUARTER_US}
"""  # noqa: S608 - as above
_DAYS = f"""
SELECT sum(minutes) FROM (
    SELECT minutes FROM blocks WHERE {_OF} AND start_us >= ? AND start_us < ? ORDER BY start_us LIMIT {{}}
) AS days
"""  # noqa: S608 - as above
_FIRST = f"SELECT sum(minutes), count(*) FROM {_QUARTERS.format('', 32)}"  # noqa: S608 - as above


def total(
    connection: Connection,
    symbol: str,
    interval: str,
    kinds: Sequence[Kind],
    selection: Selection,
    span: tuple[int, int],
    *,
    is_by_clock: bool,
) -> int | None:
    """Bars of ``interval`` that ``selection`` makes of stored bars of ``kinds`` and that begin in ``span``; None if they are too
    many to count. ``is_by_clock``: as `app.market.calendar.Calendar` says it of the interval.
    """
    if is_by_clock:
        return _by_clock(connection, symbol, interval, kinds, span)
    return _by_search(connection, symbol, interval, kinds, selection, span)


def start_of(
    connection: Connection,
    symbol: str,
    interval: str,
    kinds: Sequence[Kind],
    span: tuple[int, int],
    number: int,
    *,
    descending: bool,
) -> int | None:
    """When the bar of that ``number``, from 0, begins, of an interval that goes by the clock; None if there are fewer, or it is
    one of those that are too many to count.
    """
    if number >= COUNT_MAX:
        return None
    length_us, phase_us = clock_of(interval)
    bars, parameters = _bars(connection, symbol, interval, kinds, span, number, descending=descending)
    order = f"{bars} ORDER BY bar{' DESC' if descending else ''} LIMIT 1 OFFSET {number}"
    found = connection.execute(order, parameters).fetchone() if bars else None
    return None if found is None else int(found[0]) * length_us + phase_us


def _by_clock(connection: Connection, symbol: str, interval: str, kinds: Sequence[Kind], span: tuple[int, int]) -> int | None:
    if _are_surely_many(connection, symbol, interval, kinds, span):
        return None
    bars, parameters = _bars(connection, symbol, interval, kinds, span, COUNT_MAX)
    if not bars:
        return 0
    (found,) = connection.execute(f"SELECT count(*) FROM ({bars} LIMIT {COUNT_MAX + 1}) AS bars", parameters).fetchone()  # noqa: S608 - as above
    return None if found > COUNT_MAX else int(found)


def _are_surely_many(connection: Connection, symbol: str, interval: str, kinds: Sequence[Kind], span: tuple[int, int]) -> bool:
    """Whether the days of minutes, of which there are few, say that the bars are too many to count: none has more than its share
    of a day's minutes.
    """
    length_us = INTERVALS[interval] * SECOND_US
    first_us, end_us = -(-span[0] // _DAY_US) * _DAY_US, span[1] // _DAY_US * _DAY_US
    if length_us >= _DAY_US or end_us - first_us <= COUNT_MAX * length_us:
        return False
    # Twice as many as there are where no minute is lacking.
    statement = _DAYS.format(2 * COUNT_MAX * length_us // _DAY_US + 1)
    found = (
        connection.execute(statement, (symbol, source, "1d", first_us, end_us)).fetchone()[0]
        for stored, source, _ in kinds
        if stored == "1m"
    )
    return any((minutes or 0) * MINUTE_US > COUNT_MAX * length_us for minutes in found)


def _bars(
    connection: Connection,
    symbol: str,
    interval: str,
    kinds: Sequence[Kind],
    span: tuple[int, int],
    number: int,
    *,
    descending: bool = False,
) -> tuple[str, list[object]]:
    """Bars in SQL, as starts divided by their length, at least to that ``number``. Minutes count by the blocks that are over."""
    length_us, phase_us = clock_of(interval)
    # What begins from one edge of a bar to another.
    from_us, to_us = (phase_us - (phase_us - each) // length_us * length_us for each in span)
    texts, parameters = list[str](), list[object]()

    def read(table: str, stored: str, source: str, first_us: int, end_us: int) -> None:
        # So many rows are more bars than are counted, whatever they are.
        most = number * (length_us // (INTERVALS[stored] * SECOND_US)) + 1
        texts.append(f"{_STARTS.format(table, _OF, ' DESC' if descending else '', most)} AS part")
        parameters.extend((symbol, source, stored, first_us, end_us))

    def read_quarters(source: str, first_us: int, end_us: int) -> None:
        # A bar is in each of them, and in each of the parts of a full one.
        order, parts = " DESC" if descending else "", range(0, _QUARTER_US, length_us)
        quarters = _QUARTERS.format(order, number + 1)
        bars = " UNION ALL ".join(f"SELECT {after_us} AS after_us" for after_us in parts)
        texts.extend((_OF_FULL.format(quarters, order, number // len(parts) + 1, bars), _OF_OTHERS.format(quarters)))
        of = symbol, source, "15m", first_us, end_us
        parameters.extend((*of, *of, symbol, source, "1m"))

    for stored, source, newest_us in kinds:
        over_us = from_us
        block = next((each for each in _BLOCKS if length_us % (INTERVALS[each] * SECOND_US) == 0), None)
        if stored == "1m" and block is not None:
            over_us = max(from_us, min(to_us, newest_us - newest_us % (INTERVALS[block] * SECOND_US)))
            read("blocks", block, source, from_us, over_us)
        elif stored == "1m" and MINUTE_US < length_us < _QUARTER_US:
            first_us, over_us = from_us - from_us % -_QUARTER_US, min(to_us, newest_us) // _QUARTER_US * _QUARTER_US
            if first_us < over_us and _are_full(connection, (symbol, source, "15m", first_us, over_us)):
                read("candles", stored, source, from_us, first_us)
                read_quarters(source, first_us, over_us)
            else:
                over_us = from_us
        read("candles", stored, source, over_us, to_us)
    if not texts:
        return "", []
    # One source's bars of the interval itself are different ones.
    distinct = "" if len(texts) == 1 and kinds[0].interval == interval else "DISTINCT "
    bars = f"SELECT {distinct}(start_us - {phase_us}) / {length_us} AS bar FROM ({' UNION ALL '.join(texts)}) AS starts"  # noqa: S608 - as above
    return bars, parameters


def _are_full(connection: Connection, of: tuple[str, str, str, int, int]) -> bool:
    """Whether nearly all quarters lack no minute, as far as the first ones tell: each of the others costs a search."""
    minutes, quarters = connection.execute(_FIRST, of).fetchone()
    return bool(quarters) and int(minutes) >= (_QUARTER_MINUTES - 1) * quarters


def _by_search(
    connection: Connection, symbol: str, interval: str, kinds: Sequence[Kind], selection: Selection, span: tuple[int, int]
) -> int | None:
    """By searches for what begins behind each bar."""
    from_us = span[0] - (_DAY_US if is_of_days(interval) else 0)
    to_us = span[1] + (INTERVALS[interval] + DAY_S) * SECOND_US
    heads: dict[Kind, int] = {}
    ahead = {kind: _Ahead(connection, (symbol, kind.source, kind.interval), to_us) for kind in kinds}
    searches = found = 0

    def search(kind: Kind, at_us: int) -> None:
        nonlocal searches
        searches += 1
        start_us = ahead[kind].first(at_us)
        if start_us is None:
            heads.pop(kind, None)
        else:
            heads[kind] = start_us

    for kind in kinds:
        search(kind, from_us)
    done_us = from_us
    while heads and searches < _SEARCHES_MAX:
        kind = min(heads, key=heads.__getitem__)
        start_us = heads[kind]
        if start_us < done_us:
            search(kind, done_us)
            continue
        edges = selection.edges_of(start_us, kind.interval)
        if edges is None:
            # From a minute outside sessions to the next session.
            search(kind, start_us + 1 if is_of_days(kind.interval) else max(start_us + 1, selection.next_inside(start_us)))
            continue
        if edges.start_us >= span[1]:
            break
        found += edges.start_us >= span[0]
        done_us = edges.end_us
    return None if searches >= _SEARCHES_MAX else found


class _Ahead:
    """Starts of stored bars, read some ahead while most of them are asked for: a database may be far away."""

    def __init__(self, connection: Connection, of: tuple[str, str, str], to_us: int) -> None:
        self._connection, self._of, self._to_us = connection, of, to_us
        self._starts, self._place, self._at_once = list[int](), 0, 1

    def first(self, at_us: int) -> int | None:
        """The first one from ``at_us`` on, which is later each time; None if there is none."""
        before = self._place
        self._place = bisect_left(self._starts, at_us, before)
        if self._place == len(self._starts):
            wasted = len(self._starts) - before - 1
            self._at_once = min(2 * self._at_once, _AHEAD_MAX) if 2 * wasted <= len(self._starts) else 1
            rows = self._connection.execute(_NEXT + str(self._at_once), (*self._of, at_us, self._to_us)).fetchall()
            self._starts, self._place = [start_us for (start_us,) in rows], 0
        return self._starts[self._place] if self._starts else None
