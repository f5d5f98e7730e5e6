"""Pages of bars, and which of overlapping sources count, in every store."""

import math
import random
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.candles import minute_of
from app.domain.intervals import INTERVALS
from app.domain.prices import EXACT
from app.domain.trades import Trade
from app.market.calendar import Always, Calendar, Sessions
from app.market.protocol import BEGAN, Bar, Batch, CandlePage, CandlesWanted, Export, Gap, Reader, Span, Symbol, Writer
from tests.market.giving import bar, export, minutes, sessions, trade
from tests.market.places import DAY_US, MINUTE_US, NOON_US, SECOND_US, Place

_SUMMER = sessions(date(2023, 10, 30), [390] * 5, opens_min=810)
_WINTER = sessions(date(2023, 11, 6), [*[390] * 5, None, None, *[390] * 3, None, 210])
"""New York's sessions around the end of summer time, with an early close."""
_FROM_US, _TO_US = _SUMMER[0].opens_us - DAY_US // 2, _WINTER[-1].closes_us + DAY_US // 4


def _wanted(interval: str = "1m", limit: int = 10_000, **rest: Any) -> CandlesWanted:  # noqa: ANN401 - its fields
    return CandlesWanted("A", interval, limit)._replace(**rest)


def _bars(place: Place, *sources: str, now_us: int = 10 * NOON_US, **rest: Any) -> tuple[Bar, ...]:  # noqa: ANN401 - fields
    return place.read(lambda reader: reader.candles(_wanted(**rest)), *sources, now_us=now_us).bars


async def _paged(reader: Reader, wanted: CandlesWanted) -> list[Bar]:
    """All pages, one after the other."""
    found: list[Bar] = []
    while True:
        page = await reader.candles(wanted)
        assert len(page.bars) <= wanted.limit
        found += page.bars
        if page.after_us is None:
            return found
        assert len(page.bars) == wanted.limit
        wanted = wanted._replace(after_us=page.after_us)


def _by_hand(
    trades: Sequence[Trade], calendar: Calendar, closes: Sequence[int], interval: str, *, extended: bool
) -> list[tuple[object, ...]]:
    """Start, end, prices, volume and count of the bars of ``trades``, which stand in order."""
    found: dict[tuple[int, int], list[Trade]] = {}
    for each in trades:
        edges = calendar.bar_of(minute_of(each.time_us, closes), interval)
        if edges is not None and (extended or edges.session in (None, "regular")):
            found.setdefault(edges[:2], []).append(each)
    bars: list[tuple[object, ...]] = []
    for (start_us, end_us), some in found.items():
        prices = [each.price for each in some]
        volume = sum((each.size for each in some), Decimal(0))
        bars.append((start_us, end_us, prices[0], max(prices), min(prices), prices[-1], volume, len(some)))
    return bars


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "sessions", "extended"])
def test_longer_bars_are_those_of_their_trades(place: Place, zone: str) -> None:
    """Over the end of summer time and an early close; page by page from both ends."""
    rng = random.Random(zone)
    times = sorted(rng.randrange(_FROM_US, _TO_US, MINUTE_US // 2) for _ in range(3_000))
    trades = [trade(number, at, f"{rng.randint(1, 999)}.5", f"0.{rng.randint(1, 999)}") for number, at in enumerate(times)]
    writer = place.writer()
    writer.apply(Batch(trades=trades))
    calendar: Calendar = Always(ZoneInfo(zone)) if "/" in zone else Always()
    closes: list[int] = []
    if zone in ("sessions", "extended"):
        writer.put_symbols([Symbol("A", market="X")])
        writer.put_sessions("X", _SUMMER + _WINTER)
        calendar = Sessions(_SUMMER + _WINTER)
        closes = [each.closes_us for each in _SUMMER + _WINTER]

    async def check(reader: Reader) -> None:
        for interval in [each for each in INTERVALS if each != "1s"]:
            wanted = _wanted(interval, 97, extended=zone == "extended", zone=zone if "/" in zone else "UTC")
            found = await _paged(reader, wanted)
            expected = _by_hand(trades, calendar, closes, interval, extended=zone == "extended")
            assert [(*each[2:9], each.trades) for each in found] == expected, interval
            assert await _paged(reader, wanted._replace(descending=True)) == found[::-1]
            assert (await reader.candles(wanted._replace(offset=1, limit=2))).bars == tuple(found[1:3])

    place.read(check)


def test_a_page_has_the_bars_that_begin_in_its_span(place: Place) -> None:
    """The start is included, the end is not; nothing goes on behind the last one."""
    place.writer().apply(Batch(trades=[trade(number, NOON_US + number * MINUTE_US) for number in range(20)]))

    def starts(**rest: Any) -> list[int]:  # noqa: ANN401 - as above
        return [(each.start_us - NOON_US) // MINUTE_US for each in _bars(place, **rest)]

    assert starts(start_us=NOON_US + 3 * MINUTE_US, end_us=NOON_US + 6 * MINUTE_US) == [3, 4, 5]
    assert starts(start_us=NOON_US + 3 * MINUTE_US + 1, end_us=NOON_US + 6 * MINUTE_US + 1, descending=True) == [6, 5, 4]
    assert starts(interval="5m", start_us=NOON_US + 1, end_us=NOON_US + 15 * MINUTE_US) == [5, 10]
    # What begins before the end is whole, though it ends after it.
    (last,) = _bars(place, interval="15m", start_us=NOON_US, end_us=NOON_US + 1)
    assert (last.trades, last.end_us) == (15, NOON_US + 15 * MINUTE_US)
    assert starts(interval="15m", descending=True, end_us=NOON_US + 1)[:1] == [0]
    page = place.read(lambda reader: reader.candles(_wanted(limit=20)))
    assert (len(page.bars), page.after_us) == (20, None)
    assert place.read(lambda reader: reader.candles(_wanted()._replace(symbol="NONE"))) == CandlePage((), None, is_known=False)


def test_a_bar_says_all_that_is_known_of_it(place: Place) -> None:
    """Of five minutes the variances and seconds are added; what its sources do not say is nothing."""
    writer = place.writer()
    times = [NOON_US + 2 * SECOND_US, NOON_US + 30 * SECOND_US, NOON_US + 61 * SECOND_US]
    writer.apply(
        Batch(trades=[trade(n, at, price, "2") for n, (at, price) in enumerate(zip(times, ("10", "20", "5"), strict=True))])
    )
    writer.apply(Batch(trades=[trade(9, NOON_US + 3 * SECOND_US, "12")]))
    (found,) = _bars(place, interval="5m")
    prices = tuple(map(Decimal, ("10", "20", "5", "5", "7", "82")))
    assert found[:10] == ("A", "5m", NOON_US, NOON_US + 5 * MINUTE_US, *prices)
    logs = [math.log(1.2), math.log(20 / 12), math.log(5 / 20)]
    assert found.rv == pytest.approx(sum(each**2 for each in logs), rel=1e-12)
    assert found[10:] == (4, found.rv, 58 + 60, "complete", 2, None, ("trades",))
    writer.put_bars(Export("B", "1m", "x", [bar(NOON_US), bar(NOON_US + MINUTE_US)]))
    (found,) = _bars(place, symbol="B", interval="5m")
    assert found[9:] == (None, None, None, None, "complete", 1, None, ("x",))


@pytest.mark.parametrize("interval", ["1m", "1h"])
def test_a_bar_that_is_not_over_is_open(place: Place, interval: str) -> None:
    place.writer().apply(Batch(trades=[trade(1)]))
    length_us = INTERVALS[interval] * SECOND_US
    for now_us, expected in ((NOON_US + length_us - 1, "open"), (NOON_US + length_us, "complete")):
        assert [each.coverage for each in _bars(place, interval=interval, now_us=now_us)] == [expected]
    assert _bars(place, interval=interval, now_us=NOON_US + 1, complete_only=True) == ()


def test_a_gap_is_said_of_every_bar_that_it_touches_until_it_is_filled(place: Place) -> None:
    """Of longer ones too where the minutes that it touches have no bar; what began to be heard is known in part."""
    writer = place.writer()
    writer.apply(Batch(trades=[trade(number, NOON_US + number * MINUTE_US) for number in (0, 1, 4)]))
    gap = Gap("V", "A", NOON_US + MINUTE_US + 5, NOON_US + 3 * MINUTE_US, "ids")

    def coverages(**rest: Any) -> list[str]:  # noqa: ANN401 - as above
        return [each.coverage for each in _bars(place, **rest)]

    writer.apply(Batch(gaps=[gap]))
    assert coverages() == ["complete", "gap", "complete"]
    assert coverages(interval="3m") == ["gap", "complete"]
    assert coverages(complete_only=True) == ["complete", "complete"]
    assert coverages(interval="5m", now_us=NOON_US) == ["gap"]
    writer.apply(Batch(filled=[Span("V", "A", NOON_US, NOON_US + DAY_US)]))
    assert coverages() == ["complete", "backfilled", "complete"]
    assert coverages(interval="1d", complete_only=True) == ["backfilled"]
    writer.apply(Batch(gaps=[gap._replace(from_us=NOON_US + 4 * MINUTE_US, to_us=NOON_US + 4 * MINUTE_US + 9, found_by=BEGAN)]))
    assert coverages() == ["complete", "backfilled", "partial"]
    assert coverages(interval="1d") == ["partial"]


def _sources(place: Place, *order: str, **rest: Any) -> list[tuple[str, ...]]:  # noqa: ANN401 - as above
    return [each.sources for each in _bars(place, *order, **rest)]


def test_a_complete_bar_of_trades_counts_before_given_ones_and_a_partial_one_after(place: Place) -> None:
    """Given ones count by the order of sources; those that it does not name come last, by their names."""
    writer = place.writer()
    writer.apply(Batch(trades=[trade(number, NOON_US + number * MINUTE_US) for number in range(3)]))
    writer.apply(Batch(gaps=[Gap("V", "A", NOON_US + MINUTE_US, NOON_US + 3 * MINUTE_US, "ids")]))
    writer.put_bars(export("x", minutes(0, 1)))
    writer.put_bars(export("y", minutes(0, 1)))
    assert _sources(place) == [("trades",), ("x",), ("trades",)]
    assert _sources(place, "y", "x") == [("trades",), ("y",), ("trades",)]
    assert _sources(place, "y", interval="3m") == [("trades", "y")]
    assert [each.coverage for each in _bars(place, interval="3m")] == ["gap"]
    writer.put_bars(export("z", minutes(0, 2)))
    assert _sources(place, "z", interval="3m") == [("trades", "z")]
    assert [each.coverage for each in _bars(place, "z", interval="3m")] == ["complete"]
    writer.apply(Batch(filled=[Span("V", "A", NOON_US, NOON_US + DAY_US)]))
    assert _sources(place, "y") == [("trades",)] * 3


def test_a_longer_given_bar_counts_where_minutes_of_trades_are_lacking(place: Place) -> None:
    """The longest that fits goes first, then the order of sources; and one that was not over is partial."""
    writer = place.writer()
    hour_us = NOON_US // DAY_US * DAY_US + DAY_US // 2
    writer.apply(Batch(trades=[trade(1, hour_us)]))
    writer.put_bars(export("x", [hour_us], "7", interval="1h"))
    writer.put_bars(export("y", [hour_us, hour_us + 30 * MINUTE_US], "8", interval="30m"))
    # As its halves are: nothing was traded in the second one.
    assert _sources(place, interval="1h") == [("trades", "y")]
    writer.apply(Batch(gaps=[Gap("V", "A", hour_us + MINUTE_US, hour_us + 2 * MINUTE_US, "ids")]))
    assert [(each.sources, str(each.close), each.coverage) for each in _bars(place, "y", interval="1h")] == [
        (("x",), "7", "complete")
    ]
    assert _sources(place, interval="30m") == [("y",), ("y",)]
    assert _sources(place, interval="1d") == [("x",)]
    writer.put_bars(Export("A", "1h", "w", [bar(hour_us, "9", is_partial=True)]))
    assert [(each.sources, each.coverage) for each in _bars(place, "w", interval="1h")] == [(("w",), "partial")]
    assert _sources(place, interval="1m") == [("trades",)]


def test_a_shorter_given_bar_takes_the_place_of_its_own_minutes_alone(place: Place) -> None:
    """A day with a gap in one of its hours is not made of the one hour that somebody gave."""
    writer = place.writer()
    hour_us = DAY_US // 24
    writer.apply(Batch(trades=[trade(number, NOON_US + number * hour_us // 4, size="2") for number in range(12)]))
    writer.apply(Batch(gaps=[Gap("V", "A", NOON_US + hour_us + 5, NOON_US + hour_us + 9, "ids")]))
    writer.put_bars(export("x", [NOON_US, NOON_US + hour_us], interval="1h"))
    assert [(each.sources, int(each.volume)) for each in _bars(place, interval="1h")] == [
        (("trades",), 8),
        (("x",), 1),
        (("trades",), 8),
    ]
    (found,) = _bars(place, interval="1d")
    assert (found.sources, int(found.volume), found.coverage) == (("trades", "x"), 17, "complete")
    writer.put_bars(export("y", [NOON_US - DAY_US // 2], interval="1d"))
    assert _sources(place, interval="1d") == [("y",)]


def test_days_of_utc_are_not_those_of_another_zone(place: Place) -> None:
    """But hours make up both."""
    writer = place.writer()
    day_us = NOON_US - DAY_US // 2
    writer.put_bars(export("x", [day_us], interval="1d"))
    assert len(_bars(place, interval="1d")) == 1
    assert _bars(place, interval="1d", zone="Europe/Berlin") == ()
    writer.put_bars(export("y", range(day_us, day_us + DAY_US, DAY_US // 24), interval="1h"))
    found = _bars(place, interval="1d", zone="Europe/Berlin")
    assert [(each.start_us - day_us, int(each.volume)) for each in found] == [(-DAY_US // 24, 23), (23 * DAY_US // 24, 1)]


def test_a_day_that_is_stamped_by_its_date_is_its_session_once_from_both_ends(place: Place) -> None:
    writer = place.writer()
    writer.put_symbols([Symbol("A", market="X")])
    writer.put_sessions("X", _WINTER)
    days = [each.opens_us // DAY_US * DAY_US for each in _WINTER]
    writer.put_bars(export("x", days, interval="1d"))
    expected = [(each.opens_us, each.closes_us) for each in _WINTER]

    async def check(reader: Reader) -> None:
        for limit in (1, 3, 100):
            wanted = _wanted("1d", limit)
            assert [each[2:4] for each in await _paged(reader, wanted)] == expected
            assert [each[2:4] for each in await _paged(reader, wanted._replace(descending=True))] == expected[::-1]
        first = await reader.candles(_wanted("1d", start_us=_WINTER[1].opens_us, end_us=_WINTER[2].opens_us))
        assert [each[2:4] for each in first.bars] == expected[1:2]

    place.read(check)


_loads = st.lists(
    st.one_of(
        st.tuples(st.just("x"), st.integers(0, 9), st.integers(0, 4)),
        st.tuples(st.just("y"), st.integers(0, 9), st.integers(0, 4)),
        st.tuples(st.just("y5"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("trade"), st.integers(0, 12), st.integers(0, 9)),
        st.tuples(st.just("gap"), st.integers(0, 12), st.integers(0, 2)),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda each: each[:2],
)


def _load(writer: Writer, kind: str, first: int, more: int) -> None:
    if kind == "trade":
        writer.apply(Batch(trades=[trade(first * 10 + more, NOON_US + first * MINUTE_US, str(more + 1))]))
    elif kind == "gap":
        at_us = NOON_US + first * MINUTE_US
        writer.apply(Batch(gaps=[Gap("V", "A", at_us + 1, at_us + more * MINUTE_US + 2, "ids")]))
    elif kind == "y5":
        writer.put_bars(export("y", [NOON_US + first * 5 * MINUTE_US], "7", interval="5m"))
    else:
        writer.put_bars(export(kind, minutes(first, first + more), str(20 + first)))


@given(loads=_loads, data=st.data())
@settings(max_examples=40)
def test_what_counts_does_not_depend_on_the_order_of_loading(
    make_place: Callable[[], Place], loads: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    """And a bar of five minutes made of minutes is the sum of those that are shown."""
    found = []
    for order in (loads, data.draw(st.permutations(loads))):
        place = make_place()
        writer = place.writer()
        for load in order:
            _load(writer, *load)
        writer.close()
        shown = {interval: _bars(place, "y", "x", interval=interval) for interval in ("1m", "5m", "1h")}
        found.append({interval: [each._replace(revision=0) for each in bars] for interval, bars in shown.items()})
    assert found[0] == found[1]
    if not any(kind == "y5" for kind, *_ in loads):
        volume = Decimal(0)
        for each in found[0]["1m"]:
            volume = EXACT.add(volume, each.volume)
        assert [each.volume for each in found[0]["1h"]] == [volume][: len(found[0]["1h"])]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"interval": "7m"}, "interval is '7m'; allowed: 1s, 1m"),
        ({"zone": "Mars/Base"}, "zone is 'Mars/Base'; allowed: a name of the time zone database"),
        *(
            ({"zone": name}, f"zone is '{name}'; allowed: a name of the time zone database")
            for name in ("localtime", "posixrules", "Factory", "right/Europe/Berlin", "posix/Europe/Berlin")
        ),
        ({"zone": "../etc"}, "allowed: a name of the time zone database"),
        ({"limit": 0}, "limit is 0; allowed: 1 to 10000"),
        ({"limit": 10_001}, "limit is 10001; allowed: 1 to 10000"),
        ({"offset": -1}, "offset is -1; allowed: 0 and above"),
    ],
)
def test_what_cannot_be_asked_is_refused(place: Place, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        place.read(lambda reader: reader.candles(_wanted()._replace(**wrong)))


def test_seconds_are_those_that_a_source_gave(place: Place) -> None:
    place.writer().put_bars(export("x", [NOON_US, NOON_US + SECOND_US], interval="1s"))
    assert [each.end_us - each.start_us for each in _bars(place, interval="1s")] == [SECOND_US] * 2
    assert _bars(place, interval="1m") == ()
