"""The bench of latest prices: what it asks for, and what it holds against what."""

from itertools import islice

import pytest

from bench.addresses import TcpAddress
from bench.latest import compared, prices, too_dear
from bench.peers.sampling import Sample


def _sample(cpu_us: float) -> Sample:
    return Sample(answers=1, answers_per_s=1.0, cpu_us=cpu_us, p50_ms=1.0, p95_ms=1.0, p99_ms=1.0, errors=0, faults=0)


def test_prices_are_asked_for_one_after_the_other_and_round_again() -> None:
    asked = [each.wire for each in islice(prices(TcpAddress("127.0.0.1", 8000)), 5)]
    assert asked[0] == asked[4] == b"GET /price/latest?symbol=AAPL HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"
    assert len(set(asked)) == 4


@pytest.mark.parametrize(
    ("price_us", "decision_us", "dear"), [(11.0, 10.3, []), (12.0, 10.0, ["a price"]), (1.0, 10.4, ["a decision"])]
)
def test_ratios_are_of_one_round_and_held_to_their_limits(price_us: float, decision_us: float, dear: list[str]) -> None:
    samples = {"a price": [price_us], "a decision": [decision_us], "a decision, before": [10.0]}
    ratios = compared({name: [_sample(each) for each in taken] for name, taken in samples.items()})
    assert ratios["a price"].median == price_us / decision_us
    assert list(too_dear(ratios)) == dear


def test_without_a_version_before_prices_alone_are_compared() -> None:
    assert list(compared({"a price": [_sample(1.0)], "a decision": [_sample(1.0)]})) == ["a price"]
