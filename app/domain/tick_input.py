"""The last trade as an input of decisions: whether it carries the price indicators on as a caller's price does, or why not.

It refines the bars, and a decision needs none. It counts while it is young, its market is open and no bar has ended since. The
bars alone decide, and that is no fallback, where a newer bar knows more and where the market is closed or has just opened. One
that is old in an open market is *stale*, and the decision says so; so it does where some of what was traded is missing.
"""

from app.domain.evidence import Evidence, Trouble
from app.domain.fallback import Status
from app.domain.staleness import Limits
from app.domain.ticks import TickRecord

_LACKING = frozenset({"gap", "partial"})
"""Coverages that say that there may have been later trades."""


TickJudged = tuple[Status, float, str | None, str | None]
"""Status, age in seconds and, if it is not ``present``, the reason, as of any input; and why the price is not carried on to it,
None if it is.
"""


def judge_tick(
    evidence: Evidence, place: int, now_ms: int, limits: Limits, max_age_ms: float | None, unproven: Trouble | None
) -> TickJudged:
    """Of the last trade at ``now_ms``, whose record stands in that ``place``, beside the bars that are there, used or not."""
    tick: TickRecord = evidence.records[place]
    bars, trouble = evidence.price, evidence.troubles[place]
    since_ms = tick.time_us // 1000
    age_ms = now_ms - since_ms
    if -age_ms > limits.skew_ms:
        return "missing", 0.0, "ahead_of_clock", "ahead_of_clock"
    age_ms = max(age_ms, 0)
    age_s = age_ms / 1000.0
    if max_age_ms is not None and age_ms > max_age_ms:
        return "missing", age_s, "older_than_max_age_s", "older_than_max_age_s"
    if bars is not None and since_ms < bars.as_of_ms:
        return "present", age_s, None, "older_than_bars"
    if tick.is_old(now_ms, limits.tick_ms):
        return "stale", age_s, "stale", "stale"
    if tick.is_open(now_ms) and age_ms <= limits.tick_ms:
        reason = trouble or (tick.coverage if tick.coverage in _LACKING else unproven)
        return "present" if reason is None else "stale", age_s, reason, None
    return "present", age_s, None, "market_closed"


def tick_life_ms(limits: Limits, tick: TickRecord) -> float:
    """The age up to which ``tick`` may be used: its market may close before it is old."""
    since_ms = tick.time_us // 1000
    if tick.closed_ms is None or not since_ms < tick.closed_ms[0] <= since_ms + limits.tick_ms:
        return limits.tick_ms
    return float(tick.closed_ms[0] - since_ms)


def tick_turns_ms(limits: Limits, tick: TickRecord) -> tuple[int, ...]:
    """All moments (epoch milliseconds) from which on `judge_tick` may say something else of ``tick``."""
    since_ms, old_ms = tick.time_us // 1000, int(limits.tick_ms) + 1
    turns = (since_ms - int(limits.skew_ms), since_ms + old_ms)
    return turns if tick.closed_ms is None else (*turns, *tick.closed_ms, tick.closed_ms[1] + old_ms)
