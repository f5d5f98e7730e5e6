"""A price record is computed anew at the end of its bar, as a warm run would, where the market store has the bars for it."""

from collections.abc import Sequence
from functools import partial
from threading import Event
from typing import Any

import msgspec
import pytest

from app.domain.records import HISTORY, PRICE
from app.domain.vector import PriceRecord
from app.store.codec import decode, encode
from app.store.protocol import Record, Stored
from app.store.sqlite import EmbeddedStore
from tests.kit.records import tick
from tests.market.places import DAY_US, NOON_US
from tests.stream.days import RUN, Day, days_before, days_of, in_store, publish, put, records, row_of
from tests.stream.rig import Rig, heartbeat, trade
from warm.market.listing import Listing, sessions_of
from warm.stream.prices import Clock, Prices
from warm.stream.running import ending_all

_SINCE_S = -43_200.0
"""The day under way, in seconds after noon."""


def _end_day(rig: Rig, *contents: Any, hears_s: float = _SINCE_S - 60) -> None:  # noqa: ANN401 - messages
    """The source is heard from before the day begins until it is over."""
    rig.append(heartbeat(hears_s), *contents, heartbeat(-_SINCE_S + 2))
    rig.consume()


_TRADES = (trade(1, -100, sequential=False), trade(9, 0, sequential=False), trade(5, 100, sequential=False))
_TODAY = Day(NOON_US - DAY_US // 2, NOON_US + DAY_US // 2, 101.0, 109.0, 105.0, 3.0)


@pytest.mark.parametrize("count", [30, 150, 1_200])
def test_at_a_bars_end_the_record_is_what_a_warm_run_makes_of_the_same_bars(rig: Rig, count: int) -> None:
    days = days_before(count)
    put(rig, days)
    publish(rig, row_of(days))
    _end_day(rig, *_TRADES)
    price, history = records(rig)
    wanted = row_of([*days, _TODAY])
    expected = decode(PRICE, wanted.records["price"].value, "BTC-USD")
    assert (price.as_of_ms, price.due_ms, price.run) == (expected.as_of_ms, expected.due_ms, RUN)
    _assert_same(price, expected)
    expected_history = decode(HISTORY, wanted.records["history"].value, "BTC-USD")
    assert (history.times_ms, history.closes) == (expected_history.times_ms, expected_history.closes)
    assert history.bars == min(count + 1, 1_000)
    assert (rig.counted("price_records_total"), rig.counted("short_of_history_symbols")) == (1, 0)


def test_a_day_of_an_exchange_ends_with_its_session(rig: Rig) -> None:
    sessions = [each for each in sessions_of("XNYS") if each.closes_us <= NOON_US + DAY_US][-101:]
    days = days_of([(each.opens_us, each.closes_us) for each in sessions])
    Listing(rig.market.writer()).tell(["AAPL"], "file")
    put(rig, days[:-1], "AAPL")
    publish(rig, row_of(days[:-1], "AAPL"))
    opens_s, closes_s = ((each - NOON_US) / 1e6 for each in (sessions[-1].opens_us, sessions[-1].closes_us))
    said = [(1, opens_s - 86_000.5), (7, opens_s), (8, closes_s - 1), (9, closes_s + 2)]
    trades = [trade(number, second, symbol="AAPL", sequential=False) for number, second in said]
    rig.append(*trades[:3])
    rig.consume()
    assert records(rig, "AAPL")[0].as_of_ms == days[-2].end_us // 1000
    rig.append(trades[3])
    rig.consume()
    today = days[-1]._replace(low=107.0, high=108.0, close=108.0, volume=2.0)
    expected = decode(PRICE, row_of([*days[:-1], today], "AAPL").records["price"].value, "AAPL")
    price, _ = records(rig, "AAPL")
    assert (price.as_of_ms, price.due_ms) == (expected.as_of_ms, expected.due_ms)
    _assert_same(price, expected)


def test_a_bar_ends_by_the_wall_where_nobody_says_anything(rig: Rig) -> None:
    days = days_before(60)
    put(rig, days)
    publish(rig, row_of(days))
    rig.now_us = NOON_US
    rig.append(heartbeat(_SINCE_S - 60), *_TRADES[:2])
    rig.consume()
    assert records(rig)[0].as_of_ms == days[-1].end_us // 1000
    rig.now_us = _TODAY.end_us + 2_000_001
    rig.consume()
    assert records(rig)[0].as_of_ms == _TODAY.end_us // 1000


def test_a_late_trade_computes_the_record_anew(rig: Rig) -> None:
    days = days_before(60)
    put(rig, days)
    publish(rig, row_of(days))
    _end_day(rig, *_TRADES[:2])
    before = records(rig)[0]
    rig.append(_TRADES[2])
    rig.consume()
    expected = decode(PRICE, row_of([*days, _TODAY]).records["price"].value, "BTC-USD")
    after = records(rig)[0]
    assert (after.as_of_ms, before.values[0], after.values[0]) == (before.as_of_ms, 109.0, 105.0)
    _assert_same(after, expected)


@pytest.mark.parametrize(
    ("of_record", "of_store", "why"),
    [
        (100, 99, "no bar ends at"),
        (300, 200, "200 bars of 300"),
        (100, 0, "no bar ends at"),
    ],
)
def test_without_the_history_of_the_record_it_stays(rig: Rig, of_record: int, of_store: int, why: str) -> None:
    days = days_before(of_record)
    put(rig, days[len(days) - of_store :])
    publish(rig, row_of(days))
    before = records(rig)
    _end_day(rig, *_TRADES)
    assert records(rig) == before
    assert _why(rig).startswith(why)
    assert rig.counted("short_of_history_symbols") == 1


def test_where_the_store_is_adjusted_otherwise_the_record_stays(rig: Rig) -> None:
    days = days_before(100)
    put(rig, [*(each._replace(low=each.low * 2, high=each.high * 2, close=each.close * 2) for each in days[:40]), *days[40:]])
    publish(rig, row_of(days))
    before = records(rig)
    _end_day(rig, *_TRADES)
    assert records(rig) == before
    assert _why(rig).endswith("adjusted otherwise")


def test_of_a_bar_that_lacks_something_no_record_is_made(rig: Rig) -> None:
    days = days_before(100)
    put(rig, days)
    publish(rig, row_of(days))
    before = records(rig)
    _end_day(rig, *_TRADES, hears_s=-200)
    assert records(rig) == before
    assert _why(rig) == f"the bar that ends at {_TODAY.end_us // 1000} is of coverage partial"


def test_a_record_of_before_says_not_of_how_many_bars_it_is_and_stays(rig: Rig) -> None:
    days = days_before(100)
    put(rig, days)
    row = row_of(days)
    history = decode(HISTORY, row.records["history"].value, "BTC-USD")
    bare = row.records["history"]._replace(value=encode(msgspec.structs.replace(history, bars=0)))
    publish(rig, row._replace(records=dict(row.records) | {"history": bare}))
    _end_day(rig, *_TRADES)
    assert _why(rig) == "the record does not say of how many bars it was made"


def test_a_record_that_another_run_brings_is_carried_on_at_once(rig: Rig) -> None:
    days = days_before(100)
    put(rig, days)
    _end_day(rig, *_TRADES)
    assert [event for event, _ in rig.told] == []
    publish(rig, row_of(days))
    rig.consume()
    assert records(rig)[0].as_of_ms == _TODAY.end_us // 1000


def test_symbols_are_looked_at_once_however_many_ticks_are_written_until_a_bar_ends(rig: Rig) -> None:
    """Also where there is no run, whose time would be that of the last write."""
    store, looks, now_us = rig.store(), list[list[str]](), NOON_US

    class Looked:
        """L2, whose reads are counted."""

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of L2
            return getattr(store, name)

        async def get_many(self, symbols: Sequence[str]) -> list[Stored]:
            looks.append(list(symbols))
            return await store.get_many(symbols)

    days = days_before(60)
    put(rig, days)
    made = row_of(days)
    prices = Prices(rig.market.reader(), Looked(), rig.meters, lambda *_, **__: None, lambda: now_us)
    prices.follow([Clock("BTC-USD", NOON_US, NOON_US)])
    assert not prices.step()
    assert looks == []
    records_of = [Record(kind, "BTC-USD", each.value) for kind, each in made.records.items()]
    in_store(rig, lambda it: it.upsert(records_of))
    for _ in range(5):
        now_us += 6_000_000
        in_store(rig, partial(EmbeddedStore.upsert, records=[tick("ETH-USD", as_of_ms=now_us // 1000)]))
        prices.follow([Clock("BTC-USD", now_us, now_us)])
        prices.step()
    assert looks == [["BTC-USD"]]
    now_us = _TODAY.end_us + 2_000_000
    prices.step()
    prices.step()
    assert looks == [["BTC-USD"]] * 2
    prices.close()


def _assert_same(record: PriceRecord, expected: PriceRecord) -> None:
    for value, right in zip(record.values, expected.values, strict=True):
        assert value == right or value == pytest.approx(right, rel=1e-12)


def _why(rig: Rig) -> str:
    (facts,) = (facts for event, facts in rig.told if event == "prices_stay")
    assert facts["symbols"] == 1
    assert facts["first"] == "BTC-USD"
    return str(facts["why"])


def test_if_the_thread_of_price_records_dies_all_else_ends() -> None:
    stop, died = Event(), Event()

    def die(_: Event) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        ending_all(die, stop, died)
    assert (stop.is_set(), died.is_set()) == (True, True)
    stop, died = Event(), Event()
    ending_all(lambda _: None, stop, died)
    assert (stop.is_set(), died.is_set()) == (False, False)
