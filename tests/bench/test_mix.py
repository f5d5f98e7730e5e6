"""Which requests a mix draws."""

from collections import Counter
from itertools import islice

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.mix import Encoder, Prepared, Universe, draw
from bench.scenario import Mix, ScenarioError

_SYMBOLS = [f"S{number:03d}" for number in range(200)]
_CLOSES = {name: 10.0 * number for number, name in enumerate(_SYMBOLS[:150], 1)}


def _drawn(mix: Mix, count: int, seed: int = 1) -> list[Prepared]:
    return list(islice(draw(mix, Universe(_SYMBOLS, seed, _CLOSES), Encoder("h:1"), seed), count))


def test_the_same_seed_draws_the_same_requests() -> None:
    mix = Mix(cold=0.1, unknown=0.1, batch=0.1, live_price=0.5)
    assert _drawn(mix, 500) == _drawn(mix, 500)
    assert _drawn(mix, 500) != _drawn(mix, 500, seed=2)


def test_shares_are_what_the_mix_says() -> None:
    found = Counter(each.kind for each in _drawn(Mix(unknown=0.1, batch=0.2, batch_size=5), 20_000))
    assert abs(found["unknown"] / 20_000 - 0.1) < 0.01
    assert abs(found["batch"] / 20_000 - 0.2) < 0.015


def test_popular_symbols_follow_zipfs_law() -> None:
    """The most popular one is asked for about twice as often as the second and ten times as often as the tenth."""
    found = Counter(each.symbols[0] for each in _drawn(Mix(zipf_exponent=1.0), 50_000)).most_common()
    assert 1.7 < found[0][1] / found[1][1] < 2.4
    assert 7 < found[0][1] / found[9][1] < 14


def test_live_prices_lie_near_the_last_close() -> None:
    """A server refuses others. Symbols without a close are sent none."""
    bodies = [msgspec.json.decode(each.wire.split(b"\r\n\r\n", 1)[1]) for each in _drawn(Mix(live_price=0.5), 5000)]
    priced = {each["symbol"]: each["price"] for each in bodies if "price" in each}
    assert len(priced) > 100
    assert all(abs(price / _CLOSES[symbol] - 1.0) < 0.0011 for symbol, price in priced.items())


def test_cold_requests_ask_for_symbols_nobody_asked_for() -> None:
    """Each once, a fifth of the universe; then there are no more, and popular ones take their place."""
    drawn = _drawn(Mix(cold=0.5), 2000)
    popular = set(Universe(_SYMBOLS, 1).popular)
    cold = [each.symbols[0] for each in drawn if each.symbols[0] not in popular]
    assert len(cold) == len(set(cold)) == 40
    assert all(each.kind == "decide" for each in drawn)


def test_rotation_takes_symbols_in_turn() -> None:
    """The thirty requests of the requirement: five symbols, six times each."""
    drawn = _drawn(Mix(symbols=5, rotate=True), 30)
    assert Counter(each.symbols[0] for each in drawn) == dict.fromkeys(_SYMBOLS[:5], 6)


@given(st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.3), st.integers(1, 50))
def test_every_request_is_well_formed_http(cold: float, unknown: float, batch: float, batch_size: int) -> None:
    for each in _drawn(Mix(cold=cold, unknown=unknown, batch=batch, batch_size=batch_size, live_price=0.5), 50):
        head, body = each.wire.split(b"\r\n\r\n", 1)
        assert b"Content-Length: %d" % len(body) in head
        asked = msgspec.json.decode(body)
        assert tuple(asked.get("symbols", [asked.get("symbol")])) == each.symbols
        assert (b"/decide/batch " in head) == (each.kind == "batch")


def test_a_universe_without_symbols_is_refused() -> None:
    with pytest.raises(ScenarioError, match="empty"):
        Universe([], 1)
