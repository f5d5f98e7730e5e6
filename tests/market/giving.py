"""Trades and bars for a market store."""

from collections.abc import Iterable, Sequence
from datetime import date

from app.domain.prices import exact
from app.domain.trades import Trade, trade_key
from app.market.protocol import Export, GivenBar, Session
from tests.market.places import DAY_US, MINUTE_US, NOON_US


def trade(
    number: int,
    at_us: int = NOON_US,
    price: str = "10",
    size: str = "1",
    *,
    symbol: str = "A",
    venue: str = "V",
    closing: bool = False,
) -> Trade:
    """That of an id."""
    trade_id = str(number)
    return Trade(venue, symbol, trade_key(trade_id), at_us, exact(price), exact(size), trade_id, "buy", "feed", closing)


def bar(start_us: int, close: str = "10", volume: str = "1", *, is_partial: bool = False) -> GivenBar:
    """One whose prices are all the same."""
    price = exact(close)
    return GivenBar(start_us, price, price, price, price, exact(volume), is_partial=is_partial)


def export(source: str, starts: Iterable[int], close: str = "10", interval: str = "1m", symbol: str = "A") -> Export:
    """Bars that begin then."""
    return Export(symbol, interval, source, [bar(each, close) for each in starts])


def minutes(first: int, last: int) -> range:
    """Starts of minutes after noon, the last one included."""
    return range(NOON_US + first * MINUTE_US, NOON_US + (last + 1) * MINUTE_US, MINUTE_US)


def sessions(first: date, lengths_min: Sequence[int | None], opens_min: int = 870) -> list[Session]:
    """One of so many minutes on each day from ``first`` on, which opens at that minute of UTC; None: the day has none."""
    found = []
    for number, length in enumerate(lengths_min):
        day = date.fromordinal(first.toordinal() + number)
        opens_us = (day.toordinal() - date(1970, 1, 1).toordinal()) * DAY_US + opens_min * MINUTE_US
        if length is not None:
            found.append(Session(day, opens_us, opens_us + length * MINUTE_US))
    return found
