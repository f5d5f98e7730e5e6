"""Rows of features are the same from a stream and from stored trades."""

import random
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.candles import MINUTE_US, SECOND_US, by_minute
from app.domain.feature_rows import FeatureRows, Windowed, rows_of
from app.domain.features import Features
from app.domain.prices import exact
from app.domain.trades import Trade
from app.domain.windows import Windows

_BEGIN_S = 1_700_000_000
_CLOSES = {"B": [(_BEGIN_S - _BEGIN_S % 60 + 60) * SECOND_US]}
_LATE_S = 2


def _trade(symbol: str, time_us: int, price: str = "5", size: str = "1", key: str = "", *, closing: bool = False) -> Trade:
    return Trade("V", symbol, key, _BEGIN_S * SECOND_US + time_us, exact(price), exact(size), key, closing=closing)


def _trades(rng: random.Random) -> list[Trade]:
    """In order of time."""
    last_us = rng.choice((5 * SECOND_US, 4 * MINUTE_US, 40 * MINUTE_US))
    times = sorted(rng.randrange(last_us) for _ in range(150))
    return [
        _trade(rng.choice("ABC"), us, str(rng.randrange(90, 110)), str(rng.randrange(3)), f"{n:03}", closing=rng.random() < 0.1)
        for n, us in enumerate(times)
    ]


def _bytes(rows: Sequence[Features]) -> list[bytes]:
    return [msgspec.msgpack.encode(row) for row in rows]


@given(st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_a_stream_makes_the_rows_of_the_stored_trades(seed: int) -> None:
    """In any batches, and as much out of order as is waited for; and each row is the state after its second."""
    rng = random.Random(seed)
    trades = _trades(rng)
    gaps = {"A": [(_BEGIN_S * SECOND_US, _BEGIN_S * SECOND_US + 700_000)]}
    offline = list(rows_of(trades, Windowed(20, _CLOSES), gaps))
    arriving = sorted(trades, key=lambda each: each.time_us + rng.randrange(_LATE_S * SECOND_US))
    rows, online, newest_us = FeatureRows(Windowed(20, _CLOSES)), list[Features](), 0
    while arriving:
        count = rng.randrange(1, 40)
        batch, arriving = arriving[:count], arriving[count:]
        assert rows.add(batch) == set()
        newest_us = max(newest_us, *(each.time_us for each in batch))
        online += rows.release(newest_us // SECOND_US - _LATE_S, gaps)
    online += rows.release(gaps=gaps)
    assert _bytes(online) == _bytes(offline)
    assert rows.late == 0
    sized = [each for each in trades if each.size]
    assert [(row.time_s, row.symbol) for row in offline] == sorted({(each.time_us // SECOND_US, each.symbol) for each in sized})
    for row in rng.sample(offline, min(5, len(offline))):
        anew = Windows(20, _CLOSES.get(row.symbol, ()))
        until = [each for each in sized if each.symbol == row.symbol and each.time_us // SECOND_US <= row.time_s]
        for (_, start_us), group in sorted(by_minute(until, _CLOSES).items()):
            assert anew.add(start_us, group)
        assert row == anew.features(gaps.get(row.symbol, ()))


def test_stored_trades_have_a_row_for_each_second_and_symbol() -> None:
    trades = [_trade("A", 0), _trade("B", 5, key="1"), _trade("A", 7, key="2"), _trade("A", SECOND_US, key="3")]
    found = [(row.symbol, row.time_s - _BEGIN_S, row.n) for row in rows_of(trades, Windowed())]
    assert found == [("A", 0, 2), ("B", 0, 1), ("A", 1, 3)]


def test_a_late_trade_changes_only_rows_to_come() -> None:
    rows = FeatureRows(Windowed())
    rows.add([_trade("A", 0, "5", key="1"), _trade("A", 3 * SECOND_US, "6", key="3")])
    (first,) = rows.release(_BEGIN_S + 1)
    assert (first.time_s, first.n) == (_BEGIN_S, 1)
    assert rows.add([_trade("A", 5, "7", key="2")]) == set()
    assert rows.late == 1
    (second,) = rows.release()
    assert (second.time_s, second.n) == (_BEGIN_S + 3, 3)
    assert rows.release() == []


def test_what_is_released_stays_so_without_a_trade() -> None:
    """A second that was waited for is over, whoever is heard later."""
    rows = FeatureRows(Windowed())
    assert rows.release(_BEGIN_S + 5) == []
    rows.add([_trade("A", 4 * SECOND_US)])
    assert (rows.late, rows.release()) == (1, [])
    rows.add([_trade("A", 5 * SECOND_US, key="1")])
    assert len(rows.release()) == 1
    rows.add([_trade("A", 5 * SECOND_US, key="2")])
    assert (rows.late, rows.release()) == (2, [])


def test_what_is_made_anew_takes_the_place_of_windows_and_of_trades_that_wait() -> None:
    """Closes of sessions come and go with it."""
    rows = FeatureRows(Windowed(), _BEGIN_S)
    rows.add([_trade("A", 0, key="0"), _trade("B", 0)])
    stored = Windows(50, _CLOSES["B"])
    assert stored.add((_BEGIN_S - 60) * SECOND_US, [_trade("A", -40 * SECOND_US)])
    rows.put("A", stored, [_trade("A", SECOND_US, key="1")])
    assert rows.windowed.closes == {"A": _CLOSES["B"]}
    assert ("A" in rows.windowed, "B" in rows.windowed) == (True, False)
    assert [(row.symbol, row.time_s - _BEGIN_S, row.n) for row in rows.release()] == [("B", 0, 1), ("A", 1, 2)]
    rows.put("A", Windows(), [])
    assert rows.windowed.closes == {}


def test_a_symbol_that_missed_a_trade_waits_for_a_state_made_anew() -> None:
    """The others go on."""
    windowed = Windowed()
    minutes = [_trade(symbol, n * MINUTE_US, key=str(n)) for n in range(6) for symbol in "AB"]
    assert windowed.add(by_minute(reversed(minutes), {})) == ({"A", "B"}, set()), "in order, however they came"
    late = [_trade("A", 5, key="late"), _trade("B", 5 * MINUTE_US + 5, key="next"), _trade("A", 5 * MINUTE_US + 5, key="next")]
    assert windowed.add(by_minute(late, {})) == ({"B"}, {"A"})
    assert windowed.add(by_minute([_trade("A", 5 * MINUTE_US + 9, key="more")], {})) == (set(), {"A"})
    rows = FeatureRows(windowed)
    rows.add([_trade("A", 6 * MINUTE_US, key="6"), _trade("B", 6 * MINUTE_US, key="6")])
    assert [row.symbol for row in rows.release()] == ["B"]
    assert windowed.stale == {"A"}
    anew = Windows()
    assert anew.add(0, [_trade("A", 6 * MINUTE_US, key="6")])
    windowed.put("A", anew)
    assert (windowed.stale, windowed.features("A").n) == (set(), 1)
    assert windowed.features("B", []).n == pytest.approx(8)


def test_a_symbol_is_stale_whatever_else_of_it_was_taken() -> None:
    """Such as a trade that is older than all that windows show."""
    windowed = Windowed(4)
    half_hours = [_trade("A", n * 30 * MINUTE_US, key=str(n)) for n in range(60)]
    assert windowed.add(by_minute(half_hours, {})).stale == set()
    late = [_trade("A", n * 60 * MINUTE_US + 5, key="late") for n in (1, 20)]
    assert windowed.add(by_minute(late[:1], {})) == ({"A"}, set())
    late = [_trade("A", n * 60 * MINUTE_US + 9, key="later") for n in (1, 20)]
    assert windowed.add(by_minute(late, {})) == (set(), {"A"})
