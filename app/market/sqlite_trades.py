"""Trades in SQLite. Plain functions on a connection, whose transaction is the caller's."""

import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import chain

from app.domain.candles import CLOSING_US, MINUTE_US, minute_of
from app.domain.prices import plain
from app.domain.trades import Side, Trade
from app.market.protocol import Cancel, Minute

AT_ONCE = 100
"""Rows of one statement: one by one they cost a fifth more."""
_WIDTH = 10
"""Values of one."""
COLUMNS = "trade_key, time_us, trade_id, price, size, side, source, closing"
_SERIES = "SELECT series FROM series WHERE symbol = ? AND venue = ?"
_CANCEL = "UPDATE trades SET cancelled = 1 WHERE series = ? AND trade_key = ? AND NOT cancelled RETURNING time_us, closing"
_OF_SPAN = f"""
SELECT {COLUMNS} FROM trades WHERE series = ? AND time_us >= ? AND time_us < ? AND NOT cancelled AND size <> '0'
"""  # noqa: S608 - columns of ours

Names = dict[tuple[str, str], int]
"""Numbers of series, by venue and symbol."""
Series = dict[int, list[Trade]]
"""Trades by the number of their series."""
Row = tuple[str, int, str | None, str, str, Side, str, int]
"""As `COLUMNS` has it."""


def series_of(connection: sqlite3.Connection, names: Names, venue: str, symbol: str, now_us: int) -> int:
    """The number of a symbol at a venue. It is made, with the symbol, if there is none; ``names`` remembers it."""
    found = names.get((venue, symbol))
    if found is None:
        row = connection.execute(_SERIES, (symbol, venue)).fetchone()
        if row is None:
            know_symbol(connection, symbol, now_us)
            row = connection.execute(
                "INSERT INTO series (venue, symbol) VALUES (?, ?) RETURNING series", (venue, symbol)
            ).fetchone()
        found = names[venue, symbol] = row[0]
    return found


def know_symbol(connection: sqlite3.Connection, symbol: str, now_us: int) -> None:
    """That it is there, if it was not."""
    connection.execute("INSERT OR IGNORE INTO symbols VALUES (?, '', '', '', NULL, '', ?)", (symbol, now_us))


def by_series(connection: sqlite3.Connection, names: Names, trades: Iterable[Trade], now_us: int) -> Series:
    """``trades`` by the numbers of their series: pages of one are written together."""
    found: Series = {}
    for trade in trades:
        number = names.get((trade.venue, trade.symbol)) or series_of(connection, names, trade.venue, trade.symbol, now_us)
        if number in found:
            found[number].append(trade)
        else:
            found[number] = [trade]
    return found


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
    new = []
    for number, trades in series.items():
        for trade in trades:
            if (number, trade.key) in written:
                written.remove((number, trade.key))
                new.append(trade)
    return new


@lru_cache(2 * AT_ONCE)
def _insert(rows: int, *, which: bool) -> str:
    values = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * rows)
    returning = " RETURNING series, trade_key" if which else ""
    return f"INSERT OR IGNORE INTO trades (series, {COLUMNS}, cancelled) VALUES {values}{returning}"  # noqa: S608 - as above


def cancelled_among(connection: sqlite3.Connection, series: Series) -> set[tuple[int, str]]:
    """Series and keys of trades that were cancelled before they came."""
    if connection.execute("SELECT 1 FROM cancellations LIMIT 1").fetchone() is None:
        return set()
    keys = {number: [each.key for each in trades] for number, trades in series.items()}
    statement = "SELECT series, trade_key FROM cancellations WHERE series = ? AND trade_key BETWEEN ? AND ?"
    return {row for number, some in keys.items() for row in connection.execute(statement, (number, min(some), max(some)))}


def cancel(
    connection: sqlite3.Connection, names: Names, cancels: Iterable[Cancel], closes: Mapping[str, Sequence[int]], now_us: int
) -> set[Minute]:
    """Mark trades as cancelled, also ones that are still to come; the minutes whose bars had them."""
    minutes = set()
    for each in cancels:
        number = series_of(connection, names, each.venue, each.symbol, now_us)
        connection.execute("INSERT OR IGNORE INTO cancellations VALUES (?, ?, ?)", (number, each.key, now_us))
        for time_us, closing in connection.execute(_CANCEL, (number, each.key)).fetchall():
            start_us = minute_of(time_us, closes.get(each.symbol, ()), closing=bool(closing))
            minutes.add(Minute(each.symbol, start_us))
    return minutes


def trade_of(venue: str, symbol: str, row: Row) -> Trade:
    """The trade that a row is."""
    key, time_us, trade_id, price, size, side, source, closing = row
    if trade_id is None:
        trade_id = key.lstrip("0")
    return Trade(venue, symbol, key, time_us, Decimal(price), Decimal(size), trade_id, side, source, bool(closing))


def trades_of(connection: sqlite3.Connection, minute: Minute, closes: Sequence[int]) -> list[Trade]:
    """All that count in a minute's bar, in order."""
    symbol, start_us = minute
    end_us = start_us + MINUTE_US
    place = bisect_left(closes, end_us)
    if closes[place : place + 1] == [end_us]:
        end_us += CLOSING_US
    found = []
    for number, venue in series_by_venue(connection, symbol):
        for row in connection.execute(_OF_SPAN, (number, start_us, end_us)):
            if minute_of(row[1], closes, closing=bool(row[7])) == start_us:
                found.append(trade_of(venue, symbol, row))
    found.sort(key=lambda each: each.order)
    return found


def series_by_venue(connection: sqlite3.Connection, symbol: str) -> list[tuple[int, str]]:
    """The series of a symbol, in the order of their venues."""
    return connection.execute("SELECT series, venue FROM series WHERE symbol = ? ORDER BY venue", (symbol,)).fetchall()
