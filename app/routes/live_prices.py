"""Whether a live price is believed: one that a slip made (another unit, another symbol, no split) must not make a decision."""

from datetime import UTC, datetime
from typing import NamedTuple

from app.domain.live import believed
from app.domain.vector import PriceRecord
from app.routes.decoding import invalid


class LivePrices(NamedTuple):
    """How far from the last close a live price may lie (`domain.live.believed`; 0: anywhere), and whether one outside is ignored
    and not refused.
    """

    deviations: float = 0.0
    ignores: bool = False

    def checked(self, price: float, record: PriceRecord, now_ms: int, field: str) -> tuple[float | None, str | None]:
        """The price to decide with, None without one, and why ``price`` is not it.

        Raises:
            Problem: 422 naming ``field``.
        """
        within = believed(record, now_ms, self.deviations) if self.deviations else None
        if within is None or within[0] <= price <= within[1]:
            return price, None
        low, high = within
        when = datetime.fromtimestamp(record.as_of_ms / 1000, UTC)
        why = f"allowed: {low:.6g} to {high:.6g}, by the last close of {when:%Y-%m-%d %H:%M} UTC (LIVE_PRICE_DEVIATIONS)"
        if not self.ignores:
            raise invalid(field, f"{field} is {price:g}; {why}")
        return None, f"{price:g}; {why}"


ANY_PRICE = LivePrices()


def unused(price: float | None, bars: PriceRecord | None) -> str | None:
    """Why a live price does not count where the decision rests on no ``bars``; None where it does, and without one."""
    return None if price is None or bars is not None else f"{price:g}; there are no bars, or none that count, for it to carry on"
