"""When a symbol's next bars are over, by its interval and the sessions of its exchange: what a server holds its clock against."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice

from app.domain.intervals import DAY_S, INTERVALS
from app.domain.symbols import FIAT
from app.domain.vector import DUE_BARS
from warm.calendar.exchanges import Exchange
from warm.calendar.intervals import Market
from warm.calendar.sessions import Session, at_minute

_METALS = frozenset({"XAU", "XAG", "XPT", "XPD"})
_HOUR_MS, _DAY_MS, _WEEK_MS = 3_600_000, 86_400_000, 7 * 86_400_000
_FRIDAY_MS, _SUNDAY_MS = _DAY_MS + 21 * _HOUR_MS, 3 * _DAY_MS + 22 * _HOUR_MS
"""When states' currencies cease to be traded and are again, after the week's first moment (1970 began with a Thursday), UTC: at
17:00 in New York, of its two times the earlier and the later."""

_CLOSED, _EVENING = {(12, 25), (1, 1)}, timedelta(hours=2)
"""Christmas and New Year's Day, which begin for currencies at 17:00 the evening before in New York."""


def due_ms(symbol: str, as_of_ms: int, market: Market, session: Session) -> tuple[int, ...]:
    """When the `DUE_BARS` bars of ``symbol`` after the one that ended at ``as_of_ms`` are over, in milliseconds, ascending.

    ``session`` is the one of its exchange. Where a source has bars outside sessions (early trading, a grid of full hours) they
    are over earlier than this says, never later.
    """
    return _due_ms(as_of_ms, market, session.days, rests(symbol))


def rests(symbol: str) -> bool:
    """Whether ``symbol`` (canonical) is a pair of states' currencies, which nobody trades at weekends."""
    base, _, rest = symbol.partition("-")
    return base in FIAT | _METALS and rest.partition(":")[0] in FIAT


@lru_cache(4096)
def _due_ms(as_of_ms: int, market: Market, days: Exchange, rests: bool) -> tuple[int, ...]:  # noqa: FBT001 - a key
    seconds = INTERVALS[market.interval]
    if market.never_closes:
        ends = _ends_of_currencies(as_of_ms, seconds * 1000) if rests else _ends_of_always(as_of_ms, seconds * 1000)
    elif seconds < DAY_S:
        ends = _ends_in_sessions(as_of_ms, seconds * 1000, days)
    elif seconds == DAY_S:
        ends = _ends_of_sessions(as_of_ms, days)
    else:
        ends = _ends_of_many_days(as_of_ms, market.interval, days)
    return tuple(islice(ends, DUE_BARS))


def _ends_of_always(end_ms: int, length_ms: int) -> Iterator[int]:
    while True:
        end_ms += length_ms
        yield end_ms


def _ends_of_currencies(end_ms: int, length_ms: int) -> Iterator[int]:
    """Of a pair of states' currencies: without those that begin while nobody trades, at the weekend and on two holidays."""
    for end in _ends_of_always(end_ms, length_ms):
        begun_ms = (end - length_ms) % _WEEK_MS
        if length_ms <= _DAY_MS and _FRIDAY_MS <= begun_ms < (_SUNDAY_MS if length_ms < _DAY_MS else 4 * _DAY_MS):
            continue
        begun = datetime.fromtimestamp((end - length_ms) / 1000, UTC)
        if length_ms <= _DAY_MS and {(each.month, each.day) for each in (begun, begun + _EVENING)} & _CLOSED:
            continue
        yield end


def _ends_of_sessions(end_ms: int, days: Exchange) -> Iterator[int]:
    for day, hours in days.sessions(days.local_day(end_ms)):
        close_ms = at_minute(day, hours.closes, days.zone)
        if close_ms > end_ms:
            yield close_ms


def _ends_in_sessions(end_ms: int, length_ms: int, days: Exchange) -> Iterator[int]:
    """Bars follow each other in a session, each as long as the others, and begin anew when it opens and after its pause."""
    for day, hours in days.sessions(days.local_day(end_ms)):
        times = [hours.opens, hours.closes] if hours.pause is None else [hours.opens, *hours.pause, hours.closes]
        moments = [at_minute(day, each, days.zone) for each in times]
        for opens_ms, closes_ms in zip(moments[::2], moments[1::2], strict=True):
            end_ms = max(end_ms, opens_ms)
            while end_ms < closes_ms:
                end_ms += length_ms
                yield end_ms


def _ends_of_many_days(end_ms: int, interval: str, days: Exchange) -> Iterator[int]:
    """At the same time of day some days later, or of the last day of the next month; without those that hold no session."""
    last = days.local_day(end_ms)
    minute = (end_ms - at_minute(last, 0, days.zone)) // 60_000
    while True:
        previous, last = last, _month_end(last) if interval == "1M" else last + timedelta(INTERVALS[interval] // DAY_S)
        if any(days.hours(previous + timedelta(1 + number)) for number in range((last - previous).days)):
            yield at_minute(last, minute, days.zone)


def _month_end(day: date) -> date:
    """The last day of the month of the day after ``day``."""
    first = (day + timedelta(1)).replace(day=1)
    return (first + timedelta(31)).replace(day=1) - timedelta(1)
