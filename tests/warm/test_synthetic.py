"""Processes that make prices up: what follows from a seed, and whether what they make is like a market, by statistics that
know nothing of how it was made. Seeds are fixed, so each figure is always the same.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby, pairwise
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.trades import Trade
from warm.stream.synthetic.process import SYMBOLS, Made, Process, trade_of, trades
from warm.stream.synthetic.processes import PROCESSES
from warm.stream.synthetic.random_walk import RandomWalk, Walked
from warm.stream.synthetic.stochastic_volatility import StochasticVolatility

_MINUTE_US = 60_000_000
_DAY_MINUTES = 1440
_START_US = 1_767_225_600_000_000
Numbers = np.ndarray[Any, np.dtype[np.float64]]
_each_process = pytest.mark.parametrize("process", [make(7) for make in PROCESSES.values()], ids=[*PROCESSES])


def _made(process: Process[Any], symbols: Sequence[str], minutes: int, start_us: int = _START_US) -> list[Made]:
    states = {symbol: process.begin(symbol) for symbol in symbols}
    return [each for some in trades(process, states, start_us, minutes) for each in some]


def _minute_returns(made: Sequence[Made]) -> Numbers:
    """Log returns from minute to minute; a minute without a trade keeps the price before it."""
    closes = {at: [*group][-1].price for at, group in groupby(made, lambda each: each.time_us // _MINUTE_US)}
    prices, last = [], made[0].price
    for at in range(made[0].time_us // _MINUTE_US, made[-1].time_us // _MINUTE_US + 1):
        last = closes.get(at, last)
        prices.append(last)
    return np.diff(np.log(np.array(prices, dtype=np.float64)))


def _correlation(left: Any, right: Any) -> float:  # noqa: ANN401
    return float(np.corrcoef(left, right)[0, 1])


@_each_process
@settings(max_examples=10)
@given(cuts=st.sets(st.integers(1, 29)))
def test_a_run_in_pieces_is_the_run_as_a_whole(process: Process[Any], cuts: set[int]) -> None:
    """What stands between two pieces is a state that is written down."""
    whole = _made(process, ("AAPL", "MSFT"), 30)
    states = {symbol: process.begin(symbol) for symbol in ("AAPL", "MSFT")}
    kind, made = type(states["AAPL"]), []
    for begin, end in pairwise([0, *sorted(cuts), 30]):
        made += [each for some in trades(process, states, _START_US + begin * _MINUTE_US, end - begin) for each in some]
        states = {symbol: msgspec.json.decode(msgspec.json.encode(state), type=kind) for symbol, state in states.items()}
    assert made == whole
    assert _made(type(process)(7), ("AAPL", "MSFT"), 30) == whole  # type: ignore[call-arg]


@_each_process
def test_a_symbols_trades_are_its_own_whoever_is_beside_it(process: Process[Any]) -> None:
    alone = _made(process, ["MSFT"], 20)
    together = _made(process, [*SYMBOLS], 20)
    assert [each for each in together if each.symbol == "MSFT"] == alone
    assert together == sorted(together, key=lambda each: each.time_us)
    assert len({each.price for each in together if each.number == 1}) == len(SYMBOLS)


@_each_process
def test_ids_count_by_one_and_times_never_go_back(process: Process[Any]) -> None:
    made = _made(process, ["AAPL"], 200)
    assert [each.number for each in made] == list(range(1, len(made) + 1))
    assert all(left.time_us <= right.time_us for left, right in pairwise(made))
    assert made[0].time_us >= _START_US
    assert made[-1].time_us < _START_US + 200 * _MINUTE_US
    assert all(isinstance(each.price, int) and each.price > 0 and each.size >= 1 for each in made)
    assert {each.side for each in made} == {"buy", "sell"}


@_each_process
def test_another_seed_makes_other_prices(process: Process[Any]) -> None:
    other: Process[Any] = type(process)(8)  # type: ignore[call-arg]
    assert [each.price for each in _made(other, ["AAPL"], 5)] != [each.price for each in _made(process, ["AAPL"], 5)]


def test_first_prices_lie_between_a_hundred_and_five_hundred() -> None:
    firsts = [_made(RandomWalk(seed), ["AAPL"], 1)[0].price for seed in range(300)]
    assert 100_00 <= min(firsts) < 120_00
    assert 470_00 < max(firsts) <= 500_00


def test_a_trade_goes_to_the_market_store_as_simulated_and_exact() -> None:
    made = Made(_START_US, "AAPL", 7, 12_340, 55, "sell")
    assert trade_of(made) == Trade(
        "simulated", "AAPL", "7".zfill(20), _START_US, Decimal("123.4"), Decimal(55), "7", "sell", "simulated"
    )


def test_the_walk_takes_a_step_every_three_seconds_of_at_most_two_percent() -> None:
    made = _made(RandomWalk(3), ["TSLA"], 5 * _DAY_MINUTES)
    assert {after.time_us - before.time_us for before, after in pairwise(made)} == {3_000_000}
    changes = np.diff([each.price for each in made]) / np.array([each.price for each in made[:-1]])
    assert -0.02 <= changes.min() < -0.0195
    assert 0.0199 < changes.max() <= 0.02
    sizes = [each.size for each in made]
    assert 1_000 <= min(sizes) < 1_010
    assert 99_990 < max(sizes) <= 100_000
    assert abs(np.mean(sizes) - 50_500) < 4 * np.std(sizes) / math.sqrt(len(sizes))


@pytest.fixture(scope="module")
def walked() -> Numbers:
    """Prices of twenty days of one symbol's walk, from the first one on."""
    walk = RandomWalk(5)
    prices = [walk.begin("AMZN").price, *(each.price for each in _made(walk, ["AMZN"], 20 * _DAY_MINUTES))]
    return np.array(prices, dtype=np.float64)


def test_the_walk_goes_neither_up_nor_down_and_forgets_its_steps(walked: Numbers) -> None:
    """Of steps whose shares are symmetric, and not their logarithms, the mean would be four standard errors below 0."""
    steps = np.diff(np.log(walked))
    error = steps.std() / math.sqrt(steps.size)
    assert (0.02**2 / 6) / error > 3
    assert abs(steps.mean()) < 2 * error
    # Turned back, a step is no other in size: uniform, whose kurtosis is 1.8.
    assert abs(float(np.mean(steps**4) / np.mean(steps**2) ** 2) - 1.8) < 0.02
    assert abs(_correlation(steps[1:], steps[:-1])) < 0.01


def test_the_walk_is_turned_back_at_a_tenth_and_at_ten_times_the_first_price(
    walked: Numbers,
) -> None:
    first = walked[0]
    assert first / 10 <= walked.min() < first / 9
    assert first * 9 < walked.max() <= first * 10


@pytest.mark.parametrize("price", ["1", "100000"])
def test_a_walk_that_goes_on_from_beyond_its_bounds_comes_back(price: str) -> None:
    walk = RandomWalk(5)
    state, goes_up = walk.resume("AMZN", Decimal(price), 10), price == "1"
    for _ in range(50):
        made, state = walk.step("AMZN", state, _START_US)
        assert (made.price >= int(Decimal(price) * 100)) == goes_up


def test_a_walk_goes_on_from_the_last_trade_that_is_stored() -> None:
    walk = RandomWalk(5)
    made = _made(walk, ["AAPL"], 10)
    stored = trade_of(made[119])
    state = walk.resume("AAPL", stored.price, int(stored.trade_id))
    assert state == Walked(made[119].price, 120)
    for expected in made[120:]:
        one, state = walk.step("AAPL", state, expected.time_us)
        assert one == expected


def test_a_process_of_volatility_goes_on_from_the_last_trade_without_a_jump() -> None:
    process = StochasticVolatility(5)
    made, state = process.minute("AAPL", process.resume("AAPL", Decimal("77.77"), 41), _START_US)
    assert [each.number for each in made] == list(range(42, 42 + len(made)))
    assert all(abs(each.price - 7777) < 80 for each in made)
    assert state.number == made[-1].number


@pytest.fixture(scope="module")
def fortnight() -> list[Made]:
    """Two weeks of one symbol with volatility that clusters."""
    return _made(StochasticVolatility(5), ["AAPL"], 14 * _DAY_MINUTES)


def test_returns_of_clustering_volatility_are_fat_tailed_and_tell_nothing_of_the_next(fortnight: list[Made]) -> None:
    returns = _minute_returns(fortnight)
    assert abs(returns.mean()) < 3 * returns.std() / math.sqrt(returns.size)
    assert np.mean(returns**4) / np.mean(returns**2) ** 2 > 4
    for lag in (1, 2, 3, 5, 10, 30, 60):
        assert abs(_correlation(returns[lag:], returns[:-lag])) < 0.04


def test_volatility_clusters_for_hours_and_repeats_by_the_day(fortnight: list[Made]) -> None:
    squares = _minute_returns(fortnight) ** 2
    found = [_correlation(squares[lag:], squares[:-lag]) for lag in (*range(1, 61), 90, 120, 180)]
    assert min(found) > 0.03
    assert found[0] > found[59]
    by_hour = np.array([each.mean() for each in np.array_split(squares, 14 * 24)])
    hours = by_hour[: 13 * 24].reshape(13, 24).mean(axis=0)
    assert hours[13:18].mean() > 1.2 * hours[1:6].mean()


def test_volatility_is_higher_after_a_fall_than_after_a_rise(fortnight: list[Made]) -> None:
    returns = _minute_returns(fortnight)
    halves = returns[: returns.size // 30 * 30].reshape(-1, 30)
    variances = np.square(halves).sum(axis=1)
    went = halves.sum(axis=1) / np.sqrt(variances)
    assert _correlation(went[:-1], np.log(variances[1:])) < -4 / math.sqrt(went.size)


def test_more_trades_come_when_volatility_is_high_and_they_come_in_clusters(fortnight: list[Made]) -> None:
    minutes = np.bincount([(each.time_us - _START_US) // _MINUTE_US for each in fortnight], minlength=14 * _DAY_MINUTES)
    assert 15 < minutes.mean() < 60
    # A Poisson process of one rate has a variance that is its mean.
    assert minutes.var() > 3 * minutes.mean()
    assert _correlation(minutes[1:], np.abs(_minute_returns(fortnight))[: minutes.size - 1]) > 0.2


def test_buyers_pay_the_ask_and_sizes_are_those_of_many_small_trades_and_few_large(fortnight: list[Made]) -> None:
    pairs = [(left, right) for left, right in pairwise(fortnight) if right.time_us - left.time_us < 20_000]
    spreads = [right.price - left.price for left, right in pairs if (left.side, right.side) == ("sell", "buy")]
    assert len(spreads) > 300
    assert 0.5 < np.mean(spreads) < 5
    sizes = np.array([each.size for each in fortnight])
    assert 80 < np.median(sizes) < 125
    assert 1.5 * np.median(sizes) < sizes.mean() < np.quantile(sizes, 0.999)


def test_the_level_of_volatility_lasts_for_days() -> None:
    process = StochasticVolatility(2)
    state, random, moves = process.begin("AAPL"), Random(1), []
    for _ in range(4_000):
        leap, state = process.leap("AAPL", state, _DAY_MINUTES, random)
        moves.append(math.log(leap.high / leap.low))
    logs = np.log(np.array(moves))
    found = [_correlation(logs[lag:], logs[:-lag]) for lag in (1, 2, 3, 5)]
    assert min(found) > 0.05
    assert found == sorted(found, reverse=True)


@_each_process
def test_a_leap_is_what_its_trades_would_have_done(process: Process[Any]) -> None:
    """In distribution: how far an hour goes, and between which extremes."""
    random, walked, leapt = Random(4), [], []
    for number in range(400):
        symbol = f"S{number}"
        begin = process.begin(symbol)
        price = begin.price
        made = _made(process, [symbol], 60, _START_US + 9 * 60 * _MINUTE_US)
        prices = [each.price for each in made]
        walked.append((math.log(prices[-1] / price), math.log(max(prices) / price), math.log(min(prices) / price), len(made)))
        leap, _ = process.leap(symbol, begin, 60, random)
        leapt.append((*(math.log(each / price) for each in (leap.close, leap.high, leap.low)), leap.trades))
        assert leap.low <= leap.close <= leap.high
        assert leap.volume >= leap.trades
    one, other = np.array(walked), np.array(leapt)
    assert abs(np.log(one[:, 0].std() / other[:, 0].std())) < 0.15
    for column in (1, 2, 3):
        assert abs(one[:, column].mean() / other[:, column].mean() - 1) < 0.15
