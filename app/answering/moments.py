"""Times as answers have them."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=65_536)
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso(time_ms: int) -> str:
    """Epoch milliseconds as ISO 8601 in UTC, with milliseconds where there are some."""
    at_s, part_ms = divmod(time_ms, 1000)
    return f"{_second(at_s)}.{part_ms:03d}Z" if part_ms else f"{_second(at_s)}Z"
