"""Where bars begin and end: on the clock for markets that never close, by sessions for exchanges. Pure; each store fills it."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.domain.candles import MINUTE_US, SECOND_US
from app.domain.intervals import DAY_S, INTERVALS
from app.market.protocol import Part, Session

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_DAY_US = DAY_S * SECOND_US
_NEAR_US = _DAY_US
"""So far before the first session and after the last one of a table its exchange's times count; beyond, nobody knows."""
_EPOCH = date(1970, 1, 1).toordinal()
_MONDAY = date(1970, 1, 5).toordinal()
_MONDAY_US = (_MONDAY - _EPOCH) * _DAY_US


class Edges(NamedTuple):
    """From when to when a bar is, and which part of an exchange's day it is of."""

    start_us: int
    end_us: int
    session: Part | None = None


class Calendar(Protocol):
    """Of a market."""

    def bar_of(self, start_us: int, interval: str, *, of_days: bool = False) -> Edges | None:
        """The bar of ``interval`` that takes in what begins then; None if none does. ``of_days``: what is taken in is a bar of
        a day or longer, which may be stamped by its date and not by its session.
        """
        ...

    def same_until(self, start_us: int, interval: str, edges: Edges) -> int:
        """Up to when all that begins from ``start_us`` on is of the same bar of ``interval``, whose ``edges`` are these."""
        ...

    def next_session(self, start_us: int) -> int:
        """When, after what begins outside sessions, something begins that is in one, or of which nobody knows."""
        ...

    def is_by_clock(self, interval: str) -> bool:
        """Whether all bars of ``interval`` are as long as each other, and follow each other without a pause."""
        ...


_NO_ZONES = frozenset({"localtime", "posixrules", "Factory", "posix", "right"})
"""What else lies in the database's folder: zones of the machine, and those that count leap seconds."""


def zone_named(name: str) -> "ZoneInfo":
    """A time zone.

    Raises:
        ValueError: there is none of that name.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - it takes longer to import than all else here

    try:
        if name.partition("/")[0] in _NO_ZONES:
            raise ValueError(name)
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"zone is {name[:60]!r}; allowed: a name of the time zone database, as Europe/Berlin") from None


def is_of_days(interval: str) -> bool:
    """Whether a bar of ``interval`` is of whole days."""
    return INTERVALS[interval] >= DAY_S


def clock_of(interval: str) -> tuple[int, int]:
    """Where bars of ``interval`` go by the clock: how long they are, and when one begins that is among the first."""
    return INTERVALS[interval] * SECOND_US, _MONDAY_US if interval == "1w" else 0


class Always:
    """A market that never closes, whose days are those of ``zone``; what is shorter is cut by UTC."""

    def __init__(self, zone: "ZoneInfo | None" = None) -> None:
        self._zone = zone

    def bar_of(self, start_us: int, interval: str, *, of_days: bool = False) -> Edges:
        """As `Calendar`."""
        del of_days
        if self.is_by_clock(interval):
            length_us, phase_us = clock_of(interval)
            start_us -= (start_us - phase_us) % length_us
            return Edges(start_us, start_us + length_us)
        day = date.fromordinal(_EPOCH + start_us // _DAY_US) if self._zone is None else _local(start_us, self._zone)
        first, end = days_of(day, interval)
        return Edges(self._begins_us(first), self._begins_us(end))

    def same_until(self, start_us: int, interval: str, edges: Edges) -> int:
        """As `Calendar`."""
        del start_us, interval
        return edges.end_us

    def next_session(self, start_us: int) -> int:
        """As `Calendar`. There is no outside."""
        return start_us

    def is_by_clock(self, interval: str) -> bool:
        """As `Calendar`."""
        return interval != "1M" and (self._zone is None or not is_of_days(interval))

    def _begins_us(self, day: date) -> int:
        if self._zone is None:
            return (day.toordinal() - _EPOCH) * _DAY_US
        # Where there is no midnight, this is when the clock was put forward: the day's first moment.
        return round(datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp()) * SECOND_US


class Sessions:
    """An exchange with ``sessions``, ascending and at least one. Days and longer are of sessions, stamped by the first one's
    open; shorter bars are counted from the open, and from the end of a pause; what is before and after, from there.
    """

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._sessions = sessions
        self._closes = [each.closes_us for each in sessions]
        self._days = [each.day for each in sessions]
        self._always = Always()
        self._from_us, self._to_us = sessions[0].opens_us - _NEAR_US, self._closes[-1] + _NEAR_US

    def bar_of(self, start_us: int, interval: str, *, of_days: bool = False) -> Edges | None:
        """As `Calendar`. Where the table of sessions does not reach, by UTC."""
        if not self._from_us <= start_us < self._to_us:
            edges = self._always.bar_of(start_us, interval)
            if start_us < self._from_us:
                return edges._replace(end_us=min(edges.end_us, self._from_us))
            return edges._replace(start_us=max(edges.start_us, self._to_us))
        place = bisect_right(self._closes, start_us)
        session = self._sessions[place] if place < len(self._sessions) else None
        if is_of_days(interval):
            if session is None or (start_us < session.opens_us and not of_days):
                return None
            first, end = days_of(session.day, interval)
            inside = self._sessions[bisect_left(self._days, first) : bisect_left(self._days, end)]
            return Edges(inside[0].opens_us, inside[-1].closes_us, "regular")
        length_us = INTERVALS[interval] * SECOND_US
        for from_us, to_us in () if session is None else _parts(session):
            if from_us <= start_us < to_us:
                begins_us = start_us - (start_us - from_us) % length_us
                return Edges(begins_us, min(begins_us + length_us, to_us), "regular")
        return self._outside(start_us, length_us, place, session)

    def same_until(self, start_us: int, interval: str, edges: Edges) -> int:
        """As `Calendar`. What is after a session is of no day, so a week goes on only to the next close."""
        if not is_of_days(interval) or edges.session is None:
            return edges.end_us
        return self._closes[bisect_right(self._closes, start_us)]

    def next_session(self, start_us: int) -> int:
        """As `Calendar`."""
        place = bisect_right(self._closes, start_us)
        if place == len(self._sessions):
            return self._to_us
        session = self._sessions[place]
        return session.opens_us if session.pause is None or start_us < session.opens_us else session.pause[1]

    def is_by_clock(self, interval: str) -> bool:
        """As `Calendar`."""
        del interval
        return False

    def _outside(self, start_us: int, length_us: int, place: int, session: Session | None) -> Edges:
        """Before the next opening, or after the last close, whichever is nearer; bars meet there in the middle."""
        if session is not None and session.pause and session.pause[0] <= start_us < session.pause[1]:
            closed_us, opens_us = session.pause
        else:
            # All of the day before the first session is before it, and of that after the last one after it.
            closed_us = self._closes[place - 1] if place else 2 * self._from_us - self._sessions[0].opens_us
            opens_us = session.opens_us if session else 2 * self._to_us - self._closes[-1]
        middle_us = (closed_us + opens_us) // 2 // MINUTE_US * MINUTE_US
        if start_us < middle_us:
            begins_us = start_us - (start_us - closed_us) % length_us
            return Edges(begins_us, min(begins_us + length_us, middle_us), "post")
        ends_us = start_us + length_us - (start_us - opens_us) % length_us
        return Edges(max(ends_us - length_us, middle_us), ends_us, "pre")


def days_of(day: date, interval: str) -> tuple[date, date]:
    """The days that a bar of ``interval`` has with ``day``: the first, and the one after the last. Weeks begin on Monday."""
    if interval == "1M":
        first = day.replace(day=1)
        return first, (first + timedelta(31)).replace(day=1)
    days = INTERVALS[interval] // DAY_S
    begun = (day.toordinal() - (_MONDAY if interval == "1w" else _EPOCH)) % days
    first = day - timedelta(begun)
    return first, first + timedelta(days)


def _parts(session: Session) -> list[tuple[int, int]]:
    if session.pause is None:
        return [(session.opens_us, session.closes_us)]
    return [(session.opens_us, session.pause[0]), (session.pause[1], session.closes_us)]


def _local(at_us: int, zone: "ZoneInfo") -> date:
    return datetime.fromtimestamp(at_us // SECOND_US, zone).date()
