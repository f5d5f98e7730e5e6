"""Quarters, hours and days that are kept are the sums of their minutes, and pages are as if there were none."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.trades import trade_key
from app.market.calendar import Always, Calendar, Edges, Sessions
from app.market.protocol import Bar, Batch, Cancel, CandlesWanted, Export, Gap, Symbol, Writer
from tests.market.giving import bar, sessions, trade
from tests.market.places import MINUTE_US, NOON_US, Place

_SESSIONS = sessions(date(2023, 11, 14), [390] * 4)
# Minutes near the edges of hours, days and sessions.
_minutes = st.sampled_from([0, 1, 29, 30, 59, 60, 61, 540, 539, 719, 720, 721, 1_439, 1_440, 2_159, 2_160, 2_161, 3_000])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), _minutes, st.integers(1, 5)),
        st.tuples(st.just("cancel"), _minutes, st.integers(1, 5)),
        st.tuples(st.just("x"), _minutes, st.integers(1, 90)),
        st.tuples(st.just("gap"), _minutes, st.integers(1, 90)),
        st.tuples(st.just("5m"), _minutes.map(lambda minute: minute - minute % 5), st.integers(1, 9)),
    ),
    min_size=1,
    max_size=12,
)


def _step(writer: Writer, kind: str, minute: int, more: int) -> None:
    at_us = NOON_US + minute * MINUTE_US
    if kind == "trade":
        writer.apply(Batch(trades=[trade(10 * minute + more, at_us + more, str(more), str(more))]))
    elif kind == "cancel":
        writer.apply(Batch(cancels=[Cancel("V", "A", trade_key(str(10 * minute + more)))]))
    elif kind == "5m":
        starts = range(at_us, at_us + 5 * more * MINUTE_US, 5 * MINUTE_US)
        writer.put_bars(Export("A", "5m", "y", [bar(each, str(minute + 5)) for each in starts]))
    elif kind == "gap":
        writer.apply(Batch(gaps=[Gap("V", "A", at_us, at_us + more * MINUTE_US, "ids")]))
    else:
        writer.put_bars(Export("A", "1m", "x", [bar(at_us + each * MINUTE_US, str(minute + 9)) for each in range(0, more, 7)]))


@pytest.mark.parametrize("has_sessions", [False, True])
@given(steps=_steps)
@settings(max_examples=30)
def test_blocks_are_sums_of_minutes_and_change_no_answer(
    make_place: Callable[[], Place], *, steps: list[tuple[str, int, int]], has_sessions: bool
) -> None:
    """After late and cancelled trades, given bars and gaps; at intervals with and without sessions and zones, from both ends."""
    place = make_place()
    writer = place.writer()
    if has_sessions:
        writer.put_symbols([Symbol("A", market="X")])
        writer.put_sessions("X", _SESSIONS)
    for each in steps:
        _step(writer, *each)
    writer.close()
    assert place.blocks() == place.blocks_of_minutes()
    wanted = [
        CandlesWanted("A", interval, 1_000, start_us=start_us, descending=descending, extended=True, zone=zone)
        for interval in ("30m", "1h", "4h", "1d", "1w")
        for zone in ("UTC", "Europe/Berlin")
        for start_us in (None, NOON_US + 30 * MINUTE_US)
        for descending in (False, True)
    ]
    pages = place.read(lambda reader: asyncio.gather(*map(reader.candles, wanted)))
    shown = place.read(lambda reader: reader.candles(CandlesWanted("A", "5m", 10_000, extended=True))).bars
    for asked, page in zip(wanted, pages, strict=True):
        zone = Always(None if asked.zone == "UTC" else ZoneInfo(asked.zone))
        expected = [
            each
            for each in _of_shown(shown, Sessions(_SESSIONS) if has_sessions else zone, asked)
            if each[0] >= (asked.start_us or 0)
        ]
        found = [(*each[2:9], each.trades, each.revision, each.sources) for each in page.bars]
        assert found == expected[:: -1 if asked.descending else 1]


def _of_shown(shown: Sequence[Bar], calendar: Calendar, asked: CandlesWanted) -> list[tuple[Any, ...]]:
    """What bars are made of these shorter ones, by hand."""
    groups: dict[Edges, list[Bar]] = {}
    for each in shown:
        edges = calendar.bar_of(each.start_us, asked.interval)
        if edges is not None:
            groups.setdefault(edges, []).append(each)
    found = []
    for edges, some in groups.items():
        prices = some[0].open, max(each.high for each in some), min(each.low for each in some), some[-1].close
        trades = [each.trades for each in some if each.trades is not None]
        volume, count = sum((each.volume for each in some), Decimal(0)), sum(trades) if len(trades) == len(some) else None
        sources = tuple(sorted({source for each in some for source in each.sources}))
        found.append((*edges[:2], *prices, volume, count, 1 + sum(each.revision - 1 for each in some), sources))
    return found
