"""When a stamp in a file was: dates are sessions, and a session is known once it has closed."""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from app.domain.intervals import DAY_S, INTERVALS
from warm.calendar.exchanges import NEW_YORK, Exchange, Hours, exchange, exchange_of
from warm.calendar.intervals import SESSION_S
from warm.errors import InputRefused

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?")
_HOUR_MIN = 60
_DAY_MIN = 24 * _HOUR_MIN
_CLOSE = re.compile(r"(\d{2}):(\d{2})")


def at_minute(day: date, minute: int, zone: ZoneInfo) -> int:
    """``minute`` minutes after midnight of ``day`` on the clock of ``zone``, as milliseconds UTC; 1440 is the day's end."""
    days, minutes = divmod(minute, _DAY_MIN)
    return milliseconds(datetime.combine(day + timedelta(days=days), time(minutes // 60, minutes % 60), zone))


class Session(NamedTuple):
    """An exchange's day: where its clock stands and when it closes, as minutes after local midnight (1440 is the day's end)."""

    timezone: ZoneInfo
    close_minutes: int
    daily: bool = True
    """Bars are daily or longer: an agent's stamp at midnight is a date that went through a table library, no moment."""
    exchange: Exchange | None = None
    """Whose table has its closes, and ``close_minutes`` is only the usual one; None where the caller said when it closes."""
    follows: bool = False
    """Nobody said which exchange it is: this one is for symbols without a suffix (`of`)."""

    def of(self, symbol: str) -> "Session":
        """The session of ``symbol`` (canonical): of the exchange that its suffix names, unless the caller said which."""
        return _of_exchange(exchange_of(symbol), self.daily, True) if self.follows else self  # noqa: FBT003

    def close_ms(self, day: date) -> int:
        """The close of the session of ``day``, milliseconds UTC, with the timezone's daylight saving time; of a day without one,
        when it would close.
        """
        return at_minute(day, self.close_minutes if self.exchange is None else self.exchange.close_minutes(day), self.timezone)

    def usual_close_ms(self, day: date) -> int:
        """When the session of ``day`` closes if not early: what some sources stamp every day's bar with."""
        return at_minute(day, self.close_minutes if self.exchange is None else self.exchange.regular(day).closes, self.timezone)

    @property
    def days(self) -> Exchange:
        """Its sessions: of the exchange, or, where the caller said when it closes, of all weekdays, as long as New York's."""
        return self.exchange or _weekdays(self.timezone, self.close_minutes)

    def date_in(self, text: str) -> date | None:
        """The date that ``text`` is, or whose midnight it is where that means the date (`daily`), else None."""
        text = text.strip()
        try:
            if _DATE.fullmatch(text):
                return date.fromisoformat(text)
            if not (self.daily and _MOMENT.fullmatch(text)):
                return None
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        return moment.date() if moment.time() == time(0) else None

    def moment_ms(self, text: str) -> int | None:
        """``text`` as milliseconds UTC; a date means that session's close. None if it is neither date nor moment."""
        text = text.strip()
        try:
            if (day := self.date_in(text)) is not None:
                return self.close_ms(day)
            if not _MOMENT.fullmatch(text):
                return None
            moment = datetime.fromisoformat(text)
            return milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            return None


@cache
def _weekdays(zone: ZoneInfo, close_minutes: int) -> Exchange:
    return Exchange.of_weekdays(zone, Hours(max(0, close_minutes - round(SESSION_S / 60)), close_minutes))


@cache
def _of_exchange(code: str, daily: bool, follows: bool) -> Session:  # noqa: FBT001
    found = exchange(code)
    return Session(found.zone, found.regular(date.max).closes, daily, found, follows)


NEVER_CLOSES = Session(ZoneInfo("UTC"), _DAY_MIN)
"""The day of a market that trades day and night: it ends at midnight, UTC."""


def milliseconds(moment: datetime) -> int:
    """An aware ``moment`` as whole milliseconds since 1970, UTC, without going through a float."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def iso(moment_ms: int) -> str:
    """``2013-03-01T21:00:00Z``; milliseconds only where there are any."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment_ms)
    return moment.isoformat(timespec="milliseconds" if moment_ms % 1000 else "seconds").replace("+00:00", "Z")


def open_zone(name: str, what: str = "") -> ZoneInfo:
    """The time zone called ``name``, which Python and Polars both know; ``what`` is said before it if it is none.

    Raises:
        InputRefused: one of them does not.
    """
    try:
        zone = ZoneInfo(name)
        pl.Series([datetime(2000, 1, 1, tzinfo=UTC)]).dt.convert_time_zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, pl.exceptions.PolarsError) as error:
        raise InputRefused(f"{what}{name[:60]!r} is not a known timezone; allowed: IANA names, as in Europe/London") from error
    return zone


def open_session(timezone: str | None, close: str | None, interval: str | None, code: str | None = None) -> Session:
    """The session that ``--timezone``, ``--session-close``, ``--interval`` and ``--exchange`` (``code``) describe. Without the
    first two it is the exchange's own, and without the last each symbol's.

    Raises:
        InputRefused: an unknown timezone or exchange, or a close that is not HH:MM between 00:00 and 24:00.
    """
    daily = interval is None or INTERVALS[interval] >= DAY_S
    own = _of_exchange(code or NEW_YORK, daily, code is None)
    if timezone is None and close is None:
        return own
    zone = own.timezone if timezone is None else open_zone(timezone, "--timezone ")
    minutes = own.close_minutes
    if close is not None:
        match = _CLOSE.fullmatch(close)
        minutes = int(match[1]) * _HOUR_MIN + int(match[2]) if match and int(match[2]) < _HOUR_MIN else -1
        if not 0 <= minutes <= _DAY_MIN:
            raise InputRefused(f"--session-close {close!r} is not a time of day; allowed: HH:MM from 00:00 to 24:00")
    return Session(zone, minutes, daily)
