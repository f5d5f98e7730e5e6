"""How many bars there are beside a page, and which gaps touch it, in every store."""

import random
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app.domain.intervals import INTERVALS
from app.domain.nearest import found_in, neighbours_of
from app.errors import MarketError
from app.market import counting
from app.market.calendar import Always
from app.market.counting import COUNT_MAX
from app.market.kinds import Kind
from app.market.protocol import Batch, CandlePage, CandlesWanted, Gap, Reader, Symbol, TradesWanted
from app.market.queries import Calendars, candles
from app.market.selection import Selection
from app.market.spans import Gaps
from app.market.sqlite import EmbeddedWriter
from app.market.sqlite_opening import connect
from tests.market.counted import Counted
from tests.market.giving import export, minutes, sessions, trade
from tests.market.places import DAY_US, MINUTE_US, NOON_US, SECOND_US, Place

_ALL = 10_000
_SESSIONS = sessions(date(2023, 11, 13), [*[390] * 5, None, None, 210, 390])


def _wanted(interval: str = "1m", limit: int = 1, **rest: Any) -> CandlesWanted:  # noqa: ANN401 - its fields
    return CandlesWanted("A", interval, limit, counts=True)._replace(**rest)


@pytest.mark.parametrize("market", ["", "X"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_total_is_the_number_of_all_bars_of_the_span_and_an_offset_passes_over_so_many(
    market: str, zone: str, place: Place
) -> None:
    """Of several sources, by blocks and without, with bars outside sessions and without, whichever page it stands beside."""
    rng, writer = random.Random(market + zone), place.writer()
    writer.put_symbols([Symbol("A", market=market)])
    writer.put_sessions("X", _SESSIONS)
    first_us = _SESSIONS[0].opens_us - DAY_US
    starts = sorted(rng.sample(range(first_us, first_us + 9 * DAY_US, MINUTE_US), 600))
    writer.apply(Batch(trades=[trade(number, at_us) for number, at_us in enumerate(starts)]))
    writer.put_bars(export("x", sorted(rng.sample(range(first_us, first_us + 9 * DAY_US, MINUTE_US), 300))))
    writer.put_bars(export("y", range(first_us // DAY_US * DAY_US, first_us + 12 * DAY_US, DAY_US), interval="1d"))
    writer.put_bars(export("z", range(first_us - first_us % (DAY_US // 24), first_us + DAY_US, DAY_US // 24), interval="1h"))
    span = first_us + rng.randrange(5 * DAY_US), first_us + rng.randrange(6, 9) * DAY_US
    spans: list[tuple[int | None, int | None]] = [(None, None), (None, span[1]), span]

    async def check(reader: Reader) -> None:
        for interval in ("1m", "5m", "1h", "12h", "1d", "1w", "1M"):
            for start_us, end_us in spans:
                wanted = _wanted(interval, start_us=start_us, end_us=end_us, extended=rng.random() < 0.5, zone=zone)
                page: dict[str, Any] = rng.choice([{"descending": True}, {"offset": 3}, {"offset": 5_000}])
                bars = (await reader.candles(wanted._replace(limit=_ALL))).bars
                assert (await reader.candles(wanted._replace(**page))).total == len(bars), (wanted, page)
                for descending in (False, True):
                    offset = rng.randrange(len(bars) + 2)
                    page = {"offset": offset, "limit": 7, "descending": descending}
                    found = await reader.candles(wanted._replace(**page))
                    assert found.bars == (bars[::-1] if descending else bars)[offset : offset + 7], (wanted, page)
                    assert (found.after_us is None) is (offset + 7 >= len(bars)), (wanted, page)

    place.read(check)


def test_what_would_take_longer_than_the_page_is_not_counted(place: Place) -> None:
    """Bars without end, ones that must be looked at, and none where nobody asks."""
    writer = place.writer()
    writer.put_bars(export("x", minutes(1, COUNT_MAX)))
    assert _page(place).total == COUNT_MAX
    assert _page(place, counts=False).total is None
    assert _page(place, complete_only=True).total is None
    assert _page(place, complete_only=True, limit=_ALL).total == COUNT_MAX
    writer.put_bars(export("y", minutes(COUNT_MAX + 1, COUNT_MAX + 1)))
    assert _page(place).total is None
    assert _page(place, end_us=NOON_US + 11 * MINUTE_US).total == 10
    assert _page(place, interval="5m").total == COUNT_MAX // 5 + 1
    writer.put_symbols([Symbol("A", market="X")])
    writer.put_sessions("X", _SESSIONS)
    assert _page(place, extended=True).total is None


@pytest.mark.parametrize("interval", ["5m", "1h", "1d", "1w"])
def test_minutes_outside_sessions_cost_a_total_next_to_nothing(interval: str, place: Place) -> None:
    """Three weeks of New York's, traded from 4:00 to 20:00; bars of a session are a few dozen."""
    days = sessions(date(2023, 11, 13), [*[390] * 5, None, None] * 3)
    writer = place.writer()
    writer.put_symbols([Symbol("A", market="X")])
    writer.put_sessions("X", days)
    traded = (each.opens_us + minute * MINUTE_US for each in days for minute in range(-330, 630))
    writer.put_bars(export("x", traded))
    expected = {"5m": 15 * 78, "1h": 15 * 7, "1d": 15, "1w": 3}[interval]
    assert (_page(place, interval=interval).total, len(_page(place, interval=interval, limit=_ALL).bars)) == (expected, expected)


@pytest.mark.parametrize("interval", ["3m", "5m"])
def test_parts_of_full_quarters_are_counted_as_those_of_others_are(interval: str, place: Place) -> None:
    """Of two sources, nearly whole, over spans that begin and end anywhere."""
    rng, writer = random.Random(interval), place.writer()
    for source, lacking in (("x", rng.sample(range(3_000), 60)), ("y", [*range(9), *range(700, 760), *range(2_911, 3_000)])):
        writer.put_bars(export(source, (NOON_US + each * MINUTE_US for each in range(3_000) if each not in lacking)))

    async def check(reader: Reader) -> None:
        for _ in range(12):
            first, last = sorted(rng.sample(range(-10, 3_010), 2))
            wanted = _wanted(interval, start_us=NOON_US + first * MINUTE_US + rng.randrange(2), end_us=NOON_US + last * MINUTE_US)
            bars = (await reader.candles(wanted._replace(limit=_ALL))).bars
            assert (await reader.candles(wanted)).total == len(bars)
            offset, descending = rng.randrange(len(bars) + 1), rng.random() < 0.5
            page = await reader.candles(wanted._replace(offset=offset, limit=5, descending=descending))
            assert page.bars == (bars[::-1] if descending else bars)[offset : offset + 5]

    place.read(check)


@pytest.mark.parametrize("interval", ["3m", "5m"])
def test_a_total_of_parts_of_quarters_costs_little_more_than_one_of_minutes(interval: str, tmp_path: Path) -> None:
    """In steps of SQLite's machine, where hardly a minute is lacking."""
    starts = [each for each in minutes(0, 25_000) if each != NOON_US + 9 * MINUTE_US]
    with closing(EmbeddedWriter(tmp_path / "market.sqlite3")) as writer:
        writer.put_bars(export("x", starts))

    def steps(of: str, last: int) -> int:
        found = [0]

        def count() -> None:
            found[0] += 100

        with closing(connect(tmp_path / "market.sqlite3", 1.0)) as connection:
            always = Always()
            selection = Selection("A", of, always, always, Gaps(()), (), 10 * NOON_US, extended=True)
            span = NOON_US, NOON_US + last * MINUTE_US
            connection.set_progress_handler(count, 100)
            number = counting.total(connection, "A", of, [Kind("1m", "x", starts[-1])], selection, span, is_by_clock=True)
            connection.set_progress_handler(None, 0)
        assert number == last * MINUTE_US // (INTERVALS[of] * SECOND_US) - (of == "1m")
        return found[0]

    assert steps(interval, 14_700) < 2 * steps("1m", 4_900)


@pytest.mark.parametrize(("interval", "every"), [("1m", 1), ("1m", 2), ("5m", 1)])
def test_a_history_too_long_to_count_costs_a_total_next_to_nothing(interval: str, every: int, tmp_path: Path) -> None:
    """In steps of SQLite's machine; also where of two minutes one is lacking."""
    path, span = tmp_path / "market.sqlite3", (NOON_US, 2**62)
    length = INTERVALS[interval] // INTERVALS["1m"]
    starts = [NOON_US + each * MINUTE_US for each in range(0, (COUNT_MAX + 1_500) * length * every, every)]
    with closing(EmbeddedWriter(path)) as writer:
        writer.put_bars(export("x", starts))
    with closing(connect(path, 1.0)) as connection:
        always, steps = Always(), [0]
        selection = Selection("A", interval, always, always, Gaps(()), (), 10 * NOON_US, extended=True)

        def step() -> None:
            steps[0] += 1

        connection.set_progress_handler(step, 1)
        kinds = [Kind("1m", "x", starts[-1])]
        assert counting.total(connection, "A", interval, kinds, selection, span, is_by_clock=True) is None
        connection.set_progress_handler(None, 0)
    assert steps[0] < 2_000


@pytest.mark.parametrize("page", [{"start_us": NOON_US}, {"descending": True}, {"after_us": NOON_US, "counts": False}])
def test_a_page_takes_three_statements_and_gaps_of_its_time_one_more(page: dict[str, Any], place: Place) -> None:
    """A database may be far away. Without a total there are two."""
    writer = place.writer()
    writer.put_bars(export("x", minutes(1, COUNT_MAX + 2_000)))

    def told() -> tuple[int, int]:
        with place.contents() as contents:
            counted = Counted(contents._connection)
            found = candles(counted, _wanted(limit=100, **page), Calendars(), (), 10 * NOON_US)
            return counted.statements - page.get("counts", True), len(found.gaps)

    assert told() == (2, 0)
    gap = Gap("V", "A", NOON_US - 2 * MINUTE_US, NOON_US - MINUTE_US, "ids", 1)
    writer.apply(Batch(gaps=[gap]))
    assert told() == (2, 0)
    writer.apply(Batch(gaps=[gap._replace(from_us=NOON_US + (COUNT_MAX + 1_999) * MINUTE_US, to_us=NOON_US + 100 * DAY_US)]))
    assert told() == (3, int("descending" in page))


def _page(place: Place, **rest: Any) -> CandlePage:  # noqa: ANN401 - fields
    return place.read(lambda reader: reader.candles(_wanted(**rest)))


def test_each_gap_stands_beside_the_page_that_it_touches(place: Place) -> None:
    """Also where no bar is; pages together have every one."""
    writer = place.writer()
    writer.apply(Batch(trades=[trade(number, NOON_US + number * 10 * MINUTE_US) for number in range(6)]))
    gaps = [Gap("V", "A", NOON_US + at * MINUTE_US, NOON_US + (at + 1) * MINUTE_US, "ids", at) for at in (-100, 5, 10, 31, 500)]
    writer.apply(Batch(gaps=[*gaps, gaps[0]._replace(symbol="B")]))

    async def pages(reader: Reader, wanted: CandlesWanted) -> list[tuple[Gap, ...]]:
        found = []
        while True:
            page = await reader.candles(wanted)
            found.append(page.gaps)
            if page.after_us is None:
                return found
            wanted = wanted._replace(after_us=page.after_us)

    async def check(reader: Reader) -> None:
        assert await pages(reader, _wanted(limit=2)) == [tuple(gaps[:3]), (), tuple(gaps[3:])]
        backwards = [tuple(gaps[4:]), tuple(gaps[3:4]), tuple(gaps[:3])]
        assert await pages(reader, _wanted(limit=2, descending=True)) == backwards
        span: dict[str, Any] = {"start_us": NOON_US + 5 * MINUTE_US, "end_us": NOON_US + 11 * MINUTE_US}
        assert await pages(reader, _wanted(**span)) == [tuple(gaps[1:3])]
        assert await pages(reader, _wanted(**span | {"end_us": NOON_US + 7 * MINUTE_US})) == [tuple(gaps[1:2])]

    place.read(check)


def test_symbols_are_named_in_order_by_pages_beside_those_that_are_elsewhere(place: Place) -> None:
    writer = place.writer()
    writer.put_symbols([Symbol(each) for each in ("B", "A", "C.X")])
    others, more = ["0", "A", "a"], ["C.X"]

    async def check(reader: Reader) -> None:
        for _ in range(2):
            assert await reader.names(10, "", others) == (["A", "B", "C.X"], 2)
        assert await reader.names(1, "A", others) == (["B"], 2)
        assert await reader.names(1, "B.", more) == (["C.X"], 2)
        writer.put_symbols([Symbol("a")])
        assert await reader.names(9, "C", others) == (["C.X", "a"], 2)
        writer.put_symbols([Symbol("b")])
        assert await reader.names(9, "b", others) == ([], 3)

    place.read(check)


def test_neighbours_of_a_symbol_are_found_as_in_memory(place: Place) -> None:
    names = sorted(["AAPL", "BRK.B", "BTC-USDT", "^GSPC", "0700.HK", *(f"AA{number}" for number in range(100))])
    place.writer().put_symbols([Symbol(each) for each in names])

    async def check(reader: Reader) -> None:
        for asked in ("AAPLE", "APPL", "AA", "A", "BTC", "GSPC", "700.HK", "XNAS:AAPL", "ZZZ", "AA.X"):
            wanted = neighbours_of(asked)
            assert sorted(await reader.neighbours(wanted)) == sorted(found_in(names, wanted)), asked

    place.read(check)


def test_sessions_that_are_none_are_an_error_of_the_store(place: Place) -> None:
    place.writer().put_symbols([Symbol("A", market="X")])
    place.writer().put_sessions("X", _SESSIONS)
    place.change("UPDATE sessions SET day = 'infinity' WHERE day = '2023-11-21'")

    async def check(reader: Reader) -> None:
        with pytest.raises(MarketError, match="Invalid isoformat string") as caught:
            await reader.candles(CandlesWanted("A", "1d", 1))
        assert caught.value.reason == "market_error"

    place.read(check)


def test_a_page_says_whether_the_store_has_the_symbol(place: Place) -> None:
    """Whatever else of it is there."""
    writer = place.writer()
    writer.put_symbols([Symbol("A")])
    writer.apply(Batch(trades=[trade(1, NOON_US, symbol="B")]))

    async def check(reader: Reader) -> None:
        for symbol, is_known in (("A", True), ("B", True), ("C", False)):
            page = await reader.candles(CandlesWanted(symbol, "1m", 1, end_us=NOON_US, counts=True))
            assert (page.is_known, page.total) == (is_known, 0)
            assert (await reader.trades(TradesWanted(symbol, 1, end_us=NOON_US))).is_known is is_known

    place.read(check)
