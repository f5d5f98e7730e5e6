"""Which kinds of bars there are of symbols, and what else a page of bars must know first.

One search for each kind: without it all bars of all kinds would be passed by.
"""

from typing import NamedTuple

from app.market.connection import Connection

_NEXT = "(SELECT min({next}) FROM candles WHERE symbol = known.symbol{more})"
_KINDS = f"""
WITH RECURSIVE intervals (symbol, interval) AS (
    SELECT symbol, {_NEXT.format(next="interval", more="")} FROM symbols AS known WHERE symbol BETWEEN ? AND ?
    UNION ALL
    SELECT symbol, {_NEXT.format(next="interval", more=" AND interval > known.interval")}
    FROM intervals AS known WHERE interval IS NOT NULL
), kinds (symbol, interval, source) AS (
    SELECT symbol, interval, {_NEXT.format(next="source", more=" AND interval = known.interval")}
    FROM intervals AS known WHERE interval IS NOT NULL
    UNION ALL
    SELECT symbol, interval, {_NEXT.format(next="source", more=" AND interval = known.interval AND source > known.source")}
    FROM kinds AS known WHERE source IS NOT NULL
)
SELECT {{}}, known.interval, known.source, (
    SELECT max(start_us) FROM candles WHERE symbol = known.symbol AND interval = known.interval AND source = known.source
) FROM {{}} ORDER BY known.symbol, known.interval, known.source
"""  # noqa: S608 - words of ours
_OF_MANY = _KINDS.format("known.symbol", "kinds AS known WHERE known.source IS NOT NULL")
_OF_ONE = _KINDS.format(
    "market, (SELECT value FROM marks WHERE name = 'calendar'), (SELECT max(to_us) FROM gaps WHERE symbol = symbols.symbol)",
    "symbols LEFT JOIN kinds AS known ON known.symbol = symbols.symbol AND known.source IS NOT NULL WHERE symbols.symbol = ?",
)


class Kind(NamedTuple):
    """Of bars. ``newest_us``: when the newest begins."""

    interval: str
    source: str
    newest_us: int


class Stored(NamedTuple):
    """What there is of a symbol. ``calendar_version``: as `app.market.closes.version_of`; ``gaps_until_us``: its last gap ends
    then, 0 without any.
    """

    market: str
    calendar_version: int
    gaps_until_us: int
    kinds: list[Kind]


def of_symbol(connection: Connection, symbol: str) -> Stored | None:
    """By one statement; None for an unknown symbol."""
    rows = connection.execute(_OF_ONE, (symbol, symbol, symbol)).fetchall()
    if not rows:
        return None
    market, version, gaps_until_us = rows[0][:3]
    return Stored(market, version or 0, gaps_until_us or 0, [Kind(*row[3:]) for row in rows if row[3] is not None])


def of_symbols(connection: Connection, first: str, last: str) -> list[tuple[str, Kind]]:
    """Of all from ``first`` to ``last``, by one statement; symbols beside their kinds."""
    return [(symbol, Kind(*kind)) for symbol, *kind in connection.execute(_OF_MANY, (first, last))]
