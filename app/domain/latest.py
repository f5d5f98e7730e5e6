"""A symbol's latest price: of its last trade or, where that is older or unknown, of its last close."""

import math
from typing import NamedTuple

from app.domain.evidence import Evidence, Trouble
from app.domain.staleness import Limits, judge_input
from app.domain.ticks import TickRecord
from app.domain.vector import PriceRecord


class Latest(NamedTuple):
    """What the latest price is of. ``reason`` says why it is no price of now, or may not be the last one; None if it is."""

    record: TickRecord | PriceRecord
    age_s: float
    reason: str | None


def latest_price(evidence: Evidence, place: int, now_ms: int, limits: Limits, unproven: Trouble | None = None) -> Latest | None:
    """The latest price at ``now_ms`` of the domain clock, None without any. ``place`` is that of the tick in ``evidence``;
    ``unproven`` is set if that could not be confirmed with L2, and says why.

    The newer of the two counts: a close holds from the end of its bar on, and at one time the trade counts, which has its venue's
    own digits. What lies ahead of the clock stands behind what does not: it would else be the newest for ever.
    """
    tick: TickRecord | None = evidence.records[place]
    bars = evidence.price
    if bars is not None and bars.values[0] is None:
        bars = None
    latest_ms = now_ms + limits.skew_ms
    if bars is not None and (
        tick is None or (bars.as_of_ms <= latest_ms, bars.as_of_ms) > (_since_ms(tick) <= latest_ms, _since_ms(tick))
    ):
        return _judged(bars, evidence.troubles[0] or _lacking(evidence.troubles[place]), now_ms, limits, unproven)
    return None if tick is None else _judged(tick, evidence.troubles[place], now_ms, limits, unproven)


def _since_ms(record: TickRecord | PriceRecord) -> int:
    """Of when its price is. Of a tick's symbol there may be newer news, which are no trade."""
    return record.time_us // 1000 if isinstance(record, TickRecord) else record.as_of_ms


def _lacking(trouble: Trouble | None) -> Trouble | None:
    """Of a tick that is there and cannot be read: there may be a newer price."""
    return None if trouble == "absent" else trouble


def _judged(
    record: TickRecord | PriceRecord,
    trouble: Trouble | None,
    now_ms: int,
    limits: Limits,
    unproven: Trouble | None,
) -> Latest:
    if isinstance(record, TickRecord):
        # However old it is, it is the price where the market is closed.
        life_ms = limits.tick_ms if record.is_old(now_ms, limits.tick_ms) else math.inf
    else:
        life_ms = limits.price_life_ms(record)
    _, age_s, reason = judge_input(_since_ms(record), trouble, now_ms, life_ms, limits, None)
    return Latest(record, age_s or 0.0, reason or unproven)
