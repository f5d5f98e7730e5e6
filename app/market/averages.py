"""Prices of providers and their moving averages, as they are stored. Plain functions on a connection, whose transaction is the
caller's.

A price changes the average that ends with it and those of the prices behind it that reach back to it, so whatever order prices
come in, the same is stored; what tells of their arrival, ``revision`` and ``updated_at_us``, aside.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from decimal import Decimal

from app.domain.averages import WINDOW, Average, Price, mean
from app.domain.prices import plain
from app.market.connection import Connection
from app.market.trades import know_symbol

_OF = "SELECT time_us, price, told_us, revision FROM prices WHERE symbol = ? AND provider = ? AND currency = ? AND time_us "
_BEFORE = f"{_OF} < ? ORDER BY time_us DESC LIMIT {WINDOW - 1}"
_FROM = f"{_OF} >= ? ORDER BY time_us LIMIT ?"
_PUT_PRICE = """
INSERT INTO prices VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (symbol, provider, currency, time_us) DO UPDATE SET
price = excluded.price, told_us = excluded.told_us, revision = excluded.revision, updated_at_us = excluded.updated_at_us
"""
_PUT_AVERAGE = """
INSERT INTO averages VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?)
ON CONFLICT (symbol, provider, currency, window_prices, time_us) DO UPDATE SET
average = excluded.average, prices = excluded.prices, first_us = excluded.first_us, revision = averages.revision + 1,
updated_at_us = excluded.updated_at_us
"""
_AVERAGES = """
SELECT symbol, provider, currency, time_us, average, prices, first_us FROM averages WHERE symbol = ? AND window_prices = ?{}
ORDER BY time_us DESC, provider, currency LIMIT ?
"""


def put(connection: Connection, prices: Sequence[Price], now_us: int) -> None:
    """Write ``prices`` that are not there yet, or count in place of those that are, and the averages that they change."""
    for symbol in dict.fromkeys(each.symbol for each in prices):
        know_symbol(connection, symbol, now_us)
    series: dict[tuple[str, str, str], dict[int, tuple[int, Decimal]]] = {}
    for each in prices:
        told = series.setdefault((each.symbol, each.provider, each.currency), {})
        new = each.told_us, each.price
        told[each.time_us] = max(new, told.get(each.time_us, new))
    for of, told in series.items():
        times_us = sorted(told)
        while times_us:
            times_us = times_us[_put(connection, of, told, times_us, now_us) :]


def _put(
    connection: Connection, of: tuple[str, str, str], told: Mapping[int, tuple[int, Decimal]], times_us: list[int], now_us: int
) -> int:
    """Write those of the first ``times_us`` around which one look shows all that is there; how many these are."""
    most = 2 * len(times_us) + WINDOW
    before = connection.execute(_BEFORE, (*of, times_us[0])).fetchall()
    after = connection.execute(_FROM, (*of, times_us[0], most)).fetchall()
    if len(after) == most:
        # All averages that reach back to a price are behind it.
        times_us = times_us[: bisect_right(times_us, after[-WINDOW][0])]
    rows = {time_us: (told_us, Decimal(price), revision) for time_us, price, told_us, revision in (*before, *after)}
    written, changed = [], []
    for time_us in times_us:
        told_us, price = told[time_us]
        known_us, known, revision = rows.get(time_us, (-1, None, 0))
        if known is not None and (known_us, known) >= (told_us, price):
            continue
        if price != known:
            changed.append(time_us)
            revision += 1
        rows[time_us] = told_us, price, revision
        written.append((*of, time_us, plain(price), told_us, revision, now_us))
    connection.executemany(_PUT_PRICE, written)
    order = sorted(rows)
    lasts = {place for time_us in changed for place in range(bisect_left(order, time_us), len(order))[:WINDOW]}
    connection.executemany(
        _PUT_AVERAGE, [(*of, *_row(order[max(0, last + 1 - WINDOW) : last + 1], rows), now_us) for last in sorted(lasts)]
    )
    return len(times_us)


def _row(window_us: Sequence[int], rows: Mapping[int, tuple[int, Decimal, int]]) -> tuple[int, int, str, int, int]:
    """Of the average of the prices of these times."""
    return WINDOW, window_us[-1], plain(mean([rows[each][1] for each in window_us])), len(window_us), window_us[0]


def averages(connection: Connection, symbol: str, limit: int, provider: str = "") -> list[Average]:
    """As `app.market.protocol.Reader.averages`."""
    statement, of = _AVERAGES.format(" AND provider = ?" if provider else ""), (provider,) if provider else ()
    rows = connection.execute(statement, (symbol, WINDOW, *of, limit))
    return [Average._make(each)._replace(average=Decimal(each[4])) for each in rows.fetchall()]
