"""Where bars begin and end."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.intervals import INTERVALS
from app.market.calendar import Always, Calendar, Edges, Sessions
from app.market.protocol import Session
from tests.market.giving import sessions
from tests.market.places import DAY_US, MINUTE_US


def _us(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def _text(edges: Edges | None) -> tuple[str, str, str | None] | None:
    if edges is None:
        return None
    start, end = (datetime.fromtimestamp(each / 1e6, UTC).strftime("%m-%d %H:%M") for each in edges[:2])
    return start, end, edges.session


_REGULAR = 390
# New York's sessions around the end of summer time (2023-11-05), with Thanksgiving on the 23rd and an early close on the 24th.
_SUMMER = sessions(date(2023, 10, 30), [_REGULAR] * 5, opens_min=810)
_WINTER = sessions(date(2023, 11, 6), [*([_REGULAR] * 5 + [None] * 2) * 2, *[_REGULAR] * 3, None, 210])
_NEW_YORK = Sessions(_SUMMER + _WINTER)
_TOKYO_OPEN = _us("2023-11-15T00:00")
_PAUSE = _TOKYO_OPEN + 150 * MINUTE_US, _TOKYO_OPEN + 210 * MINUTE_US
_TOKYO = Sessions([Session(date(2023, 11, 15), _TOKYO_OPEN, _TOKYO_OPEN + 360 * MINUTE_US, _PAUSE)])


@pytest.mark.parametrize(
    ("at", "interval", "expected"),
    [
        ("2023-11-15T12:34:56", "1s", ("11-15 12:34", "11-15 12:34", None)),
        ("2023-11-15T12:34", "3m", ("11-15 12:33", "11-15 12:36", None)),
        ("2023-11-15T23:59", "8h", ("11-15 16:00", "11-16 00:00", None)),
        ("2023-11-15T23:59", "1d", ("11-15 00:00", "11-16 00:00", None)),
        ("2023-11-15T12:00", "3d", ("11-13 00:00", "11-16 00:00", None)),
        ("2023-11-19T23:59", "1w", ("11-13 00:00", "11-20 00:00", None)),
        ("2023-11-20T00:00", "1w", ("11-20 00:00", "11-27 00:00", None)),
        ("2023-12-31T12:00", "1M", ("12-01 00:00", "01-01 00:00", None)),
    ],
)
def test_a_market_that_never_closes_goes_by_utc(at: str, interval: str, expected: tuple[str, str, None]) -> None:
    assert _text(Always().bar_of(_us(at), interval)) == expected


@pytest.mark.parametrize(
    ("zone", "at", "interval", "expected"),
    [
        ("Europe/Berlin", "2023-03-26T12:00", "1d", ("03-25 23:00", "03-26 22:00", None)),
        ("Europe/Berlin", "2023-10-29T12:00", "1d", ("10-28 22:00", "10-29 23:00", None)),
        ("America/New_York", "2023-11-05T12:00", "1w", ("10-30 04:00", "11-06 05:00", None)),
        # There is no midnight: the clock goes from 23:59 to 1:00.
        ("America/Sao_Paulo", "2018-11-04T12:00", "1d", ("11-04 03:00", "11-05 02:00", None)),
        # There is no 30th of December.
        ("Pacific/Apia", "2011-12-30T09:59", "1d", ("12-29 10:00", "12-30 10:00", None)),
        ("Pacific/Apia", "2011-12-30T10:00", "1d", ("12-30 10:00", "12-31 10:00", None)),
        ("Europe/Berlin", "2023-10-29T00:30", "4h", ("10-29 00:00", "10-29 04:00", None)),
    ],
)
def test_days_begin_with_their_first_moment_in_a_zone(zone: str, at: str, interval: str, expected: tuple[str, str, None]) -> None:
    assert _text(Always(ZoneInfo(zone)).bar_of(_us(at), interval)) == expected


@pytest.mark.parametrize(
    ("at", "interval", "expected"),
    [
        # Hours are counted from the open, which is an hour later by UTC in winter; the last one is short.
        ("2023-11-03T13:30", "1h", ("11-03 13:30", "11-03 14:30", "regular")),
        ("2023-11-06T14:30", "1h", ("11-06 14:30", "11-06 15:30", "regular")),
        ("2023-11-06T20:59", "1h", ("11-06 20:30", "11-06 21:00", "regular")),
        ("2023-11-24T17:59", "1h", ("11-24 17:30", "11-24 18:00", "regular")),
        # Days are sessions, stamped by their open; an early close ends them.
        ("2023-11-03T19:59", "1d", ("11-03 13:30", "11-03 20:00", "regular")),
        ("2023-11-24T14:30", "1d", ("11-24 14:30", "11-24 18:00", "regular")),
        ("2023-11-24T18:00", "1d", None),
        ("2023-11-22T14:29", "1d", None),
        # Weeks and months are of their sessions.
        ("2023-11-22T15:00", "1w", ("11-20 14:30", "11-24 18:00", "regular")),
        ("2023-11-22T15:00", "3d", ("11-22 14:30", "11-24 18:00", "regular")),
        ("2023-11-22T15:00", "1M", ("11-01 13:30", "11-24 18:00", "regular")),
        # Before and after sessions.
        ("2023-11-06T21:00", "30m", ("11-06 21:00", "11-06 21:30", "post")),
        ("2023-11-07T13:59", "1h", ("11-07 13:30", "11-07 14:30", "pre")),
        # Nobody knows what the table does not reach.
        ("2023-12-06T13:59", "1h", ("12-06 13:00", "12-06 14:00", None)),
        ("2023-01-06T13:59", "1d", ("01-06 00:00", "01-07 00:00", None)),
    ],
)
def test_an_exchange_goes_by_its_sessions(at: str, interval: str, expected: tuple[str, str, str] | None) -> None:
    assert _text(_NEW_YORK.bar_of(_us(at), interval)) == expected


def test_bars_begin_anew_after_a_pause() -> None:
    """In which nobody trades: what is there is of neither part."""
    found = [_text(_TOKYO.bar_of(_TOKYO_OPEN + minute * MINUTE_US, "1h")) for minute in (149, 150, 209, 210)]
    assert found == [
        ("11-15 02:00", "11-15 02:30", "regular"),
        ("11-15 02:30", "11-15 03:00", "post"),
        ("11-15 03:00", "11-15 03:30", "pre"),
        ("11-15 03:30", "11-15 04:30", "regular"),
    ]


def test_a_day_that_is_stamped_by_its_date_is_the_session_of_that_date() -> None:
    assert _text(_NEW_YORK.bar_of(_us("2023-11-24T00:00"), "1d", of_days=True)) == ("11-24 14:30", "11-24 18:00", "regular")
    assert _text(_NEW_YORK.bar_of(_us("2023-11-23T00:00"), "1d", of_days=True)) == ("11-24 14:30", "11-24 18:00", "regular")
    assert _NEW_YORK.bar_of(_us("2023-11-25T00:00"), "1d", of_days=True) is None


@given(
    st.sampled_from([_NEW_YORK, _TOKYO, Always(), Always(ZoneInfo("America/Sao_Paulo")), Always(ZoneInfo("Pacific/Apia"))]),
    st.integers(_us("2011-12-01T00:00"), _us("2024-02-01T00:00")) | st.integers(_us("2023-10-25T00:00"), _us("2023-12-01T00:00")),
    st.sampled_from(sorted(INTERVALS)),
)
def test_every_moment_of_a_bar_is_in_that_bar(calendar: Calendar, at_us: int, interval: str) -> None:
    at_us -= at_us % 1_000_000
    edges = calendar.bar_of(at_us, interval)
    if edges is None:
        return
    assert edges.start_us <= at_us < edges.end_us
    assert edges.end_us - edges.start_us <= 32 * DAY_US
    for moment_us in (edges.start_us, edges.end_us - 1):
        assert calendar.bar_of(moment_us, interval) in (edges, None)
    assert calendar.bar_of(edges.start_us, interval) == edges
