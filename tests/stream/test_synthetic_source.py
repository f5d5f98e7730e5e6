"""The messages of a simulated market."""

from itertools import pairwise

from app.domain.trades import SIMULATED
from warm.stream.log import Outgoing
from warm.stream.messages import HeartbeatMessage, TradeMessage, decode, told
from warm.stream.synthetic.process import SYMBOLS
from warm.stream.synthetic.random_walk import RandomWalk
from warm.stream.synthetic.source import SyntheticSource

_SECOND_US = 1_000_000
_NOW_US = 1_700_049_600_000_000


def _source(*symbols: str, seed: int = 7, interval_us: int = 3 * _SECOND_US, last_us: int = _NOW_US - 1) -> SyntheticSource:
    walk = RandomWalk(seed, interval_us)
    return SyntheticSource(walk, {each: walk.begin(each) for each in symbols or SYMBOLS}, last_us)


def _run(source: SyntheticSource, from_us: int, to_us: int) -> list[Outgoing]:
    """All that it makes, asked when it wants to be."""
    made, now_us = list[Outgoing](), from_us
    while now_us < to_us:
        made += source.make(now_us)
        now_us = max(source.next_us(now_us), now_us + 1)
    return made


def _trades(messages: list[Outgoing]) -> list[TradeMessage]:
    return [each for each in map(decode, (message.value for message in messages)) if isinstance(each, TradeMessage)]


def _heartbeats(messages: list[Outgoing]) -> list[HeartbeatMessage]:
    return [each for each in map(decode, (message.value for message in messages)) if isinstance(each, HeartbeatMessage)]


def test_each_symbol_has_a_trade_every_interval_and_says_that_it_is_simulated() -> None:
    made = _run(_source(), _NOW_US, _NOW_US + 60 * _SECOND_US)
    trades = _trades(made)
    assert len(trades) == 20 * len(SYMBOLS)
    for symbol in SYMBOLS:
        own = [each for each in trades if each.symbol == symbol]
        assert [each.time_us for each in own] == [_NOW_US + step * 3 * _SECOND_US for step in range(20)]
        assert [each.trade_id for each in own] == [str(number) for number in range(1, 21)]
        assert all(abs(after.price / before.price - 1) <= 0.02 for before, after in pairwise(own))
        assert all((each.venue, each.source, each.sequential) == (SIMULATED, SIMULATED, True) for each in own)
        assert 100 <= own[0].price <= 500
        assert all(1_000 <= each.size <= 100_000 for each in own)
    for message in made:
        content, headers = decode(message.value), told(message.headers)
        assert message.key == content.symbol.encode()
        assert headers == (content.time_us, content.time_us, "synthetic", "")


def test_it_is_heard_every_five_seconds_with_the_id_of_its_last_trade() -> None:
    made = _run(_source("AAPL"), _NOW_US, _NOW_US + 60 * _SECOND_US)
    heard = [(each.time_us, int(each.last_id)) for each in _heartbeats(made)]
    assert heard == [(_NOW_US + at * 5 * _SECOND_US, at * 5 // 3 + 1) for at in range(12)]
    # None is ahead of the trade that it tells of.
    last = 0
    for content in map(decode, (message.value for message in made)):
        if isinstance(content, TradeMessage):
            last = int(content.trade_id)
        assert not isinstance(content, HeartbeatMessage) or int(content.last_id) == last


def test_a_source_that_has_no_trade_yet_is_heard_without_an_id() -> None:
    made = _source("AAPL", interval_us=3_600 * _SECOND_US, last_us=_NOW_US).make(_NOW_US + _SECOND_US)
    assert [(each.last_id, each.sequential) for each in _heartbeats(made)] == [("", True)]
    assert _trades(made) == []


def test_the_same_seed_makes_the_same_messages_and_another_makes_others() -> None:
    first, second, third = (_run(_source(seed=seed), _NOW_US, _NOW_US + 30 * _SECOND_US) for seed in (7, 7, 8))
    assert first == second
    assert [each.price for each in _trades(first)] != [each.price for each in _trades(third)]


def test_whoever_goes_on_makes_what_the_one_before_would_have_made() -> None:
    middle_us, end_us = _NOW_US + 30 * _SECOND_US, _NOW_US + 60 * _SECOND_US
    whole = _trades(_run(_source(), _NOW_US, end_us))
    walk, first = RandomWalk(7), _trades(_run(_source(), _NOW_US, middle_us))
    states = {each.symbol: walk.resume(each.symbol, each.price, int(each.trade_id)) for each in first}
    second = _trades(_run(SyntheticSource(walk, states, first[-1].time_us), middle_us, end_us))
    assert first + second == whole


def test_time_in_which_nobody_asked_is_passed_over_without_a_jump() -> None:
    source = _source("AAPL")
    first, later = _trades(source.make(_NOW_US)), _trades(source.make(_NOW_US + 1_000 * _SECOND_US))
    assert [int(each.trade_id) for each in (*first, *later)] == [1, 2]
    assert abs(later[0].price / first[0].price - 1) <= 0.02
    assert later[0].time_us == _NOW_US + 999 * _SECOND_US


def test_a_clock_that_is_set_back_makes_no_trade_before_the_last_and_the_source_is_heard() -> None:
    source = _source("AAPL")
    source.make(_NOW_US)
    back = source.make(_NOW_US - 100 * _SECOND_US)
    assert _trades(back) == []
    assert [each.time_us for each in _heartbeats(back)] == [_NOW_US - 100 * _SECOND_US]
    assert source.next_us(_NOW_US - 100 * _SECOND_US) == _NOW_US - 95 * _SECOND_US
