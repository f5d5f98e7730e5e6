"""Trades written to SQLite."""

import sqlite3
from functools import lru_cache
from itertools import chain

from app.domain.prices import plain
from app.domain.trades import Trade
from app.market.trades import COLUMNS, Series, written_ones

AT_ONCE = 100
"""Rows of one statement: one by one they cost a fifth more."""
_WIDTH = 10
"""Values of one."""


def insert(connection: sqlite3.Connection, series: Series, cancelled: set[tuple[int, str]], *, which: bool) -> list[Trade] | None:
    """Write trades that are not there, by their series; the new ones. Unless asked ``which`` these are, which costs more, None
    where they are not all of them: the transaction is then to be begun again.
    """
    # One list of all values: to keep a tuple of each row costs more.
    values: list[int | str | None] = []
    for number, trades in series.items():
        for trade in trades:
            key, trade_id = trade.key, trade.trade_id
            values += (
                number, key, trade.time_us, None if key.lstrip("0") == trade_id else trade_id, plain(trade.price),
                plain(trade.size), trade.side, trade.source, trade.closing, (number, key) in cancelled,
            )  # fmt: skip
    written: set[tuple[int, str]] = set()
    for first in range(0, len(values), AT_ONCE * _WIDTH):
        part = values[first : first + AT_ONCE * _WIDTH]
        cursor = connection.execute(_insert(len(part) // _WIDTH, which=which), part)
        if which:
            written.update(cursor.fetchall())
        elif cursor.rowcount * _WIDTH < len(part):
            return None
    if not which:
        return list(chain.from_iterable(series.values()))
    return written_ones(series, written)


@lru_cache(2 * AT_ONCE)
def _insert(rows: int, *, which: bool) -> str:
    values = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * rows)
    returning = " RETURNING series, trade_key" if which else ""
    return f"INSERT OR IGNORE INTO trades (series, {COLUMNS}, cancelled) VALUES {values}{returning}"  # noqa: S608 - as above
