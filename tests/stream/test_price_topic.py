"""Prices of providers, in a topic of their own, become averages; what is wrong there is among that topic's dead letters."""

import random
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.market.places import NOON_US
from tests.stream.places import TOPIC
from tests.stream.rig import SECOND_US, SYMBOL, Rig, heartbeat, price, trade
from warm.stream.dead_letters import read_dead_letter, topic_of_dead_letters
from warm.stream.messages import PRICE_TOPIC, Content


def _letters(rig: Rig, topic: str) -> list[tuple[int, str, str]]:
    """Offset, exception and reason of each."""
    with closing(rig.log.reader([topic_of_dead_letters(topic)], lambda _: None)) as reader:
        found = [read_dead_letter(each) for each in reader.poll(1_000, 0)]
    return [(each.origin.offset, each.exception, each.reason) for each in found if each is not None]


def _averages(rig: Rig) -> list[tuple[Decimal, int]]:
    """Newest first, each with the number of its prices."""
    found = rig.market.read(lambda reader: reader.averages(SYMBOL, 100))
    return [(each.average, each.prices) for each in found]


@pytest.mark.parametrize("batch_max", [1, 2, 100])
def test_prices_become_averages_beside_trades_with_the_offsets_of_both_topics(rig: Rig, batch_max: int) -> None:
    rig.append(trade(1), *(price(second, str(100 + second)) for second in range(6)), trade(2))
    rig.consume(batch_max=batch_max)
    assert rig.ids() == ["1", "2"]
    assert _averages(rig)[:2] == [(Decimal(103), 5), (Decimal(102), 5)]
    assert sorted(rig.market.rows("SELECT topic, next FROM offsets")) == [(PRICE_TOPIC, 6), (TOPIC, 2)]
    assert rig.counted("prices_total") == 6
    rig.append(price(6, "0.10"))
    rig.consume(batch_max=batch_max)
    assert _averages(rig)[0] == (Decimal("82.82"), 5)
    assert rig.market.rows("SELECT price FROM prices ORDER BY time_us DESC LIMIT 1") == [("0.1",)]


def test_prices_alone_make_no_last_trade_and_no_gap(rig: Rig) -> None:
    """Also where the log removed some of them."""
    rig.append(trade(1, sequential=False), *(price(second, "1") for second in range(4)))
    (partition,) = rig.log.watermarks(PRICE_TOPIC)
    rig.consume()
    rig.append(price(5, "1"), price(6, "2"))
    rig.log.trim(partition, 5)
    rig.consume()
    assert rig.spans() == []
    assert [event for event, _ in rig.told] == ["messages_gone"]
    assert _averages(rig)[0] == (Decimal("1.2"), 5)
    tick = rig.tick()
    assert tick is not None
    assert (tick.price, tick.as_of_ms) == ("101", NOON_US // 1000 + 1000)


def test_what_is_wrong_among_prices_is_a_dead_letter_of_their_topic_and_the_others_go_on(rig: Rig) -> None:
    """And a price among trades is one of theirs."""
    rig.now_us = NOON_US + 10 * SECOND_US
    rig.append(trade(1), b"no json", heartbeat(2), topic=PRICE_TOPIC)
    rig.append(price(1, "7"), price(16, "8"))
    rig.append(trade(1), b'{"schema":1,"type":"price","symbol":"A","time_us":1,"provider":"p","price":"1"}', b"{}")
    rig.consume()
    assert rig.ids() == ["1"]
    assert _averages(rig) == [(Decimal(7), 1)]
    found = _letters(rig, PRICE_TOPIC)
    assert [each[:2] for each in found] == [(0, "WrongTopic"), (1, "MessageRefused"), (2, "WrongTopic"), (4, "WrongClock")]
    assert found[0][2] == "type is trade in decide.prices; allowed: price"
    others = _letters(rig, TOPIC)
    assert [each[:2] for each in others] == [(1, "WrongTopic"), (2, "MessageRefused")]
    assert others[0][2] == "type is price in decide.trades; allowed: all others; price in decide.prices"
    assert rig.counted("dead_letters_total") == 6


def test_a_price_that_was_told_later_takes_the_place_of_one_for_the_same_time(rig: Rig) -> None:
    """By when its source had it, in whichever order the log has them."""
    rig.append(price(1, "9"), ingest_time_us="3000")
    rig.append(price(1, "8"), ingest_time_us="2000")
    rig.append(price(1, "10"))
    rig.consume()
    assert _averages(rig) == [(Decimal(9), 1)]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_averages_do_not_depend_on_how_prices_came(make_rig: Callable[..., Rig], seed: int) -> None:
    """In any order, any parts, some of them twice, beside trades."""
    rng = random.Random(seed)
    prices = [
        price(rng.randint(0, 15), f"{rng.randint(1, 999)}.{rng.randint(0, 99)}", rng.choice(["one", "two"]))
        for _ in range(rng.randint(1, 20))
    ]
    rig = make_rig()
    rig.append(*prices)
    rig.consume()
    expected = rig.averages()
    shuffled: list[Content] = [*prices, *rng.choices(prices, k=5), trade(1), trade(2)]
    rng.shuffle(shuffled)
    rig = make_rig()
    while shuffled:
        count = rng.randint(1, len(shuffled))
        rig.append(*shuffled[:count])
        shuffled = shuffled[count:]
        if not shuffled or rng.random() < 0.5:
            rig.consume(batch_max=rng.randint(1, 10))
    assert rig.averages() == expected
    assert rig.ids() == ["1", "2"]
