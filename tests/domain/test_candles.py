"""Candles are a function of the set of trades, and exact."""

import itertools
import math
import random
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.candles import MINUTE_US, Candle, Grid, by_minute, candle_of, grid_of, merge_grid, minute_of, realised, vwap
from app.domain.prices import exact
from app.domain.trades import Trade, refusal, trade_key

_numbers = st.decimals(min_value=Decimal("1e-12"), max_value=Decimal("1e12"), allow_nan=False, places=12).map(exact)
_trades = st.lists(
    st.builds(
        lambda venue, number, time_us, price, size: Trade(venue, "A", trade_key(str(number)), time_us, price, size, str(number)),
        st.sampled_from("VW"),
        st.integers(0, 10**22),
        st.integers(0, 4 * MINUTE_US),
        _numbers,
        st.one_of(_numbers, st.just(Decimal(0))),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda trade: (trade.venue, trade.key),
)


def _trade(time_us: int, price: str = "5", size: str = "1", *, closing: bool = False) -> Trade:
    return Trade("V", "A", trade_key(str(time_us)), time_us, exact(price), exact(size), str(time_us), closing=closing)


def _recomputed(trades: Sequence[Trade], start_us: int) -> tuple[object, ...] | None:
    """By definition, from all trades of the bar at once, in fractions."""
    inside = sorted(
        (each for each in trades if each.time_us // MINUTE_US * MINUTE_US == start_us and each.size),
        key=lambda each: (each.time_us, each.venue, each.key),
    )
    if not inside:
        return None
    volume = sum((Fraction(each.size) for each in inside), Fraction())
    notional = sum((Fraction(each.price) * Fraction(each.size) for each in inside), Fraction())
    prices = [each.price for each in inside]
    ends = [(each.time_us, each.venue, each.key) for each in (inside[0], inside[-1])]
    return prices[0], max(prices), min(prices), prices[-1], volume, notional, len(inside), *ends


def _fields(candle: Candle) -> tuple[object, ...]:
    prices = candle.open, candle.high, candle.low, candle.close
    return *prices, Fraction(candle.volume), Fraction(candle.notional), candle.trades, candle.first, candle.last


@given(_trades, st.randoms(use_true_random=False), st.integers(1, 10))
def test_any_order_and_any_split_give_the_same_candles_and_grids(trades: list[Trade], rng: random.Random, parts: int) -> None:
    """And each candle is what the definition says of all its trades."""
    shuffled = trades.copy()
    rng.shuffle(shuffled)
    merged: dict[tuple[str, int], tuple[Candle, Grid]] = {}
    for part in range(parts):
        for at, group in by_minute(shuffled[part::parts], {}).items():
            candle, grid = candle_of(group), grid_of(at[1], group)
            if at in merged:
                merged[at][0].merge(candle)
                merged_grid = merged[at][1]
                merge_grid(merged_grid, grid)
            else:
                merged[at] = candle, grid
    assert merged == {at: (candle_of(group), grid_of(at[1], group)) for at, group in by_minute(trades, {}).items()}
    for start_us in range(0, 5 * MINUTE_US, MINUTE_US):
        found = merged.get(("A", start_us))
        assert (found and _fields(found[0])) == _recomputed(trades, start_us)


def test_a_trade_without_a_size_moves_nothing() -> None:
    assert by_minute([_trade(0, size="0")], {}) == {}


def test_sums_keep_every_digit() -> None:
    """Of numbers whose sum no float holds."""
    candle = candle_of([_trade(n, "123456789.123456789", "0.000000000000000001") for n in range(3)])
    assert candle.volume == Decimal("0.000000000000000003")
    assert candle.notional == Decimal("370370367.370370367") * Decimal("0.000000000000000001")
    assert vwap(candle.notional, candle.volume) == exact("123456789.123456789")


def test_ids_are_ordered_as_numbers_also_beyond_64_bits() -> None:
    """And ids that are no numbers as text."""
    ids = ["0", "9", "10", "99999999999999999999", "100000000000000000000", "9" * 40, "1" + "0" * 40]
    assert sorted(ids, key=trade_key) == ids
    assert trade_key("a-7") == "a-7"
    assert trade_key("000000000000000000000000001") == trade_key("1")


@pytest.mark.parametrize(
    ("price", "size", "said"), [("0", "1", "price"), ("-1", "1", "price"), ("1", "-0.1", "size"), ("1", "0", None)]
)
def test_what_no_trade_can_be_is_refused(price: str, size: str, said: str | None) -> None:
    why = refusal(exact(price), exact(size))
    assert (why is None) if said is None else (why is not None and why.startswith(said))


def test_realised_variance_is_that_of_the_last_price_of_each_second() -> None:
    """A second without a trade keeps the price; the minute before lends its last one."""
    grid = grid_of(
        0, [_trade(100, "10"), _trade(200, "9"), _trade(900_000, "11"), _trade(30_000_000, "11"), _trade(59_000_000, "12")]
    )
    variance, covered = realised(grid, 10.0)
    by_hand = [10.0, *[11.0] * 59, 12.0]
    expected = sum((math.log(b / a)) ** 2 for a, b in itertools.pairwise(by_hand))
    assert variance == pytest.approx(expected, rel=1e-12)
    assert covered == 60
    assert realised(grid_of(0, [_trade(7_000_000)]), None) == (0.0, 53)


def test_the_close_belongs_to_the_last_minute_of_its_session() -> None:
    """In the second of the close, and for 15 minutes what is marked as its print; its grid has no more than 60 seconds."""
    close = 600 * MINUTE_US
    closes = [close - 300 * MINUTE_US, close]
    last = close - MINUTE_US
    assert minute_of(close - 1, closes) == minute_of(close, closes) == minute_of(close + 999_999, closes) == last
    assert minute_of(close + 1_000_000, closes) == close
    assert minute_of(close + 15 * MINUTE_US - 1, closes, closing=True) == last
    assert minute_of(close + 15 * MINUTE_US, closes, closing=True) == close + 15 * MINUTE_US
    assert minute_of(5 * MINUTE_US + 7, closes, closing=True) == minute_of(5 * MINUTE_US + 7) == 5 * MINUTE_US
    trades = [_trade(close - 1, "7"), _trade(close + 5, "8"), _trade(close + 9 * MINUTE_US, "9", closing=True)]
    (((symbol, start_us), group),) = by_minute(reversed(trades), {"A": closes}).items()
    assert (symbol, start_us, group) == ("A", last, trades)
    assert grid_of(start_us, group) == {59: (trades[-1].order, 9.0)}


def test_a_candle_of_one_trade_is_that_trade() -> None:
    """With its place at both ends."""
    trade = _trade(5, "7", "2")
    seven, two = Decimal(7), Decimal(2)
    assert candle_of([trade]) == Candle(seven, seven, seven, seven, two, Decimal(14), 1, trade.order, trade.order)


def test_candles_of_one_bar_are_merged_in_either_order() -> None:
    earlier, later = [_trade(5, "7"), _trade(6, "9")], [_trade(7, "6"), _trade(8, "8")]
    whole = _fields(candle_of([*earlier, *later]))
    for first, second in ((earlier, later), (later, earlier)):
        merged = candle_of(first)
        merged.merge(candle_of(second))
        assert _fields(merged) == whole
