"""Candles are a function of the set of trades, and exact."""

import itertools
import math
import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.candles import MINUTE_US, Candle, candle_of, candles_of, realised
from app.domain.prices import exact
from app.domain.trades import Trade, refusal, trade_key

_numbers = st.decimals(min_value=Decimal("1e-12"), max_value=Decimal("1e12"), allow_nan=False, places=12).map(exact)
_trades = st.lists(
    st.builds(
        lambda number, time_us, price, size: Trade("V", "A", trade_key(str(number)), time_us, price, size, str(number)),
        st.integers(0, 10**22),
        st.integers(0, 4 * MINUTE_US),
        _numbers,
        st.one_of(_numbers, st.just(Decimal(0))),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda trade: trade.key,
)


def _recomputed(trades: list[Trade], start_us: int) -> Candle | None:
    """By definition, from all trades of the bar at once, in fractions."""
    inside = sorted(
        (each for each in trades if each.time_us // MINUTE_US * MINUTE_US == start_us and each.size),
        key=lambda each: (each.time_us, each.key),
    )
    if not inside:
        return None
    volume = sum((Fraction(each.size) for each in inside), Fraction())
    notional = sum((Fraction(each.price) * Fraction(each.size) for each in inside), Fraction())
    found = candles_of(inside)["V", "A", start_us]
    assert (Fraction(found.volume), Fraction(found.notional)) == (volume, notional)
    prices = [each.price for each in inside]
    keys = [(each.time_us, each.key) for each in inside]
    return Candle(prices[0], max(prices), min(prices), prices[-1], found.volume, found.notional, len(inside), keys[0], keys[-1])


@given(_trades, st.randoms(use_true_random=False), st.integers(1, 10))
def test_any_order_and_any_split_give_the_same_candles(trades: list[Trade], rng: random.Random, parts: int) -> None:
    """And each is what the definition says of all its trades."""
    shuffled = trades.copy()
    rng.shuffle(shuffled)
    merged: dict[tuple[str, str, int], Candle] = {}
    for part in range(parts):
        for at, candle in candles_of(shuffled[part::parts]).items():
            if at in merged:
                merged[at].merge(candle)
            else:
                merged[at] = candle
    assert merged == candles_of(trades)
    for start_us in range(0, 5 * MINUTE_US, MINUTE_US):
        assert merged.get(("V", "A", start_us)) == _recomputed(trades, start_us)


def test_a_trade_without_a_size_moves_nothing() -> None:
    """It is kept as a trade, and no more."""
    assert candles_of([Trade("V", "A", "1", 0, Decimal(5), Decimal(0), "1")]) == {}


def test_sums_keep_every_digit() -> None:
    """Of numbers whose sum no float holds."""
    trades = [Trade("V", "A", str(n), n, exact("123456789.123456789"), exact("0.000000000000000001"), str(n)) for n in range(3)]
    candle = candles_of(trades)["V", "A", 0]
    assert candle.volume == Decimal("0.000000000000000003")
    assert candle.notional == Decimal("370370367.370370367") * Decimal("0.000000000000000001")
    assert candle.vwap == exact("123456789.123456789")


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
    """A price at or below zero, a negative size."""
    why = refusal(exact(price), exact(size))
    assert (why is None) if said is None else (why is not None and why.startswith(said))


def test_realised_variance_is_that_of_the_last_price_of_each_second() -> None:
    """A second without a trade keeps the price; the minute before lends its last one."""
    trades = [(100, 10.0), (900_000, 11.0), (30_000_000, 11.0), (59_000_000, 12.0)]
    variance, covered = realised(0, trades, 10.0)
    by_hand = [10.0, *[11.0] * 59, 12.0]
    expected = sum((math.log(b / a)) ** 2 for a, b in itertools.pairwise(by_hand))
    assert variance == pytest.approx(expected, rel=1e-12)
    assert covered == 60
    assert realised(0, [(7_000_000, 10.0)], None) == (0.0, 53)
    assert realised(0, [], 10.0) == (0.0, 60)
    assert realised(0, [], None) == (0.0, 0)


def test_a_candle_of_one_trade_is_that_trade() -> None:
    """With its key at both ends."""
    trade = Trade("V", "A", "1", 5, Decimal(7), Decimal(2), "1")
    assert candle_of(trade) == Candle(
        Decimal(7), Decimal(7), Decimal(7), Decimal(7), Decimal(2), Decimal(14), 1, (5, "1"), (5, "1")
    )
