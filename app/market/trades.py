"""Trades, as they are stored. Plain functions on a connection, whose transaction is the caller's."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter

from app.domain.candles import CLOSING_US, MINUTE_US, minute_of
from app.domain.trades import Side, Trade
from app.market.connection import Connection
from app.market.protocol import Cancel, Minute

COLUMNS = "trade_key, time_us, trade_id, price, size, side, source, closing"
_SERIES = "SELECT series FROM series WHERE symbol = ? AND venue = ?"
_CANCEL = "UPDATE trades SET cancelled = TRUE WHERE series = ? AND trade_key = ? AND NOT cancelled RETURNING time_us, closing"
_OF_SPAN = f"""
SELECT {COLUMNS} FROM trades WHERE series = ? AND time_us >= ? AND time_us < ? AND NOT cancelled AND size <> '0'
"""  # noqa: S608 - columns of ours
_LAST = f"""
SELECT {COLUMNS} FROM trades INDEXED BY trades_by_time WHERE series = ? AND time_us < ? AND NOT cancelled AND size <> '0'
ORDER BY time_us DESC, trade_key DESC LIMIT ?
"""  # noqa: S608 - as above
_order = attrgetter("time_us", "venue", "key")

Names = dict[tuple[str, str], int]
"""Numbers of series, by venue and symbol."""
Series = dict[int, list[Trade]]
"""Trades by the number of their series."""
Row = tuple[str, int, str | None, str, str, Side, str, int]
"""As `COLUMNS` has it."""


def series_of(connection: Connection, names: Names, venue: str, symbol: str, now_us: int) -> int:
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


def know_symbol(connection: Connection, symbol: str, now_us: int) -> None:
    """That it is there, if it was not."""
    connection.execute("INSERT INTO symbols VALUES (?, '', '', '', NULL, '', ?) ON CONFLICT DO NOTHING", (symbol, now_us))


def by_series(connection: Connection, names: Names, trades: Iterable[Trade], now_us: int) -> Series:
    """``trades`` by the numbers of their series: pages of one are written together."""
    found: Series = {}
    for trade in trades:
        number = names.get((trade.venue, trade.symbol)) or series_of(connection, names, trade.venue, trade.symbol, now_us)
        if number in found:
            found[number].append(trade)
        else:
            found[number] = [trade]
    return found


def cancelled_among(connection: Connection, series: Series) -> set[tuple[int, str]]:
    """Series and keys of trades that were cancelled before they came."""
    if connection.execute("SELECT 1 FROM cancellations LIMIT 1").fetchone() is None:
        return set()
    keys = {number: [each.key for each in trades] for number, trades in series.items()}
    statement = "SELECT series, trade_key FROM cancellations WHERE series = ? AND trade_key BETWEEN ? AND ?"
    return {row for number, some in keys.items() for row in connection.execute(statement, (number, min(some), max(some)))}


def cancel(
    connection: Connection, names: Names, cancels: Iterable[Cancel], closes: Mapping[str, Sequence[int]], now_us: int
) -> set[Minute]:
    """Mark trades as cancelled, also ones that are still to come; the minutes whose bars had them."""
    minutes = set()
    for each in cancels:
        number = series_of(connection, names, each.venue, each.symbol, now_us)
        connection.execute("INSERT INTO cancellations VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (number, each.key, now_us))
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


def trades_of(connection: Connection, minute: Minute, closes: Sequence[int]) -> list[Trade]:
    """All that count in a minute's bar, in order."""
    symbol, start_us = minute
    end_us = start_us + MINUTE_US
    place = bisect_left(closes, end_us)
    if closes[place : place + 1] == [end_us]:
        end_us += CLOSING_US
    of_span = trades_of_span(connection, symbol, start_us, end_us)
    return [each for each in of_span if minute_of(each.time_us, closes, closing=each.closing) == start_us]


def trades_of_span(connection: Connection, symbol: str, from_us: int, before_us: int) -> list[Trade]:
    """All that count from the one time to before the other, in order."""
    found = [
        trade_of(venue, symbol, row)
        for number, venue in series_by_venue(connection, symbol)
        for row in connection.execute(_OF_SPAN, (number, from_us, before_us))
    ]
    return sorted(found, key=_order)


def last_before(connection: Connection, symbol: str, before_us: int, count: int) -> list[Trade]:
    """The last ``count`` that count before then, in order."""
    found = [
        trade_of(venue, symbol, row)
        for number, venue in series_by_venue(connection, symbol)
        for row in connection.execute(_LAST, (number, before_us, count))
    ]
    return sorted(found, key=_order)[-count:]


def written_ones(series: Series, written: set[tuple[int, str]]) -> list[Trade]:
    """Those of ``series`` that were ``written``, by their series and key; of equal ones the first. ``written`` is used up."""
    new = []
    for number, trades in series.items():
        for trade in trades:
            if (number, trade.key) in written:
                written.remove((number, trade.key))
                new.append(trade)
    return new


def series_by_venue(connection: Connection, symbol: str) -> list[tuple[int, str]]:
    """The series of a symbol, in the order of their venues."""
    return connection.execute("SELECT series, venue FROM series WHERE symbol = ? ORDER BY venue", (symbol,)).fetchall()
