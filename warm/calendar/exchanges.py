"""Exchanges: which one a symbol's suffix names, and when it has sessions, by the tables in ``data/sessions``.

The tables are made by ``data/make_sessions.py``; no calendar library is loaded here. Before and past what a table knows
its regular hours count on its regular weekdays.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from warm.errors import InputRefused
from warm.sample import SESSIONS

SUFFIXES: dict[str, str] = {
    # America. Yahoo's, then Stooq's, Tushare's and Alpha Vantage's where they differ.
    "US": "XNYS", "TO": "XTSE", "NE": "XTSE", "CN": "XTSE", "TRT": "XTSE", "SA": "BVMF", "SAO": "BVMF",
    # Europe and Africa.
    "L": "XLON", "IL": "XLON", "UK": "XLON", "LON": "XLON", "DE": "XETR", "F": "XETR", "DEX": "XETR", "FRK": "XETR",
    "PA": "XPAR", "FR": "XPAR", "AS": "XAMS", "NL": "XAMS", "BR": "XBRU", "LS": "XLIS", "IR": "XDUB", "MI": "XMIL", "IT": "XMIL",
    "OL": "XOSL", "MC": "XMAD", "ES": "XMAD", "SW": "XSWX", "CH": "XSWX", "ST": "XSTO", "HE": "XHEL", "CO": "XCSE",
    "JO": "XJSE", "SR": "XSAU", "SAU": "XSAU",
    # Asia and Australia.
    "NS": "XBOM", "BO": "XBOM", "BSE": "XBOM", "SS": "XSHG", "SH": "XSHG", "SHH": "XSHG", "SZ": "XSHG", "SHZ": "XSHG",
    "XSHG": "XSHG", "XSHE": "XSHG", "BJ": "XSHG", "HK": "XHKG", "TW": "XTAI", "TWO": "XTAI", "KS": "XKRX", "KQ": "XKRX",
    "T": "XTKS", "JP": "XTKS", "SI": "XSES", "AX": "XASX",
}  # fmt: skip
"""Exchange by a symbol's suffix. Classes of shares have one letter, as have London's, Frankfurt's and Tokyo's alone."""

INDICES: dict[str, str] = {
    "GSPTSE": "XTSE", "BVSP": "BVMF", "FTSE": "XLON", "FTMC": "XLON", "GDAXI": "XETR", "MDAXI": "XETR", "STOXX50E": "XETR",
    "FCHI": "XPAR", "AEX": "XAMS", "BFX": "XBRU", "IBEX": "XMAD", "SSMI": "XSWX", "OMX": "XSTO", "OMXH25": "XHEL",
    "OMXC25": "XCSE", "NSEI": "XBOM", "NSEBANK": "XBOM", "BSESN": "XBOM", "HSI": "XHKG", "HSCE": "XHKG", "TWII": "XTAI",
    "KS11": "XKRX", "KQ11": "XKRX", "N225": "XTKS", "STI": "XSES", "AXJO": "XASX", "AORD": "XASX",
}  # fmt: skip
"""Exchange by the name of an index that Yahoo puts behind a ^; others are New York's."""

FUTURES = "CMES"
"""The exchange of Yahoo's futures, as ES=F: CME Globex, of which nearly all of them are."""

NEW_YORK = "XNYS"
"""The exchange of a symbol without a suffix."""

_DAY_MIN = 24 * 60
_DAYS_MAX = 30
"""No exchange has been closed for longer; a table that says so is wrong."""


class Table(msgspec.Struct, frozen=True):
    """A file of ``data/sessions``, as it stands."""

    exchange: str
    name: str
    timezone: str
    weekdays: str
    first: date
    until: date
    hours: dict[date, str]
    closed: dict[str, str]
    other_hours: dict[str, str]


class Hours(NamedTuple):
    """A session in minutes after local midnight: when it opens (below 0 the evening before) and closes, and its pause at noon if
    there is one.
    """

    opens: int
    closes: int
    pause: tuple[int, int] | None = None


def _hours(text: str) -> Hours:
    """``09:00-11:30 12:30-15:30``; ``18:00-17:00`` opens the evening before."""
    opens, *pause, closes = (int(each[:2]) * 60 + int(each[3:]) for each in text.replace(" ", "-").split("-"))
    return Hours(opens - (_DAY_MIN if opens > closes else 0), closes, (pause[0], pause[1]) if pause else None)


class Exchange:
    """One exchange's sessions."""

    def __init__(
        self,
        code: str,
        until: date,
        zone: ZoneInfo,
        weekdays: str,
        regular: Mapping[date, Hours],
        closed: Iterable[date] = (),
        other: Mapping[date, Hours] | None = None,
        first: date = date.min,
    ) -> None:
        self.code, self.first, self.until, self.zone = code, first, until, zone
        self._weekdays, self._closed, self._other = weekdays, frozenset(closed), other or {}
        self._since = sorted(regular)
        self._regular = [regular[day] for day in self._since]

    @classmethod
    def of_table(cls, table: Table) -> "Exchange":
        """The exchange of a file of ``data/sessions``."""
        days = [
            (date.fromisoformat(f"{year}-{name}"), _hours(text))
            for year, names in table.other_hours.items()
            for name, _, text in (each.partition("=") for each in names.split(", "))
        ]
        closed = (date.fromisoformat(f"{year}-{name}") for year, names in table.closed.items() for name in names.split())
        regular = {day: _hours(text) for day, text in table.hours.items()}
        zone = ZoneInfo(table.timezone)
        return cls(table.exchange, table.until, zone, table.weekdays, regular, closed, dict(days), table.first)

    @classmethod
    def of_weekdays(cls, zone: ZoneInfo, hours: Hours) -> "Exchange":
        """One without holidays, of which no more is known than its hours."""
        return cls("", date.max, zone, "1111100", {date.min: hours})

    def regular(self, day: date) -> Hours:
        """The hours that sessions around ``day`` have, whether it is one or not."""
        return self._regular[max(0, bisect_right(self._since, day) - 1)]

    def hours(self, day: date) -> Hours | None:
        """The session of ``day``, None if there is none."""
        if (other := self._other.get(day)) is not None:
            return other
        if day in self._closed or self._weekdays[day.weekday()] == "0":
            return None
        return self.regular(day)

    def has_sessions(self, weekday: int) -> bool:
        """Whether it is open on a weekday (0 Monday), holidays aside."""
        return self._weekdays[weekday] == "1"

    @property
    def evening_minutes(self) -> int:
        """How long before midnight its sessions open, 0 if they open after it."""
        return max(0, -self.regular(date.max).opens)

    @property
    def session_s(self) -> float:
        """How long it is open in a session of regular hours, without its pause."""
        opens, closes, pause = self.regular(date.max)
        return 60.0 * (closes - opens - (pause[1] - pause[0] if pause else 0))

    def close_minutes(self, day: date) -> int:
        """When the session of ``day`` closes, in minutes after local midnight; of a day without one, when it would."""
        return (self.hours(day) or self.regular(day)).closes

    def sessions(self, day: date) -> Iterator[tuple[date, Hours]]:
        """The sessions from ``day`` on, without an end."""
        idle = 0
        while idle < _DAYS_MAX:
            hours = self.hours(day)
            idle = 0 if hours else idle + 1
            if hours is not None:
                yield day, hours
            day += timedelta(1)
        raise AssertionError(f"{self.code} has no session in the {_DAYS_MAX} days before {day}")

    def local_day(self, moment_ms: int) -> date:
        """The date on the exchange's clock at a moment."""
        return datetime.fromtimestamp(moment_ms / 1000, self.zone).date()


def exchange_of(symbol: str) -> str:
    """The code of the exchange that ``symbol`` (canonical) names by its suffix or, of an index, by its name."""
    return _named(symbol) or NEW_YORK


def _named(symbol: str) -> str | None:
    if symbol.endswith("=F"):
        return FUTURES
    if symbol.startswith("^"):
        return INDICES.get(symbol[1:], NEW_YORK)
    root, dot, suffix = symbol.rpartition(".")
    if suffix == "T" and not root[:1].isdigit():
        return NEW_YORK
    return SUFFIXES.get(suffix) if dot else None


def assumed(shares: Iterable[tuple[str, str, str]]) -> list[str]:
    """What is to be said of shares whose exchange is only assumed; each as written, its symbol, and the one it is kept as."""
    told: dict[str, list[str]] = {}
    for written, symbol, kept in shares:
        if _is_unknown(kept):
            told.setdefault(_UNKNOWN, []).append(symbol)
        elif written.strip().isdigit() and _may_be_korean(kept):
            told.setdefault(_KOREAN, []).append(f"{written} as {symbol}")
    return [text.format(", ".join(some[:_TOLD]) + (", …" if len(some) > _TOLD else "")) for text, some in told.items()]


_UNKNOWN = "no table has the exchange of {}, so New York's sessions count: --exchange or --session-close says otherwise"
_KOREAN = "{}: a number of Seoul has .KS or .KQ"
_TOLD = 3
"""Symbols that are named."""


def _is_unknown(symbol: str) -> bool:
    """Whether no table is of the exchange of ``symbol`` (canonical), so that New York's is only assumed: it has a suffix that is
    none of `SUFFIXES` (one letter is a class of shares), or an exchange before it, or is a number without one.
    """
    if ":" in symbol:
        return True
    root, dot, suffix = symbol.rpartition(".")
    return _named(symbol) is None and (len(suffix) > 1 and bool(root) if dot else suffix.isdigit())


def _may_be_korean(symbol: str) -> bool:
    """Whether the number of a Chinese ``symbol`` (canonical) may be one of Seoul: those end in 0, and few begin with 6."""
    number, _, suffix = symbol.partition(".")
    return suffix in ("SH", "SZ") and number.endswith("0") and number[0] in "0239"


def codes() -> list[str]:
    """Every exchange that there is a table of."""
    return sorted(path.stem for path in SESSIONS.glob("*.json"))


@cache
def exchange(code: str) -> Exchange:
    """The exchange of that code.

    Raises:
        InputRefused: there is no table of it.
    """
    path = SESSIONS / f"{code}.json"
    if not (code.isalpha() and path.is_file()):
        raise InputRefused(f"--exchange {code[:20]!r} is not known; allowed: {', '.join(codes())}")
    return Exchange.of_table(msgspec.json.decode(path.read_bytes(), type=Table))
