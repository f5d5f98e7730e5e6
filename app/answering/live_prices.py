"""Whether a live price is believed: one that a slip made (another unit, another symbol, no split) must not make a decision."""

from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import Literal, NamedTuple

from app.domain.live import believed
from app.domain.vector import PriceRecord
from app.errors import invalid

_DEVIATIONS = 10.0
"""Standard deviations, by the symbol's own volatility and its last close's age. Splits and slips lie beyond, crashes within."""


class LivePrices(NamedTuple):
    """What becomes of a live price that lies further from the last close than is believed (`domain.live.believed`)."""

    outside: Literal["refuse", "ignore", "accept"]

    def checked(self, price: float, record: PriceRecord, now_ms: int, field: str) -> tuple[float | None, str | None]:
        """The price to decide with, None without one, and why ``price`` is not it.

        Raises:
            Problem: 422 naming ``field``.
        """
        within = None if self.outside == "accept" else believed(record, now_ms, _DEVIATIONS)
        if within is None or within[0] <= price <= within[1]:
            return price, None
        low, high = within
        when = datetime.fromtimestamp(record.as_of_ms / 1000, UTC)
        allowed = f"{_rounded(low, ROUND_CEILING)} to {_rounded(high, ROUND_FLOOR)}"
        why = f"allowed: {allowed}, by the last close of {when:%Y-%m-%d %H:%M} UTC (LIVE_PRICE_OUTSIDE)"
        if self.outside == "refuse":
            raise invalid(field, f"{field} is {price:.15g}; {why}")
        return None, f"{price:.15g}; {why}"


def _rounded(bound: float, rounding: str) -> str:
    """A bound to six digits, so ``rounding`` that what is named is itself allowed."""
    return f"{float(Context(prec=6, rounding=rounding).create_decimal(repr(bound))):.6g}"


ANY_PRICE = LivePrices("accept")


def unused(price: float | None, bars: PriceRecord | None) -> str | None:
    """Why a live price does not count where the decision rests on no ``bars``; None where it does, and without one."""
    return (
        None if price is None or bars is not None else f"{price:.15g}; there are no bars, or none that count, for it to carry on"
    )
