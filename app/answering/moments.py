"""Times as answers have them."""

from datetime import UTC, datetime
from functools import lru_cache

from app.domain.intervals import DAY_S

_TWO = tuple(f"{number:02}" for number in range(60))


@lru_cache(maxsize=4_096)
def _date(day: int) -> str:
    """Of so many days since 1970."""
    return datetime.fromtimestamp(day * DAY_S, UTC).strftime("%Y-%m-%d")


@lru_cache(maxsize=65_536)
def _second(at_s: int) -> str:
    # A page of a history has a hundred that nobody asked for before, and `strftime` takes five times as long.
    day, second = divmod(at_s, DAY_S)
    minute = second // 60
    return f"{_date(day)}T{_TWO[minute // 60]}:{_TWO[minute % 60]}:{_TWO[second % 60]}"


def iso(time_ms: int) -> str:
    """Epoch milliseconds as ISO 8601 in UTC, with milliseconds where there are some."""
    at_s, part_ms = divmod(time_ms, 1000)
    return f"{_second(at_s)}.{part_ms:03d}Z" if part_ms else f"{_second(at_s)}Z"


@lru_cache(maxsize=4_096)
def iso_us(at_us: int) -> str:
    """Epoch microseconds as ISO 8601 in UTC, with as many digits as they need."""
    at_s, part_us = divmod(at_us, 1_000_000)
    if not part_us:
        return f"{_second(at_s)}Z"
    return f"{_second(at_s)}.{part_us:06d}Z" if part_us % 1000 else f"{_second(at_s)}.{part_us // 1000:03d}Z"
