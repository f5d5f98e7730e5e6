"""Derive the exchanges' sessions from the package exchange_calendars: ``python data/make_sessions.py [FOLDER]``.

``sessions/differences.csv`` has the days on which pandas_market_calendars, for the calendars that it defines itself, says
otherwise, and which of the two is right; where that is the second, its hours are taken. One file an exchange, from 2000 (or the
year from which the package knows it) to the end of next year (or of the last one that it knows): when a session opens and
closes, by period, on which weekdays; days without one; and days of other hours, which are early closes, late openings, and
sessions at weekends. Times are the exchange's own. `warm.exchanges` reads them.
"""

import csv
import json
import sys
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent / "sessions"
FIRST = date(2000, 1, 1)
WEEK = 5
"""Sessions of a week."""

EXCHANGES = {
    "XNYS": "New York Stock Exchange, Nasdaq", "XTSE": "Toronto", "BVMF": "B3, São Paulo", "XLON": "London",
    "XETR": "Xetra, Frankfurt", "XPAR": "Euronext Paris", "XAMS": "Euronext Amsterdam", "XBRU": "Euronext Brussels",
    "XLIS": "Euronext Lisbon", "XDUB": "Euronext Dublin", "XMIL": "Euronext Milan", "XOSL": "Euronext Oslo",
    "XMAD": "Madrid", "XSWX": "SIX, Zurich", "XSTO": "Nasdaq Stockholm", "XHEL": "Nasdaq Helsinki", "XCSE": "Nasdaq Copenhagen",
    "XJSE": "Johannesburg", "XSAU": "Saudi Exchange, Riyadh", "XBOM": "Mumbai: NSE and BSE", "XSHG": "Shanghai and Shenzhen",
    "XHKG": "Hong Kong", "XTAI": "Taiwan, Taipei", "XKRX": "Korea, Seoul", "XTKS": "Tokyo", "XSES": "Singapore", "XASX": "Sydney",
    "CMES": "CME Globex: futures of Chicago and New York",
}  # fmt: skip
"""The twenty largest exchanges by market value, by the code of ISO 10383; those of one company each have their own. And the one
of futures, by the package's code."""

FUTURES = "CMES"
FUTURES_ZONE, FUTURES_CLOSE = "America/New_York", time(17)
"""Sources date futures on New York's clock. The package has their day end when the next begins, at 18:00; trade rests for an
hour before. Early closes differ by product, so none is told: a bar is then known late, and not early."""


OTHERS = {
    "XNYS": "NYSE", "XTSE": "TSX", "BVMF": "B3", "XLON": "LSE", "XOSL": "OSE", "XSWX": "SIX", "XBOM": "BSE", "XSHG": "SSE",
    "XHKG": "HKEX", "XTKS": "JPX", "XASX": "ASX",
}  # fmt: skip
"""Those that pandas_market_calendars defines itself, under its own names."""
OTHER = "pandas_market_calendars"


class Difference(NamedTuple):
    """A row of ``differences.csv``: between two days the two packages differ in sessions, openings or closes (``of``)."""

    exchange: str
    of: str
    first: date
    last: date
    right: str
    why: str


def differences() -> list[Difference]:
    """All rows; without a last day a difference lasts."""
    with (FOLDER / "differences.csv").open(encoding="utf-8", newline="") as file:
        return [
            Difference(
                row["exchange"],
                row["of"],
                date.fromisoformat(row["first"]),
                date.fromisoformat(row["last"]) if row["last"] else date.max,
                row["right"],
                row["why"],
            )
            for row in csv.DictReader(file)
        ]


class Hours(NamedTuple):
    """A session's hours on the exchange's clock, with the pause at noon if there is one."""

    opens: time
    closes: time
    pause: tuple[time, time] | None = None

    def __str__(self) -> str:
        parts = [self.opens, self.closes] if self.pause is None else [self.opens, *self.pause, self.closes]
        text = [f"{each:%H:%M}" for each in parts]
        return " ".join(f"{begin}-{end}" for begin, end in zip(text[::2], text[1::2], strict=True))


class Known(NamedTuple):
    """What the package knows of an exchange: its time zone, its weekdays (Monday first, 1 or 0), from when and until when, and
    the hours of each session.
    """

    zone: str
    weekdays: str
    first: date
    until: date
    sessions: dict[date, Hours]


def known(code: str, last: date) -> Known:
    """What is known of exchange ``code`` to the day ``last``."""
    from exchange_calendars import get_calendar  # noqa: PLC0415
    from exchange_calendars.calendar_utils import global_calendar_dispatcher  # noqa: PLC0415

    factory = global_calendar_dispatcher._calendar_factories[code]  # noqa: SLF001 - nothing public tells the bounds beforehand
    least, greatest = factory.bound_min(), factory.bound_max()
    first = FIRST if least is None else max(FIRST, least.date())
    last = last if greatest is None else min(last, greatest.date())
    calendar = get_calendar(code, start=first.isoformat(), end=last.isoformat())
    found = {}
    schedule = calendar.schedule
    zone = FUTURES_ZONE if code == FUTURES else str(calendar.tz)
    columns = [schedule[name].dt.tz_convert(zone) for name in ("open", "break_start", "break_end", "close")]
    for day, *moments in zip(schedule.index, *columns, strict=True):
        # There is no pause where its moments are no moments (NaT, which differs from itself).
        opens, *pause, closes = [each.time() for each in moments if each == each]  # noqa: PLR0124
        if code == FUTURES:
            closes = FUTURES_CLOSE
        found[day.date()] = Hours(opens, closes, (pause[0], pause[1]) if pause else None)
    return Known(zone, calendar.weekmask, first, last, found)


def others(code: str, found: Known) -> dict[date, Hours]:
    """The sessions of the same days by pandas_market_calendars."""
    import pandas_market_calendars  # noqa: PLC0415

    calendar = pandas_market_calendars.get_calendar(OTHERS[code])
    schedule = calendar.schedule(found.first.isoformat(), found.until.isoformat(), tz=found.zone)
    return {day.date(): Hours(row["market_open"].time(), row["market_close"].time()) for day, row in schedule.iterrows()}


def corrected(code: str, found: Known) -> Known:
    """``found`` with what is right by the other package."""
    wrong = [each for each in differences() if each.exchange == code and each.right == OTHER]
    if not wrong:
        return found
    theirs, sessions = others(code, found), dict(found.sessions)
    for each in wrong:
        for day in {*theirs, *found.sessions}:
            if not each.first <= day <= each.last:
                continue
            if each.of == "session" and day not in theirs:
                del sessions[day]
            elif each.of == "session" and day not in sessions:
                sessions[day] = theirs[day]
            elif each.of != "session" and day in sessions and day in theirs:
                sessions[day] = sessions[day]._replace(**{each.of: getattr(theirs[day], each.of)})
    return found._replace(sessions=dict(sorted(sessions.items())))


def periods(found: dict[date, Hours]) -> dict[date, Hours]:
    """The regular hours by the day from which they hold: where most of a week's sessions have others than before."""
    days = sorted(found)
    regular: dict[date, Hours] = {}
    current = None
    for at, day in enumerate(days):
        hours = found[day]
        if hours != current and sum(found[each] == hours for each in days[at : at + WEEK]) > WEEK // 2:
            regular[day] = current = hours
    return regular


def table(code: str, last: date) -> dict[str, Any]:
    """What the file of exchange ``code`` holds."""
    zone, weekdays, first, until, found = corrected(code, known(code, last))
    regular = periods(found)
    closed: defaultdict[str, list[str]] = defaultdict(list)
    other: defaultdict[str, list[str]] = defaultdict(list)
    hours = next(iter(regular.values()))
    for number in range((until - first).days + 1):
        day = first + timedelta(number)
        hours = regular.get(day, hours)
        expected = hours if weekdays[day.weekday()] == "1" else None
        year, name = str(day.year), day.strftime("%m-%d")
        if day not in found:
            if expected is not None:
                closed[year].append(name)
        elif found[day] != expected:
            other[year].append(f"{name}={found[day]}")
    return {
        "exchange": code,
        "name": EXCHANGES[code],
        "timezone": zone,
        "weekdays": weekdays,
        "first": first.isoformat(),
        "until": until.isoformat(),
        "hours": {day.isoformat(): str(each) for day, each in regular.items()},
        "closed": {year: " ".join(names) for year, names in closed.items()},
        "other_hours": {year: ", ".join(names) for year, names in other.items()},
    }


def main(folder: Path = FOLDER) -> None:
    """Write every exchange's file to ``folder``."""
    last = date(datetime.now(UTC).year + 1, 12, 31)
    for code in EXCHANGES:
        text = json.dumps(table(code, last), indent=1, ensure_ascii=False) + "\n"
        (folder / f"{code}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
