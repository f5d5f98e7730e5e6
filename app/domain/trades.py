"""One trade, and what is wrong with one that cannot be."""

from decimal import Decimal
from typing import Literal

import msgspec

from app.domain.prices import plain

Side = Literal["buy", "sell", "unknown"]
"""The taker's."""

SIMULATED = "simulated"
"""Venue, market and source of trades that nobody made. That market never closes."""

Order = tuple[int, str, str]
"""Time, venue and key: where a trade stands among those of its symbol."""

_DIGITS = 20
"""What an id of 64 bits has."""
_LONG_DIGITS = 80


class Trade(msgspec.Struct, frozen=True, gc=False):
    """Of ``symbol`` at ``venue``, where it was made. ``time_us``: epoch microseconds, cut from finer. ``key`` orders the trades
    of one microsecond (`trade_key`); ``trade_id`` is the venue's own. ``price`` and ``size`` are exact (`app.domain.prices`).
    ``closing``: its venue marks it as the print of the session's close.
    """

    venue: str
    symbol: str
    key: str
    time_us: int
    price: Decimal
    size: Decimal
    trade_id: str
    side: Side = "unknown"
    source: str = ""
    closing: bool = False

    @property
    def order(self) -> Order:
        """Where it stands among those of its symbol."""
        return self.time_us, self.venue, self.key


def trade_key(trade_id: str) -> str:
    """A venue's id as text whose order is the ids' order: numbers are padded with zeros; longer ones than 64 bits stand behind
    them.
    """
    if not (trade_id.isascii() and trade_id.isdigit()):
        return trade_id
    if len(trade_id) <= _DIGITS:
        return trade_id.zfill(_DIGITS)
    digits = trade_id.lstrip("0")
    return digits.zfill(_DIGITS) if len(digits) <= _DIGITS else "~" + digits.zfill(_LONG_DIGITS)


def refusal(price: Decimal, size: Decimal) -> str | None:
    """Why a trade of these cannot be, or None. One of size 0 can: it moves no price and no volume."""
    if price <= 0:
        return f"price is {plain(price)}; allowed: above 0"
    if size < 0:
        return f"size is {plain(size)}; allowed: 0 and above"
    return None
