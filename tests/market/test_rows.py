"""Longer bars are what the rule makes of all stored minutes, and are read from few rows."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.trades import trade_key
from app.market import queries
from app.market.calendar import Always, Calendar, Sessions
from app.market.protocol import (
    BEGAN,
    Bar,
    Batch,
    Cancel,
    CandlePage,
    CandlesWanted,
    Export,
    Gap,
    Reader,
    Session,
    Span,
    Symbol,
    Writer,
)
from app.market.queries import Calendars
from app.market.selection import Row, Selection, usable
from app.market.spans import Gaps
from app.market.sqlite import EmbeddedWriter
from app.market.sqlite_opening import connect
from tests.market.counted import Counted
from tests.market.giving import bar, export, sessions, trade
from tests.market.places import DAY_US, MINUTE_US, NOON_US, Place

_DAY = 1_440
_MIDNIGHT_US = NOON_US - DAY_US // 2
_FIRST = date(2023, 11, 15)
_AS_STORED = """
SELECT start_us, interval, source, open, high, low, close, volume, notional, trades, rv, covered_s, is_partial, revision, 1
FROM candles WHERE symbol = 'A' ORDER BY start_us
"""


def _with_pause(session: Session) -> Session:
    return session._replace(pause=(session.opens_us + 150 * MINUTE_US, session.opens_us + 205 * MINUTE_US))


_MARKETS: dict[str, Sequence[Session]] = {
    "": (),
    "New York": sessions(_FIRST, [390, 210, None, 390]),
    # It closes within an hour of UTC, and others open with a day of UTC or before.
    "London": sessions(_FIRST, [510] * 4, opens_min=480),
    "Tokyo": [_with_pause(each) for each in sessions(_FIRST, [360] * 4, opens_min=0)],
    "Sydney": sessions(_FIRST, [365] * 4, opens_min=-61),
}
_filled = st.tuples(
    st.sampled_from(["trades", "x", "y", "5m", "1h", "1d"]),
    st.sampled_from([0, 17, _DAY]),
    st.sampled_from([_DAY, 2 * _DAY, 2 * _DAY + 90]),
    st.sampled_from([1, 1, 1, 3]),
)
_changed = st.tuples(
    st.sampled_from(["trades", "x", "partial", "cancel", "gap", "began", "filled", "5m", "1h"]),
    st.sampled_from([0, 1, 59, 60, 480, 870, 871, 990, 1_259, 1_260, _DAY, _DAY + 17]),
    st.sampled_from([1, 15, 59, 60, 61, 390]),
    st.sampled_from([1, 2]),
)
_steps = st.tuples(st.lists(_filled, min_size=2, max_size=4), st.lists(_changed, max_size=4)).map(
    lambda each: [*each[0], *each[1]]
)


class _Asked(NamedTuple):
    interval: str
    zone: str
    extended: bool
    descending: bool
    starts: int | None


_asked = st.builds(
    _Asked,
    st.sampled_from(["5m", "15m", "30m", "1h", "4h", "12h", "1d", "3d", "1w", "1M"]),
    st.sampled_from(["UTC", "UTC", "Asia/Kolkata", "Europe/Berlin"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, None, 47, 1_600]),
)


def _do(writer: Writer, kind: str, first: int, length: int, every: int) -> None:
    starts = range(_MIDNIGHT_US + first * MINUTE_US, _MIDNIGHT_US + (first + length) * MINUTE_US, every * MINUTE_US)
    spans = {"gap": None, "began": None, "filled": 1}
    if kind == "trades":
        writer.apply(Batch(trades=[trade(each // MINUTE_US, each, str(1 + each // MINUTE_US % 97)) for each in starts]))
    elif kind == "cancel":
        writer.apply(Batch(cancels=[Cancel("V", "A", trade_key(str(each // MINUTE_US))) for each in starts]))
    elif kind in spans:
        gap = Gap("V", "A", starts[0] + 1, starts[0] + length * MINUTE_US - 1, BEGAN if kind == "began" else "ids")
        writer.apply(Batch(gaps=[gap], filled=[Span(*gap[:4])] if kind == "filled" else []))
    elif kind in ("5m", "1h", "1d"):
        step_us = {"5m": 5 * MINUTE_US, "1h": DAY_US // 24, "1d": DAY_US}[kind]
        given_ones = range(starts[0] - starts[0] % step_us, starts[-1] + 1, step_us)
        writer.put_bars(Export("A", kind, "z", [bar(each, str(3 + every)) for each in given_ones]))
    else:
        source = "x" if kind == "partial" else kind
        bars = [bar(each, str(50 + each // MINUTE_US % 89), is_partial=kind == "partial") for each in starts]
        writer.put_bars(Export("A", "1m", source, bars))


@given(
    market=st.sampled_from(list(_MARKETS)),
    steps=_steps,
    asked=st.lists(_asked, min_size=2, max_size=4),
)
@settings(max_examples=25)
def test_longer_bars_are_what_the_rule_makes_of_every_minute(
    make_place: Callable[[], Place], market: str, steps: list[tuple[str, int, int, int]], asked: list[_Asked]
) -> None:
    """Over several sources, whole and sparse, with gaps, partial and longer given bars, of any calendar."""
    place = make_place()
    with closing(place.writer()) as writer:
        writer.put_symbols([Symbol("A", market=market)])
        if market:
            writer.put_sessions(market, _MARKETS[market])
        for step in steps:
            _do(writer, *step)
    rows = list(map(Row._make, place.rows(_AS_STORED)))
    gaps = place.read(lambda reader: reader.gaps("A", 0, 2**62))
    for each in asked:
        start_us = None if each.starts is None else _MIDNIGHT_US + each.starts * MINUTE_US
        expected = [bar for bar in _by_minutes(rows, gaps, market, each) if bar.start_us >= (start_us or 0)]
        wanted = CandlesWanted("A", each.interval, 10_000, start_us=start_us, zone=each.zone)
        wanted = wanted._replace(extended=each.extended, descending=each.descending)
        page = place.read(partial(_candles, wanted), "y")
        found = page.bars[:: -1 if each.descending else 1]
        assert [bar._replace(rv=None) for bar in found] == [bar._replace(rv=None) for bar in expected]
        for one, other in zip(found, expected, strict=True):
            assert one.rv == other.rv or math.isclose(one.rv or 0, other.rv or 0, rel_tol=1e-12)


async def _candles(wanted: CandlesWanted, reader: Reader) -> CandlePage:
    return await reader.candles(wanted)


def _by_minutes(rows: Iterable[Row], gaps: Iterable[Gap], market: str, asked: _Asked) -> Iterator[Bar]:
    zone = Always(None if asked.zone == "UTC" else ZoneInfo(asked.zone))
    exchange: Calendar | None = Sessions(_MARKETS[market]) if market else None
    calendar, given_by = exchange or zone, exchange or Always()
    selection = Selection("A", asked.interval, calendar, given_by, Gaps(gaps), ("y",), 10 * NOON_US, extended=asked.extended)
    return selection.bars(each for each in rows if usable(each.interval, asked.interval))


@pytest.fixture
def rows_read(tmp_path: Path) -> Callable[..., tuple[tuple[Bar, ...], int]]:
    """Of what ``fill`` wrote the bars of an interval, and how many rows were read for them."""

    def read(fill: Callable[[Writer], object], interval: str, **rest: Any) -> tuple[tuple[Bar, ...], int]:  # noqa: ANN401 - fields
        path = tmp_path / "market.sqlite3"
        with closing(EmbeddedWriter(path)) as writer:
            fill(writer)
        with closing(connect(path, 1.0)) as connection:
            counted = Counted(connection)
            wanted = CandlesWanted("A", interval, 100)._replace(**rest)
            page = queries.candles(counted, wanted, Calendars(), (), 10 * NOON_US)
        return page.bars, counted.rows

    return read


def _days(number: int, every: int = 1) -> range:
    return range(_MIDNIGHT_US, _MIDNIGHT_US + number * DAY_US, every * MINUTE_US)


def _traded(writer: Writer, starts: Iterable[int]) -> None:
    writer.apply(Batch(trades=[trade(each // MINUTE_US, each) for each in starts]))


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("interval", ["1d", "1w", "1M"])
def test_minutes_of_two_sources_are_read_by_the_blocks_of_one(
    interval: str, every: int, rows_read: Callable[..., tuple[tuple[Bar, ...], int]]
) -> None:
    """Where that one has all minutes of the day, or all that the other one has."""

    def fill(writer: Writer) -> None:
        _traded(writer, _days(4, every))
        writer.put_bars(export("x", _days(4, every)))

    bars, rows = rows_read(fill, interval)
    assert len(bars) == {"1d": 4, "1w": 1, "1M": 1}[interval]
    assert rows < 120


@pytest.mark.parametrize(("given_interval", "interval", "most"), [("1d", "1w", 130), ("1h", "1d", 250), ("5m", "1d", 1_400)])
def test_minutes_beside_longer_given_bars_are_read_by_blocks(
    given_interval: str, interval: str, most: int, rows_read: Callable[..., tuple[tuple[Bar, ...], int]]
) -> None:
    """Of four days, whose minutes are 5,760."""

    def fill(writer: Writer) -> None:
        _traded(writer, _days(4))
        length = {"1d": _DAY, "1h": 60, "5m": 5}[given_interval]
        writer.put_bars(export("x", _days(4, length), interval=given_interval))

    bars, rows = rows_read(fill, interval)
    assert len(bars) == {"1d": 4, "1w": 1}[interval]
    assert {each.sources for each in bars} == {("trades",)}
    assert rows < most


def test_a_gap_has_minutes_read_of_its_own_quarter_only(rows_read: Callable[..., tuple[tuple[Bar, ...], int]]) -> None:
    def fill(writer: Writer) -> None:
        _traded(writer, _days(4))
        writer.put_bars(export("x", _days(4)))
        at_us = _MIDNIGHT_US + DAY_US + 100 * MINUTE_US
        writer.apply(Batch(gaps=[Gap("V", "A", at_us, at_us + MINUTE_US, "ids")]))

    bars, rows = rows_read(fill, "1d")
    assert [each.sources for each in bars] == [("trades",), ("trades", "x"), ("trades",), ("trades",)]
    assert rows < 250


@pytest.mark.parametrize(("page", "of_gaps"), [({}, 20), ({"start_us": _MIDNIGHT_US + DAY_US}, 20), ({"descending": True}, 2)])
def test_gaps_far_from_a_page_are_not_read(
    page: dict[str, Any], of_gaps: int, rows_read: Callable[..., tuple[tuple[Bar, ...], int]]
) -> None:
    """One venue has one every ten minutes of four days; another has one of three."""

    def fill(writer: Writer) -> None:
        _traded(writer, _days(4))
        gaps = [Gap("V", "A", each + 1, each + 9, "ids") for each in _days(4, 10)]
        writer.apply(Batch(gaps=[*gaps, Gap("W", "A", 1, _MIDNIGHT_US + 3 * DAY_US, "ids")]))

    bars, rows = rows_read(fill, "1m", limit=20, **page)
    assert [bar.coverage for bar in bars].count("gap") == of_gaps
    assert rows < 220


@pytest.mark.parametrize("interval", ["1d", "1w", "1M"])
def test_minutes_outside_sessions_are_not_read_for_days(
    interval: str, rows_read: Callable[..., tuple[tuple[Bar, ...], int]]
) -> None:
    """Sixteen hours a day are traded, of which 390 minutes are in a session."""
    days = sessions(_FIRST, [390] * 4)

    def fill(writer: Writer) -> None:
        writer.put_symbols([Symbol("A", market="X")])
        writer.put_sessions("X", days)
        _traded(writer, (us for day in days for us in range(day.opens_us - 330 * MINUTE_US, day.closes_us, MINUTE_US)))

    bars, rows = rows_read(fill, interval)
    assert len(bars) == (4 if interval == "1d" else 1)
    assert rows < 180


def test_a_week_has_no_minute_of_after_a_close_within_an_hour(place: Place) -> None:
    """That a day does not have either."""
    days = sessions(_FIRST, [510] * 2, opens_min=480)
    with closing(place.writer()) as writer:
        writer.put_symbols([Symbol("A", market="X")])
        writer.put_sessions("X", days)
        writer.put_bars(export("x", range(days[0].opens_us, days[1].closes_us, MINUTE_US)))
    (week,) = place.read(lambda reader: reader.candles(CandlesWanted("A", "1w", 10))).bars
    assert week.volume == 2 * 510


@pytest.mark.parametrize(("every", "coverage"), [(1, "complete"), (7, "gap")])
def test_given_minutes_take_the_place_of_a_gap_only_where_they_are(every: int, coverage: str, place: Place) -> None:
    """Also where a block stands for them."""
    with closing(place.writer()) as writer:
        writer.put_bars(export("x", _days(2, every)))
        writer.apply(Batch(gaps=[Gap("V", "A", _MIDNIGHT_US, _MIDNIGHT_US + DAY_US, "ids")]))
    first = place.read(lambda reader: reader.candles(CandlesWanted("A", "1d", 10))).bars[0]
    assert first.coverage == coverage
