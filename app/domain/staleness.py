"""How old an input may be: what makes it stale, and what makes it count as missing."""

from collections.abc import Iterable

import msgspec

from app.domain.evidence import Trouble
from app.domain.fallback import Status
from app.domain.vector import PriceRecord

_ERROR_TROUBLES: frozenset[Trouble | None] = frozenset(
    {"corrupt", "l2_error", "l2_timeout", "l2_overloaded", "l2_open", "l2_empty"}
)


PRICE_MAX_BARS = 2
"""A price is stale when so many bars after its last are over by its market's calendar and have not come."""
SKEW_MS = 300_000
"""How far ahead of the clock an input may lie: clocks of two machines differ."""


class Limits(msgspec.Struct, frozen=True, gc=False):
    """Ages, in milliseconds: past ``price_ms`` / ``agents_ms`` an input is stale, past ``input_ms`` it counts as missing, and so
    does one that lies further ahead of the clock than ``skew_ms``. With ``price_bars`` a price is stale instead when so many bars
    after its own are over (`PriceRecord.due_ms`); no input is missing before it was stale. A last trade older than ``tick_ms`` is
    no price of now (`TickRecord.is_old`).
    """

    price_ms: float
    agents_ms: float
    input_ms: float
    half_life_ms: float
    skew_ms: float = SKEW_MS
    price_bars: int = 0
    tick_ms: float = 60_000.0

    def price_life_ms(self, record: PriceRecord) -> float:
        """The age past which ``record`` is stale."""
        return float(record.due_ms[self.price_bars - 1] - record.as_of_ms) if self.price_bars else self.price_ms


def turns_ms(limits: Limits, as_of_ms: int, stale_ms: float) -> tuple[int, int, int]:
    """The moments (epoch milliseconds) from which on `judge_input` may say something else of an input of ``as_of_ms``."""
    # Ages are whole milliseconds, and one is too old when it is above its limit.
    ages_ms = stale_ms, max(limits.input_ms, stale_ms)
    return as_of_ms - int(limits.skew_ms), as_of_ms + int(ages_ms[0]) + 1, as_of_ms + int(ages_ms[1]) + 1


def narrowed(turns_at: Iterable[int], now_ms: int, since_ms: float, until_ms: float) -> tuple[float, float]:
    """The part around ``now_ms`` of the time from ``since_ms`` until before ``until_ms`` in which there are no turns."""
    for at_ms in turns_at:
        if at_ms > now_ms:
            if at_ms < until_ms:  # noqa: PLR1730 - a call of min costs a third of all this
                until_ms = at_ms
        elif at_ms > since_ms:
            since_ms = at_ms
    return since_ms, until_ms


def judge_input(
    as_of_ms: int | None, trouble: Trouble | None, now_ms: int, stale_ms: float, limits: Limits, max_age_ms: float | None
) -> tuple[Status, float | None, str | None]:
    """Status, age in seconds and, if it is not ``present``, the reason, of one input."""
    if as_of_ms is None:
        return ("error" if trouble in _ERROR_TROUBLES else "missing"), None, trouble or "absent"
    age_ms = now_ms - as_of_ms
    if -age_ms > limits.skew_ms:
        # One of the two clocks is wrong, so nothing says how old it is.
        return "missing", 0.0, "ahead_of_clock"
    # A clock a little behind the one that stamped the record must not make an age negative.
    age_ms = max(age_ms, 0)
    age_s = age_ms / 1000.0
    if max_age_ms is not None and age_ms > max_age_ms:
        return "missing", age_s, "older_than_max_age_s"
    if age_ms > max(limits.input_ms, stale_ms):
        return "missing", age_s, "too_old"
    if age_ms > stale_ms:
        return "stale", age_s, "stale"
    if trouble is not None:
        return "stale", age_s, trouble
    return "present", age_s, None
