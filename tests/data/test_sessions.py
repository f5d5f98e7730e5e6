"""The exchanges' tables: what two libraries of calendars say of the same days, and who is right where they differ."""

import importlib.util
import json
import subprocess
import sys
import warnings
from datetime import date, timedelta
from pathlib import Path

import pytest

from data import make_sessions as making
from warm.calendar.exchanges import SUFFIXES, Hours, codes, exchange

ROOT = Path(__file__).parents[2]
MISSING = [name for name in ("exchange_calendars", "pandas_market_calendars") if importlib.util.find_spec(name) is None]
with_libraries = pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} not installed: `just test` installs the dev group, which has it"
)
PARTS = {"opens", "closes", "session"}


def days(code: str) -> list[date]:
    """Every day that the table of an exchange covers."""
    table = json.loads((making.FOLDER / f"{code}.json").read_text(encoding="utf-8"))
    first, until = (date.fromisoformat(table[name]) for name in ("first", "until"))
    return [first + timedelta(number) for number in range((until - first).days + 1)]


def ours(code: str) -> dict[date, Hours]:
    """The sessions of an exchange by its table, as the warm job reads it."""
    found = {day: exchange(code).hours(day) for day in days(code)}
    return {day: hours for day, hours in found.items() if hours is not None}


def minutes(hours: making.Hours) -> Hours:
    """A library's hours in minutes after midnight."""
    opens, closes, *pause = (each.hour * 60 + each.minute for each in (hours.opens, hours.closes, *(hours.pause or ())))
    # What closes before it opens has opened the evening before.
    return Hours(opens - (1440 if opens > closes else 0), closes, (pause[0], pause[1]) if pause else None)


def libraries(code: str) -> tuple[dict[date, Hours], dict[date, Hours] | None]:
    """The same by exchange_calendars, and by pandas_market_calendars if it defines the exchange itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = making.known(code, days(code)[-1])
        theirs = making.others(code, known) if code in making.OTHERS else None
    first = {day: minutes(hours) for day, hours in known.sessions.items()}
    return first, None if theirs is None else {day: minutes(hours) for day, hours in theirs.items()}


def apart(left: dict[date, Hours], right: dict[date, Hours]) -> set[tuple[date, str]]:
    """The days on which two differ, and in what."""
    found = {(day, "session") for day in left.keys() ^ right.keys()}
    for day in left.keys() & right.keys():
        found |= {(day, of) for of in ("opens", "closes") if getattr(left[day], of) != getattr(right[day], of)}
    return found


def listed(code: str, right: str | None = None) -> set[tuple[date, str]]:
    """The days and parts that the list of differences speaks of; of those in which one library is right, if it is named."""
    rows = [each for each in making.differences() if each.exchange == code and right in (None, each.right)]
    return {(day, row.of) for row in rows for day in days(code) if row.first <= day <= row.last}


def test_there_is_a_table_of_every_exchange_that_a_suffix_names() -> None:
    assert codes() == sorted(making.EXCHANGES)
    assert {*SUFFIXES.values()} <= {*codes()}


def test_every_difference_says_who_is_right_and_why() -> None:
    for each in making.differences():
        assert each.exchange in making.OTHERS
        assert each.of in PARTS
        assert each.right in ("exchange_calendars", making.OTHER)
        assert each.first <= each.last
        assert each.why


@with_libraries
@pytest.mark.parametrize("code", sorted(making.EXCHANGES))
def test_a_table_is_what_the_libraries_say(code: str) -> None:
    """Session by session it is exchange_calendars, but where the list says that the other is right; and the list has every
    difference between the two, and no row without one.
    """
    table, (first, second) = ours(code), libraries(code)
    assert apart(table, first) == (apart(first, second) & listed(code, making.OTHER) if second else set())
    assert {day: table[day].pause for day in table} == {day: first[day].pause if day in first else None for day in table}
    if second is not None:
        differences = apart(first, second)
        assert differences - listed(code) == set()
        assert apart(table, second) & listed(code, making.OTHER) == set()
        for row in making.differences():
            if row.exchange == code:
                assert any(row.of == of and row.first <= day <= row.last for day, of in differences), row


@with_libraries
def test_the_script_makes_the_table_that_is_committed() -> None:
    """For one exchange with corrections; the others are held against the libraries session by session."""
    path = making.FOLDER / "XNYS.json"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert making.table("XNYS", days("XNYS")[-1]) == json.loads(path.read_text(encoding="utf-8"))


def test_the_tables_are_small() -> None:
    """They are in every package: less than 100 KB, all of them."""
    assert sum(path.stat().st_size for path in making.FOLDER.iterdir()) < 100_000


def test_neither_serving_nor_warming_loads_a_library_of_calendars() -> None:
    code = "import sys, app.main, warm.__main__; print([each for each in sys.modules if each.split('.')[0] in sys.argv[1:]])"
    names = ("exchange_calendars", "pandas_market_calendars", "pandas")
    told = subprocess.run([sys.executable, "-c", code, *names], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
