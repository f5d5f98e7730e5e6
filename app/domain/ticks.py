"""A symbol's last trade, as a record: what its price is now, and how sure that is."""

import re
from typing import Literal, get_args

from app.domain.candles import Coverage
from app.domain.prices import plain
from app.domain.trades import Side, Trade, refusal
from app.domain.vector import AS_OF_MAX_MS, DUE_MAX_MS, ValueHeader, fingerprint

TickCoverage = Literal[Coverage, "quiet"]
"""Of the time up to now, as a bar's; ``quiet``: its source was heard and said nothing."""

TICK_FIELDS: tuple[str, ...] = (
    "as_of_ms",
    "loaded_at_ms",
    "run",
    "sequence",
    "symbol",
    "time_us",
    "price",
    "size",
    "side",
    "venue",
    "source",
    "currency",
    "coverage",
    "closed_ms",
    "ingested_us",
)
TICK_SCHEMA: str = fingerprint("decide-tick-2", TICK_FIELDS, get_args(Side), get_args(TickCoverage))

_NAME_MAX = 64
_is_plain = re.compile(r"(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{0,29}[1-9])?").fullmatch


class TickRecord(ValueHeader, array_like=True, frozen=True, gc=False):
    """A symbol's last trade, made at ``time_us`` (epoch microseconds, cut from finer) at ``venue``, as ``source`` has it.

    ``price`` and ``size`` are plain decimal digits, those that the venue wrote (`app.domain.prices.plain`). ``side`` is the
    taker's; ``currency`` is None where nobody knows it. ``closed_ms`` says from when until before when its market is closed next
    (epoch milliseconds; the end is after the trade), None of one that never closes.

    ``as_of_ms`` is when its symbol was heard of last, which may be after the trade; ``sequence`` has the microseconds beyond it.
    Of records of one microsecond the one that was written last counts. ``ingested_us`` is when its source had it (epoch
    microseconds), None where that is not known. Field order is `TICK_FIELDS`.
    """

    symbol: str
    time_us: int
    price: str
    size: str
    side: Side
    venue: str
    source: str
    currency: str | None
    coverage: TickCoverage
    closed_ms: tuple[int, int] | None
    ingested_us: int | None = None

    def is_open(self, now_ms: int) -> bool:
        """Whether its market is open at ``now_ms``."""
        return self.closed_ms is None or not self.closed_ms[0] <= now_ms < self.closed_ms[1]

    def is_old(self, now_ms: int, max_age_ms: float) -> bool:
        """Whether at ``now_ms`` it is older than that. Its age counts while its market is open, and from its opening anew."""
        since_ms = self.time_us // 1000
        if self.closed_ms is not None and now_ms >= self.closed_ms[0]:
            since_ms = max(since_ms, self.closed_ms[1])
        return now_ms - since_ms > max_age_ms


def tick_of(
    trade: Trade,
    *,
    loaded_at_ms: int,
    as_of_us: int | None = None,
    coverage: TickCoverage = "complete",
    currency: str | None = None,
    closed_ms: tuple[int, int] | None = None,
    ingested_us: int | None = None,
) -> TickRecord:
    """The record of ``trade``, the last of its symbol by `Trade.order`, of which was heard last at ``as_of_us`` (by default, with
    it).

    Raises:
        ValueError: nothing that moves the price, or no record that can be stored; names the field, its value and what is allowed.
    """
    as_of_ms, sequence = divmod(trade.time_us if as_of_us is None else as_of_us, 1000)
    fault = refusal(trade.price, trade.size) or ("size is 0; allowed: above 0" if trade.size == 0 else None)
    record = TickRecord(
        schema=TICK_SCHEMA,
        as_of_ms=as_of_ms,
        loaded_at_ms=loaded_at_ms,
        run="",
        sequence=sequence,
        symbol=trade.symbol,
        time_us=trade.time_us,
        price=plain(trade.price),
        size=plain(trade.size),
        side=trade.side,
        venue=trade.venue[:_NAME_MAX],
        source=trade.source[:_NAME_MAX],
        currency=currency,
        coverage=coverage,
        closed_ms=closed_ms,
        ingested_us=ingested_us,
    )
    fault = fault or tick_record_fault(record)
    if fault is not None:
        raise ValueError(f"a trade of {trade.symbol[:40]!r} makes no tick: {fault}")
    return record


def tick_record_fault(record: TickRecord) -> str | None:
    """What is wrong with a decoded tick record, or None. It is shown as JSON as it stands, so its numbers must be some."""
    for name, value in (("price", record.price), ("size", record.size)):
        if value == "0" or not _is_plain(value):
            return f"{name} is {value[:80]!r}, no plain decimal number above 0"
    if not 0 <= record.as_of_ms < AS_OF_MAX_MS:
        return f"as_of_ms is {record.as_of_ms}, outside the years 1970 to 9000"
    if not 0 <= record.time_us <= record.as_of_ms * 1000 + record.sequence:
        return f"time_us is {record.time_us}, after as_of_ms, {record.as_of_ms}"
    if not 0 <= (record.ingested_us or 0) < AS_OF_MAX_MS * 1000:
        return f"ingested_us is {record.ingested_us}, outside the years 1970 to 9000"
    time_ms = record.time_us // 1000
    closes_ms, opens_ms = record.closed_ms or (time_ms, time_ms + 1)
    if not (0 <= closes_ms < opens_ms and 0 < opens_ms - time_ms <= DUE_MAX_MS):
        return f"closed_ms is {record.closed_ms}, no time that ends within ten years after time_us, {record.time_us}"
    if max(len(record.venue), len(record.source), len(record.currency or "")) > _NAME_MAX:
        return f"a name is longer than {_NAME_MAX} characters"
    return None
