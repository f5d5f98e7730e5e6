"""What there is of each symbol, of a whole page by a handful of statements. Plain functions on a connection, whose transaction is
the caller's.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, localcontext

from app.domain.candles import SECOND_US
from app.domain.intervals import DAY_S, INTERVALS
from app.domain.prices import EXACT
from app.market.connection import Connection
from app.market.kinds import Kind, of_symbols
from app.market.protocol import Details, Symbol
from app.market.selection import place_of

_DAY_US = DAY_S * SECOND_US
_SYMBOLS = """
SELECT symbol, name, market, currency, price_scale, source, first_seen_us FROM symbols WHERE symbol > ? ORDER BY symbol LIMIT ?
"""
_LAST_TRADES = """
SELECT symbol, max(time_us) FROM (
    SELECT symbol, (
        SELECT time_us FROM trades INDEXED BY trades_by_time WHERE series = known.series AND NOT cancelled AND size <> '0'
        ORDER BY time_us DESC, trade_key DESC LIMIT 1
    ) AS time_us FROM series AS known WHERE symbol BETWEEN ? AND ?
) AS last GROUP BY symbol
"""
_VOLUMES = """
WITH part (symbol, interval, source, from_us, to_us) AS (VALUES {})
SELECT symbol, (
    SELECT group_concat(CAST(volume AS text), ' ') FROM {} WHERE symbol = part.symbol AND interval = part.interval
    AND source = part.source AND start_us >= part.from_us AND start_us < part.to_us
) FROM part
"""  # a join may read all bars; and no sum, since SQLite has no exact one
_LEVELS = (("1h", "blocks"), ("15m", "blocks"), ("1m", "candles"))
_NOTHING = ("", "", "", 0, 0)

_Part = tuple[str, str, str, int, int]
"""Symbol, interval and source, and from when to when their bars begin."""


def details(connection: Connection, limit: int, after: str, order: Sequence[str], now_us: int) -> list[Details]:
    """As `app.market.protocol.Reader.symbols`."""
    page = [Symbol(*row) for row in connection.execute(_SYMBOLS, (after, limit))]
    if not page:
        return []
    span = page[0].symbol, page[-1].symbol
    kinds: dict[str, list[Kind]] = {each.symbol: [] for each in page}
    for symbol, kind in of_symbols(connection, *span):
        kinds[symbol].append(kind)
    last = dict(connection.execute(_LAST_TRADES, span))
    volumes = _volumes(connection, kinds, order, now_us - _DAY_US + 1)
    return [
        Details(each, last.get(each.symbol), volumes.get(each.symbol), tuple(kind[:2] for kind in kinds[each.symbol]))
        for each in page
    ]


def _volumes(connection: Connection, kinds: dict[str, list[Kind]], order: Sequence[str], from_us: int) -> dict[str, Decimal]:
    """Of each symbol, from then on: of its minutes, by the best source that has some; else of a day's bar that began."""
    parts: dict[str, list[_Part]] = {"blocks": [], "candles": []}
    for symbol, some in kinds.items():
        newer = [kind for kind in some if kind.interval in ("1m", "1d") and kind.newest_us >= from_us]
        best = min(newer, key=lambda kind: (kind.interval != "1m", *place_of(kind.source, order)), default=None)
        if best is None:
            continue
        interval, source, newest_us = best
        if interval == "1d":
            parts["candles"].append((symbol, interval, source, newest_us, newest_us + 1))
            continue
        for place, level, first_us, end_us in _blocks(from_us, newest_us + 1):
            parts[place].append((symbol, level, source, first_us, end_us))
    found: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for place, some_parts in parts.items():
            for symbol, volumes in _read(connection, place, some_parts):
                for each in (volumes or "").split():
                    found[symbol] = found.get(symbol, Decimal(0)) + Decimal(each)
    return found


def _blocks(from_us: int, end_us: int, place: int = 0) -> Iterator[tuple[str, str, int, int]]:
    """What makes up minutes from then to then, the longest first: table, interval, first start and end. Behind the last minute no
    block is over.
    """
    level, table = _LEVELS[place]
    if level == "1m":
        if from_us < end_us:
            yield table, level, from_us, end_us
        return
    length_us = INTERVALS[level] * SECOND_US
    first_us, last_us = -(-from_us // length_us) * length_us, end_us - end_us % length_us
    if first_us >= last_us:
        yield from _blocks(from_us, end_us, place + 1)
        return
    yield table, level, first_us, last_us
    yield from _blocks(from_us, first_us, place + 1)
    yield from _blocks(last_us, end_us, place + 1)


def _read(connection: Connection, table: str, parts: Sequence[_Part]) -> Iterable[tuple[str, str | None]]:
    """Symbols and volumes of bars in ``parts``."""
    if not parts:
        return ()
    # Of few lengths, so that a database has few plans to make.
    rows = [*parts, *[_NOTHING] * ((1 << (len(parts) - 1).bit_length()) - len(parts))]
    statement = _VOLUMES.format(", ".join(["(?, ?, ?, ?, ?)"] * len(rows)), table)
    return connection.execute(statement, [each for row in rows for each in row])
