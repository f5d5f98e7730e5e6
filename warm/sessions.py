"""When a stamp in a file was: dates are sessions, and a session is known once it has closed."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from warm.errors import InputRefused
from warm.intervals import DAY_S, INTERVALS

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?")
_HOUR_MIN = 60
_DAY_MIN = 24 * _HOUR_MIN
_CLOSE = re.compile(r"(\d{2}):(\d{2})")

MOMENT_RULE = "YYYY-MM-DD, or YYYY-MM-DDTHH:MM[:SS[.fff]] with Z or an offset (none means UTC)"


class Session(NamedTuple):
    """An exchange's day: where its clock stands and when it closes, as minutes after local midnight (1440 is the day's end)."""

    timezone: ZoneInfo
    close_minutes: int
    daily: bool = True
    """Bars are daily or longer: an agent's stamp at midnight is a date that went through a table library, no moment."""

    def close_ms(self, day: date) -> int:
        """The close of the session of ``day``, milliseconds UTC; daylight saving time is the timezone's."""
        days, minutes = divmod(self.close_minutes, 1440)
        local = datetime.combine(day + timedelta(days=days), time(minutes // 60, minutes % 60), self.timezone)
        return milliseconds(local)

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


def open_session(timezone: str, close: str, interval: str | None) -> Session:
    """The session that ``--timezone``, ``--session-close`` and ``--interval`` describe.

    Raises:
        InputRefused: an unknown timezone, or a close that is not HH:MM between 00:00 and 24:00.
    """
    zone = open_zone(timezone, "--timezone ")
    match = _CLOSE.fullmatch(close)
    minutes = int(match[1]) * _HOUR_MIN + int(match[2]) if match and int(match[2]) < _HOUR_MIN else -1
    if not 0 <= minutes <= _DAY_MIN:
        raise InputRefused(f"--session-close {close!r} is not a time of day; allowed: HH:MM from 00:00 to 24:00")
    return Session(zone, minutes, interval is None or INTERVALS[interval] >= DAY_S)
