"""Coinbase's trades through every fault of its WebSocket and its REST: what is stored is what a quiet run stores."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.coinbase import Exchange
from tests.stream.feeding import PATIENCE, PRODUCTS, Feeding, feeding, gaps, logged, make_trades, new_rig, stored
from tests.stream.rig import Rig
from warm.stream.messages import HeartbeatMessage, TradeMessage
from warm.stream.sources.coinbase import TRIES_MAX

_TRADES = 60
_GARBAGE: tuple[Any, ...] = (
    "no JSON", b"\xff\xfe", "[]", "7", "{}",
    {"type": "match", "product_id": "BTC-USD", "trade_id": 31},
    {"type": "match", "product_id": "BTC-USD"},
    {"type": "match", "product_id": ["BTC-USD"], "trade_id": 7},
    {"type": "match", "product_id": "BTC-USD", "trade_id": "x", "time": "2023-11-15T12:00:01Z", "price": "1", "size": "1"},
    {"type": "match", "product_id": "BTC-USD", "trade_id": 31, "time": "2023-11-15T12:00:01Z", "price": "-1", "size": "1"},
    {"type": "heartbeat", "product_id": "BTC-USD", "last_trade_id": 10**40, "time": "2023-11-15T12:00:01Z"},
    {"type": "heartbeat", "product_id": "BTC-USD", "last_trade_id": 31},
    {"type": "match", "product_id": "DOGE-USD", "trade_id": 7, "time": "2023-11-15T12:00:01Z", "price": "1", "size": "1"},
    {"type": "of next year", "product_id": "BTC-USD"},
)  # fmt: skip


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Any], ...]]:
    """What a run without faults stores."""
    with new_rig(tmp_path_factory.mktemp("quiet") / "rig") as rig, Exchange(*PRODUCTS) as exchange:
        make_trades(exchange, 1, 1)
        with feeding(rig, exchange) as fed:
            fed.heard("connected")
            fed.has(1)
            make_trades(exchange, 2, _TRADES)
            fed.has(_TRADES)
        assert fed.counts.requests == {}
        assert gaps(rig, filled=False) == []
        trades, bars = stored(rig)
        assert len(trades) == _TRADES * len(PRODUCTS)
        yield trades, bars


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Between an empty log and an empty market store."""
    with new_rig(tmp_path / "rig") as made:
        yield made


def _dropped(exchange: Exchange, _: Feeding) -> None:
    make_trades(exchange, 2, 20)
    make_trades(exchange, 21, 24, way="never")
    make_trades(exchange, 25, 40)
    make_trades(exchange, 41, 41, way="never")


def _dropped_at_the_end(exchange: Exchange, _: Feeding) -> None:
    make_trades(exchange, 2, 39)
    make_trades(exchange, 40, 41, way="never")


def _twice_and_in_another_order(exchange: Exchange, _: Feeding) -> None:
    make_trades(exchange, 2, 20, way="twice")
    for number in range(21, 41):
        make_trades(exchange, number, number, way="held" if number % 3 else "once")
    make_trades(exchange, 41, 41)


def _silent(exchange: Exchange, fed: Feeding) -> None:
    make_trades(exchange, 2, 20)
    exchange.is_silent = True
    make_trades(exchange, 21, 41)
    fed.heard("silent")
    exchange.is_silent = False
    fed.heard("connected", 2)


def _half_open(exchange: Exchange, fed: Feeding) -> None:
    """The connection breaks, and the next ones are accepted and never answered."""
    make_trades(exchange, 2, 20)
    exchange.is_stuck = True
    exchange.hang_up()
    make_trades(exchange, 21, 41)
    fed.heard("not_connected", 2)
    exchange.is_stuck = False
    fed.heard("connected", 2)


def _hung_up(exchange: Exchange, fed: Feeding) -> None:
    for number in range(2, 42):
        make_trades(exchange, number, number)
        if number % 10 == 0:
            exchange.hang_up()
            fed.heard("connected", 1 + number // 10)


def _refused(exchange: Exchange, fed: Feeding) -> None:
    """Its next subscriptions are answered with errors."""
    make_trades(exchange, 2, 20)
    exchange.errors = 2
    exchange.hang_up()
    make_trades(exchange, 21, 41)
    fed.heard("refused", 2)
    assert "Failed to subscribe: BTC-USD is not a valid product" in str(fed.told)


def _garbage(exchange: Exchange, fed: Feeding) -> None:
    make_trades(exchange, 2, 30)
    exchange.say(*_GARBAGE)
    make_trades(exchange, 31, 41)
    fed.heard("not_understood")


def _rest_ill(exchange: Exchange, fed: Feeding) -> None:
    """REST wants to be left alone, fails, answers what is no page, and one with a trade that is none."""
    make_trades(exchange, 2, 20)
    odd = b'[{"trade_id":22,"side":"buy","size":"x","price":"1","time":"2023-11-15T12:00:01Z"}]'
    exchange.answers.extend(
        [
            (429, {"Retry-After": "1"}, b'{"message":"Public rate limit exceeded"}'),
            (429, {}, b""), (500, {}, b"<html>"), (200, {}, b"<html>"), (200, {}, b'{"message":"x"}'), (200, {}, odd),
            (200, {}, b"[]"),
        ]
    )  # fmt: skip
    make_trades(exchange, 21, 24, way="never")
    make_trades(exchange, 25, 41)
    fed.heard("rest_failed", 5)
    assert fed.told[[event for event, _ in fed.told].index("rest_failed")][1]["again_in_s"] == 1.0


def _heartbeats_of_zero(exchange: Exchange, _: Feeding) -> None:
    exchange.counts_zero = True
    make_trades(exchange, 2, 20)
    make_trades(exchange, 21, 40, way="never")
    make_trades(exchange, 41, 41)


@pytest.mark.parametrize(
    "fault",
    [
        _dropped, _dropped_at_the_end, _twice_and_in_another_order, _silent, _half_open, _hung_up, _refused, _garbage, _rest_ill,
        _heartbeats_of_zero,
    ],
)  # fmt: skip
def test_what_is_stored_does_not_depend_on_any_fault(
    fault: Callable[[Exchange, Feeding], None], rig: Rig, quiet: tuple[list[Any], ...]
) -> None:
    with Exchange(*PRODUCTS, page_max=10) as exchange:
        make_trades(exchange, 1, 1)
        with feeding(rig, exchange) as fed:
            fed.heard("connected")
            fed.has(1)
            fault(exchange, fed)
            fed.has(41)
            make_trades(exchange, 42, _TRADES)
            fed.has(_TRADES)
        assert stored(rig) == quiet
        assert rig.open_gaps() == []
        assert rig.told == []


def test_an_unplugged_hour_ends_as_if_it_had_never_been(rig: Rig, tmp_path: Path) -> None:
    """Byte for byte: thousands of trades, of which pages of REST are what is left."""
    last = 2_600
    with new_rig(tmp_path / "quiet") as plugged, Exchange(*PRODUCTS) as exchange:
        make_trades(exchange, 1, 1)
        with feeding(plugged, exchange) as fed:
            fed.has(1)
            for first in range(2, last + 1, 100):
                make_trades(exchange, first, min(first + 99, last))
                fed.has(min(first + 99, last))
        expected = stored(plugged)
    with Exchange(*PRODUCTS) as exchange:
        make_trades(exchange, 1, 1)
        with feeding(rig, exchange) as fed:
            fed.has(1)
            exchange.is_unplugged = True
            exchange.hang_up()
            fed.heard("not_connected", 3)
            make_trades(exchange, 2, last - 1)
            exchange.is_unplugged = False
            fed.heard("connected", 2)
            make_trades(exchange, last, last)
            fed.has(last)
        assert len(exchange.asked) >= 3 * len(PRODUCTS)
        assert all("limit=1000&after=" in each for each in exchange.asked)
        assert fed.counts.filled >= (last - 3) * len(PRODUCTS)
    assert stored(rig) == expected
    assert rig.open_gaps() == []


@pytest.mark.parametrize("is_consumed", [False, True])
def test_who_begins_anew_fills_what_was_missed_meanwhile(is_consumed: bool, rig: Rig, quiet: tuple[list[Any], ...]) -> None:  # noqa: FBT001
    """The one before was killed with gaps that it had told of, whether or not the consumer had used what it wrote."""
    with Exchange(*PRODUCTS) as exchange:
        exchange.lost = {(product, number) for product in PRODUCTS for number in range(5, 9)}
        make_trades(exchange, 1, 1)
        with feeding(rig, exchange) as fed:
            fed.has(1)
            make_trades(exchange, 2, 4)
            make_trades(exchange, 5, 8, way="never")
            make_trades(exchange, 9, 20)
            fed.heard("gap", len(PRODUCTS))
            fed.has(16)
        if is_consumed:
            rig.consume()
            assert len(rig.open_gaps()) == len(PRODUCTS)
        make_trades(exchange, 21, 40)
        exchange.lost = set()
        with feeding(rig, exchange) as fed:
            fed.has(40)
            make_trades(exchange, 41, _TRADES)
            fed.has(_TRADES)
    assert stored(rig) == quiet
    assert rig.open_gaps() == []


def test_while_the_log_is_away_so_many_wait_and_none_is_lost(rig: Rig, quiet: tuple[list[Any], ...]) -> None:
    with Exchange(*PRODUCTS) as exchange:
        make_trades(exchange, 1, 1)
        with feeding(rig, exchange, buffer_max=30) as fed:
            fed.has(1)
            fed.log.is_away = True
            make_trades(exchange, 2, 40)
            fed.heard("waiting_for_log")
            make_trades(exchange, 41, _TRADES)
            fed.log.is_away = False
            fed.has(_TRADES)
        assert fed.events["log_away"] == fed.events["log_back"] == 1
    assert stored(rig) == quiet


def test_a_gap_is_told_when_it_is_found_and_when_it_is_filled(rig: Rig) -> None:
    with Exchange(*PRODUCTS) as exchange, feeding(rig, exchange) as fed:
        fed.heard("connected")
        make_trades(exchange, 1, 4, products=PRODUCTS[:1])
        fed.has(4, PRODUCTS[:1])
        # A heartbeat between them would show a part of the gap.
        exchange.is_silent = True
        make_trades(exchange, 5, 7, way="never", products=PRODUCTS[:1])
        exchange.is_silent = False
        make_trades(exchange, 8, 9, products=PRODUCTS[:1])
        fed.has(9, PRODUCTS[:1])
    (found,), (filled,) = gaps(rig, filled=False), gaps(rig, filled=True)
    assert (found.symbol, found.venue, found.missing, found.found_by) == ("BTC-USD", "coinbase", 3, "trade ids")
    assert (filled.from_us, filled.to_us) == (found.from_us, found.to_us)
    messages = logged(rig)
    ids = [int(each.trade_id) for each in messages if isinstance(each, TradeMessage)]
    assert sorted(ids) == [*range(1, 10)]
    assert [each for each in ids if each < 9] == [1, 2, 3, 4, 8, 5, 6, 7]
    assert messages.index(found) < messages.index(filled)
    assert {each.sequential for each in messages if isinstance(each, TradeMessage)} == {True}
    assert (fed.counts.gaps, fed.counts.missing, fed.counts.filled, dict(fed.counts.requests)) == (1, 3, 3, {200: 1})


def test_what_rest_does_not_have_stays_a_gap_and_is_asked_for_some_times(rig: Rig) -> None:
    with Exchange(*PRODUCTS) as exchange:
        exchange.lost = {("BTC-USD", 5)}
        with feeding(rig, exchange, PATIENCE._replace(settle_s=0.01)) as fed:
            fed.heard("connected")
            make_trades(exchange, 1, 4)
            make_trades(exchange, 5, 6, way="never")
            make_trades(exchange, 7, 9)
            fed.has(9, PRODUCTS[1:])
            fed.heard("gap_stays")
        assert dict(fed.told)["gap_stays"] == {"symbol": "BTC-USD", "missing": 1}
        assert len(exchange.asked) <= 2 * TRIES_MAX + 2
    _, bars = stored(rig)
    assert len(rig.ids()) == 17
    assert len(rig.open_gaps()) == 1
    assert bars


def test_prices_and_sizes_come_digit_for_digit_and_the_side_is_the_takers(rig: Rig) -> None:
    with Exchange("BTC-USD", "ETH-USD") as exchange, feeding(rig, exchange) as fed:
        fed.heard("connected")
        exchange.trade("BTC-USD", 0.123456, "103472.28000000", "0.00068754", "sell")
        exchange.trade("ETH-USD", 1, "1", "0")
        exchange.trade("ETH-USD", 1, "0.000000000000000001", "123456789012345678.12345678", "buy", way="never")
        exchange.trade("ETH-USD", 1, "2", "1.0")
        fed.has(1, PRODUCTS[:1])
        fed.has(3, PRODUCTS[1:])
    trades, _ = stored(rig)
    shown = rig.market.rows(
        "SELECT symbol, trade_id, time_us % 1000000, price, size, side, source FROM trades_in_full ORDER BY 1, 2"
    )
    assert len(trades) == 4
    assert shown == [
        ("BTC-USD", "1", 123456, "103472.28", "0.00068754", "buy", "coinbase"),
        ("ETH-USD", "1", 0, "1", "0", "sell", "coinbase"),
        ("ETH-USD", "2", 0, "0.000000000000000001", "123456789012345678.12345678", "sell", "coinbase"),
        ("ETH-USD", "3", 0, "2", "1", "sell", "coinbase"),
    ]


def test_each_heartbeat_is_told_with_the_last_trades_id(rig: Rig) -> None:
    with Exchange(*PRODUCTS) as exchange, feeding(rig, exchange) as fed:
        fed.heard("connected")
        make_trades(exchange, 1, 3)
        fed.has(3)
        exchange.heartbeat()
    heard = [each for each in logged(rig) if isinstance(each, HeartbeatMessage)]
    assert {each.symbol for each in heard} == {*PRODUCTS}
    assert {(each.last_id, each.sequential) for each in heard} <= {("", False), *((str(n), True) for n in range(1, 4))}
