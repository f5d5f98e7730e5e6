"""The bars with which a price record can be carried on: at least those that it was made of, and those that ended since."""

from typing import NamedTuple

from app.domain.history import lack
from app.domain.intervals import INTERVALS
from app.domain.vector import BARS_MAX, HistoryRecord
from app.market.protocol import GOOD, LIMIT_MAX, Bar, CandlesWanted, Reader

_NAMES = {seconds: name for name, seconds in INTERVALS.items()}


class History(NamedTuple):
    """``bars`` of a symbol, ascending, the newest `BARS_MAX` that can be used; none where it ``lacks`` those that its record was
    made of. ``lacks`` is None if nothing is lacking: of bars since then, too.
    """

    bars: tuple[Bar, ...]
    lacks: str | None


async def history_of(reader: Reader, record: HistoryRecord, until_us: int) -> History:
    """The bars of ``record``'s symbol that were over at ``until_us``. Since the record they end before the first one of which
    something is missing: what is made of it would not say so.

    Raises:
        MarketError: the market store failed.
    """
    interval = _NAMES.get(record.interval_s)
    if interval is None:
        return History((), f"interval_s is {record.interval_s}; allowed: those of {', '.join(INTERVALS)}")
    as_of_us = record.as_of_ms * 1000
    since = max(0, until_us - as_of_us) // (record.interval_s * 1_000_000) + 1
    limit = min(LIMIT_MAX, BARS_MAX + since)
    page = await reader.candles(CandlesWanted(record.symbol, interval, limit, end_us=until_us, descending=True))
    bars = [each for each in reversed(page.bars) if each.end_us <= until_us]
    lacks = lack(record, [each.end_us // 1000 for each in bars], [float(each.close) for each in bars])
    if lacks is not None:
        return History((), lacks)
    bad = next((place for place, each in enumerate(bars) if each.end_us > as_of_us and each.coverage not in GOOD), None)
    if bad is not None:
        lacks = f"the bar that ends at {bars[bad].end_us // 1000} is of coverage {bars[bad].coverage}"
    return History(tuple(bars[:bad][-BARS_MAX:]), lacks)
