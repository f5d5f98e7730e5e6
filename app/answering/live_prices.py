"""Whether a live price is believed: one that a slip made (another unit, another symbol, no split) must not make a decision."""

from datetime import UTC, datetime
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
        why = f"allowed: {low:.6g} to {high:.6g}, by the last close of {when:%Y-%m-%d %H:%M} UTC (LIVE_PRICE_OUTSIDE)"
        if self.outside == "refuse":
            raise invalid(field, f"{field} is {price:g}; {why}")
        return None, f"{price:g}; {why}"


ANY_PRICE = LivePrices("accept")


def unused(price: float | None, bars: PriceRecord | None) -> str | None:
    """Why a live price does not count where the decision rests on no ``bars``; None where it does, and without one."""
    return None if price is None or bars is not None else f"{price:g}; there are no bars, or none that count, for it to carry on"
