"""Whatever way messages come in, trades, bars, gaps and last prices are the same."""

import random
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stream.rig import Rig, cancel, heartbeat, trade
from warm.stream.messages import Content

_SERIES = (("BTC-USD", "coinbase"), ("BTC-USD", "other"), ("ETH-USD", "coinbase"))
_SYMBOLS = ("BTC-USD", "ETH-USD")


def _messages(rng: random.Random) -> tuple[list[Content], list[Content], list[Content]]:
    """The first ones of all series, others that may come in any order, and the last one, which says how many there were."""
    first, others, last = list[Content](), list[Content](), list[Content]()
    for symbol, venue in _SERIES:
        said: dict[str, Any] = {"symbol": symbol, "venue": venue}
        first.append(trade(1, **said))
        count = rng.randint(2, 9)
        for number in range(2, count + 1):
            if rng.random() < 0.75:
                others.append(trade(number, number * 11 + rng.random(), size=rng.choice([0, 1, 2]), **said))
            if symbol == "BTC-USD" and venue == "coinbase" and rng.random() < 0.2:
                others.append(cancel(number, rng.randint(0, 150)))
        others.append(heartbeat(rng.randint(0, 200)))
    last.append(heartbeat(201, rng.randint(1, 10)))
    return first, others, last


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_stored_and_published_does_not_depend_on_how_messages_came(make_rig: Callable[..., Rig], seed: int) -> None:
    """A consumer that was never ended makes the same of them, in their order."""
    rng = random.Random(seed)
    first, others, last = _messages(rng)
    rig = make_rig()
    rig.append(*first, *others, *last)
    rig.consume()
    expected = rig.all(_SYMBOLS)
    shuffled = [*others, *rng.choices([*first, *others], k=5)]
    rng.shuffle(shuffled)
    rig = make_rig()
    messages = [*first, *shuffled, *last]
    while messages:
        count = rng.randint(1, len(messages))
        rig.append(*messages[:count])
        messages = messages[count:]
        if not messages or rng.random() < 0.5:
            rig.consume(batch_max=rng.randint(1, 10))
    assert rig.all(_SYMBOLS) == expected
