"""Quarters, hours and days of minutes, as they are kept; `app.market.rows` reads longer bars from them.

A day of minutes is 1,440 rows, and a page of a hundred months would be millions. A block is there if it is over: the newest
minute of its source is behind it. It is made anew whenever one of its minutes changes, so it is the sum of what is there.
"""

from collections.abc import Iterable
from itertools import pairwise

from app.domain.candles import SECOND_US
from app.domain.intervals import INTERVALS
from app.domain.prices import plain
from app.market.connection import Connection
from app.market.selection import Row, joined

_COLUMNS = "open, high, low, close, volume, notional, trades, rv, covered_s, is_partial, revision"
BARS_OF = "symbol = ? AND interval = ? AND source = ?"
"""Of a symbol, an interval and a source."""
_SPAN = f"{BARS_OF} AND start_us >= ? AND start_us < ? ORDER BY start_us"
BARS = f"SELECT start_us, interval, source, {_COLUMNS}, 1 FROM candles WHERE {_SPAN}"  # noqa: S608 - columns of ours
"""Those of a symbol, an interval and a source in a span, as `Row` has them."""
BLOCKS = f"SELECT start_us, '1m', source, {_COLUMNS}, minutes FROM blocks WHERE {_SPAN}"  # noqa: S608 - as above
"""The same of blocks, as the minutes that they stand for."""
_WRITTEN = ("symbol", "interval", "source", "start_us", *_COLUMNS.split(", "), "minutes")
_WRITE = f"""
INSERT INTO blocks ({", ".join(_WRITTEN)}) VALUES ({", ".join("?" * len(_WRITTEN))})
ON CONFLICT (symbol, source, interval, start_us) DO UPDATE SET {", ".join(f"{each} = excluded.{each}" for each in _WRITTEN[4:])}
"""  # noqa: S608 - as above
_REMOVE_AFTER = f"DELETE FROM blocks WHERE {BARS_OF} AND start_us > ?"  # noqa: S608 - as above
_REMOVE = f"DELETE FROM blocks WHERE {BARS_OF} AND start_us = ?"  # noqa: S608 - as above

LEVELS = ("1d", "1h", "15m", "1m")
"""Of blocks, the longest first, and of what they are made of."""
LENGTHS_US = {each: INTERVALS[each] * SECOND_US for each in LEVELS}


def refresh(
    connection: Connection, symbol: str, source: str, touched: Iterable[int], before_us: int | None, now_us: int | None
) -> None:
    """Make the blocks anew of minutes that were ``touched``, and those that are over now. The newest minute of ``source`` began
    ``before_us``, and now begins ``now_us``.
    """
    starts = {*touched} if before_us is None else {*touched, before_us}
    if now_us is not None and now_us >= max(starts) and min(starts) >= now_us - now_us % LENGTHS_US[LEVELS[-2]]:
        # All is in the shortest block of the newest minute, and that is not over. So it is mostly.
        return
    for below, level in pairwise(reversed(LEVELS)):
        length_us, statement = LENGTHS_US[level], BARS if below == "1m" else BLOCKS
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
            connection.execute(_WRITE, (symbol, level, source, start_us, *block_of(rows)))


def block_of(rows: list[Row]) -> tuple[object, ...]:
    """What a block of ``rows`` is, which are at least one: a `Row` from its opening price on."""
    one = joined(rows)
    numbers = (None if each is None else plain(each) for each in one[:6])
    is_partial, minutes = max(each.is_partial for each in rows), sum(each.minutes for each in rows)
    return *numbers, one.trades, one.rv, one.covered_s, is_partial, one.revision, minutes
