"""Gaps and what was heard, as they are stored. Plain functions on a connection, whose transaction is the caller's."""

from collections.abc import Iterable
from itertools import pairwise

import msgspec

from app.domain.candles import MINUTE_US
from app.market.connection import Connection
from app.market.marks import Missing
from app.market.protocol import BEGAN, Gap, Heard, Span
from app.market.spans import filled, uncovered

COLUMNS = "venue, symbol, from_us, to_us, found_by, missing, filled_us"
# Gaps of one venue do not overlap, so of those that begin before the span only the last one may touch it.
_TOUCHING = f"""
WITH RECURSIVE venues (name) AS (
    SELECT min(venue) FROM gaps WHERE symbol = ?
    UNION ALL SELECT (SELECT min(venue) FROM gaps WHERE symbol = ? AND venue > name) FROM venues WHERE name IS NOT NULL
)
SELECT {COLUMNS} FROM venues CROSS JOIN gaps WHERE symbol = ? AND venue = name AND from_us >= coalesce(
    (SELECT max(from_us) FROM gaps WHERE symbol = ? AND venue = name AND from_us <= ?), 0
) AND from_us < ? AND +to_us > ? ORDER BY from_us, venue
"""  # noqa: S608 - columns of ours
_PUT = f"""
INSERT INTO gaps ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (symbol, venue, from_us) DO UPDATE SET
to_us = excluded.to_us, found_by = excluded.found_by, missing = excluded.missing, filled_us = excluded.filled_us
"""  # noqa: S608 - as above
_LACKING = f"SELECT {COLUMNS} FROM gaps WHERE symbol = ? AND filled_us IS NULL AND found_by <> ? ORDER BY from_us, venue"  # noqa: S608 - as above
_IS_HEARD = "SELECT 1 FROM heard WHERE venue = ? AND symbol = ?"
_BEGIN = "INSERT INTO heard (at_us, last_id, last_us, missing, venue, symbol) VALUES (?, ?, ?, ?, ?, ?)"
_HEAR = "UPDATE heard SET at_us = ?, last_id = ?, last_us = ?, missing = ? WHERE venue = ? AND symbol = ? AND at_us <= ?"
_HEARD = "SELECT venue, at_us, last_id, last_us, missing FROM heard WHERE symbol = ? ORDER BY venue"
_missing = msgspec.json.Decoder(tuple[Missing, ...]).decode
_encode = msgspec.json.Encoder().encode


def touching(connection: Connection, symbol: str, from_us: int, to_us: int) -> list[Gap]:
    """Gaps of ``symbol`` that touch the span, by their beginning."""
    parameters = symbol, symbol, symbol, symbol, from_us, to_us, from_us
    return [Gap(*row) for row in connection.execute(_TOUCHING, parameters)]


def record(connection: Connection, gaps: Iterable[Gap]) -> None:
    """Each, but for the parts that are known: they may have been filled. One that is lacking is cut where another begins or ends
    within it, so that the same gaps are the same rows in whatever order they are told.
    """
    for gap in gaps:
        there = [each for each in touching(connection, gap.symbol, gap.from_us, gap.to_us) if each.venue == gap.venue]
        known = [(each.from_us, each.to_us) for each in there]
        missing = None if known else gap.missing
        new = [gap._replace(from_us=start, to_us=end, missing=missing) for start, end in uncovered(gap.from_us, gap.to_us, known)]
        for each in there:
            within = [us for us in (gap.from_us, gap.to_us) if each.from_us < us < each.to_us]
            if each.filled_us is None and (within or each.missing is None):
                for span in pairwise((each.from_us, *within, each.to_us)):
                    missing = gap.missing if span == (gap.from_us, gap.to_us) else None
                    new.append(each._replace(from_us=span[0], to_us=span[1], missing=missing))
        if new:
            connection.executemany(_PUT, new)


def fill(connection: Connection, spans: Iterable[Span], now_us: int) -> None:
    """Of gaps, the parts that lie in ``spans``."""
    for span in spans:
        for gap in touching(connection, span.symbol, span.from_us, span.to_us):
            if gap.venue == span.venue and gap.filled_us is None:
                connection.executemany(_PUT, filled(gap, span.from_us, span.to_us, now_us))


def hear(connection: Connection, heard: Iterable[Heard], known: set[tuple[str, str]]) -> None:
    """The newest counts. Of the minute in which a source is heard for the first time nobody knows the beginning. ``known`` are
    venues and symbols that are there, as far as somebody looked.
    """
    rows = []
    for venue, symbol, at_us, last_id, last_us, missing in heard:
        row = at_us, last_id, last_us, _encode(missing).decode() if missing else "[]", venue, symbol
        if (venue, symbol) not in known:
            known.add((venue, symbol))
            if connection.execute(_IS_HEARD, (venue, symbol)).fetchone() is None:
                record(connection, [Gap(venue, symbol, (at_us - 1) // MINUTE_US * MINUTE_US, at_us, BEGAN)])
                connection.execute(_BEGIN, row)
                continue
        rows.append((*row, at_us))
    if rows:
        connection.executemany(_HEAR, rows)


def heard_of(connection: Connection, symbol: str) -> tuple[Heard, ...]:
    """Its sources."""
    rows = connection.execute(_HEARD, (symbol,)).fetchall()
    return tuple(
        Heard(venue, symbol, at_us, last_id, last_us, _missing(missing)) for venue, at_us, last_id, last_us, missing in rows
    )


def lacking(connection: Connection, symbol: str) -> tuple[Gap, ...]:
    """Gaps of ``symbol`` in which trades were lost and have not come since."""
    return tuple(Gap(*row) for row in connection.execute(_LACKING, (symbol, BEGAN)).fetchall())
