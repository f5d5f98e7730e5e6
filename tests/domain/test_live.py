"""The step to a live price, with TA-Lib as the oracle: as if the next bar had closed there."""

import math

import numpy as np
import polars as pl
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from app.domain.live import believed, step, step_viewed
from app.domain.vector import PRICE_FEATURES, PRICE_NAMES, PRICE_STATE
from tests.kit.records import price_record
from warm.make.indicators import latest

_TOLERANCE = 1e-9
_UNCHANGED = ("atr_14", "realised_volatility_20", "ewma_volatility_33", "volume_z_20", *PRICE_STATE)
Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


def _record_values(closes: Floats, spread: float) -> tuple[float | None, ...]:
    """What the warm job stores of these closes, with highs and lows ``spread`` away from them."""
    bars = pl.DataFrame(
        {
            "symbol": ["A"] * len(closes),
            "as_of_ms": range(len(closes)),
            "high": closes * (1 + spread),
            "low": closes * (1 - spread),
            "close": closes,
            "volume": np.full(len(closes), 1000.0),
        }
    )
    values: tuple[float | None, ...] = latest(bars.lazy()).select(PRICE_NAMES).collect().row(0)
    return values


def _oracle(closes: Floats, spread: float, price: float) -> dict[str, float]:
    """The same indicators by TA-Lib, on the closes with the live price as one more bar of no range."""
    after = np.append(closes, price)
    highs, lows = np.append(closes * (1 + spread), price), np.append(closes * (1 - spread), price)
    macd, signal, histogram = talib.MACD(after)
    upper, _, lower = talib.BBANDS(after, timeperiod=20)
    fast_k, _ = talib.STOCHF(highs, lows, after, fastk_period=20, fastd_period=1)
    return {
        "close": price,
        **{f"return_{lag}": talib.ROCP(after, timeperiod=lag)[-1] for lag in (1, 5, 20)},
        "rsi_14": talib.RSI(after)[-1],
        "macd": macd[-1],
        "macd_signal": signal[-1],
        "macd_histogram": histogram[-1],
        "sma_ratio_20_50": talib.SMA(after, 20)[-1] / talib.SMA(after, 50)[-1],
        "bollinger_position_20": (price - lower[-1]) / (upper[-1] - lower[-1]),
        "range_position_20": fast_k[-1] / 100,
        "drawdown_60": price / talib.MAX(after, 60)[-1] - 1,
    }


def _check(closes: Floats, price: float, spread: float = 0.01) -> None:
    stepped = dict(zip(PRICE_NAMES, step(_record_values(closes, spread), price), strict=True))
    scale = max(price, float(closes.max()))
    for name, expected in _oracle(closes, spread, price).items():
        absolute = _TOLERANCE * (scale if name.startswith("macd") else 1.0)
        assert stepped[name] == pytest.approx(expected, rel=_TOLERANCE, abs=absolute), name


@st.composite
def moving_series(draw: st.DrawFn) -> tuple[Floats, float]:
    """Closes that trend, swing or jump, never flat over 20 bars, and a live price."""
    count = draw(st.integers(61, 150))
    level = draw(st.floats(0.5, 5000.0))
    drift = draw(st.floats(-0.01, 0.01))
    seed = draw(st.integers(0, 2**32 - 1))
    steps = np.random.default_rng(seed).normal(drift, draw(st.floats(0.002, 0.05)), count)
    steps[draw(st.integers(0, count - 1))] += draw(st.sampled_from([0.0, 0.4, -0.4]))
    closes = level * np.exp(np.cumsum(steps))
    return closes, float(closes[-1] * draw(st.floats(0.7, 1.4)))


@given(moving_series())
def test_step_equals_ta_lib_on_the_series_with_the_price_appended(series: tuple[Floats, float]) -> None:
    """Every indicator that depends on closes alone is what TA-Lib gives had the bar closed at the live price."""
    _check(*series)


@given(st.floats(1.0, 500.0), st.floats(0.8, 1.2).filter(lambda move: abs(move - 1) > 1e-4))
def test_step_from_a_flat_price_equals_ta_lib(level: float, move: float) -> None:
    """After flat bars the live price is the only move there is."""
    _check(np.full(80, level), level * move)


def test_what_one_price_says_nothing_of_stays_as_it_was() -> None:
    before = price_record().values
    after = step(before, 123.0)
    for name in _UNCHANGED:
        assert after[PRICE_NAMES.index(name)] == before[PRICE_NAMES.index(name)]


def test_a_flat_price_that_stays_has_the_values_ta_lib_gives_no_move() -> None:
    """RSI 0, range position 0, the middle of coinciding bands."""
    stepped = dict(zip(PRICE_NAMES, step(_record_values(np.full(80, 10.0), 0.0), 10.0), strict=True))
    assert (stepped["rsi_14"], stepped["range_position_20"], stepped["bollinger_position_20"]) == (0.0, 0.0, 0.5)
    assert (stepped["return_20"], stepped["macd"], stepped["drawdown_60"]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("bars", [1, 4, 5, 14, 19, 20, 33, 34, 48, 49, 59])
def test_a_young_symbol_steps_only_what_it_has_bars_for(bars: int) -> None:
    """A value after the step is null or what TA-Lib gives; never something made up from too few bars."""
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(bars).normal(0, 0.02, bars)))
    stepped = dict(zip(PRICE_NAMES, step(_record_values(closes, 0.01), 101.0), strict=True))
    expected = _oracle(np.append(closes, []), 0.01, 101.0) if bars >= 2 else {"close": 101.0}
    for name, value in expected.items():
        if stepped[name] is not None:
            assert stepped[name] == pytest.approx(value, rel=_TOLERANCE, abs=1e-7), name
    assert stepped["close"] == 101.0


def test_without_a_close_nothing_is_stepped() -> None:
    empty = tuple(None for _ in PRICE_NAMES)
    assert step(empty, 10.0) == step_viewed(empty, 10.0) == empty


@given(st.floats(5e-324, 1e12), st.floats(5e-324, 1e300))
def test_no_price_makes_a_value_that_is_not_finite(price: float, level: float) -> None:
    values = tuple(None if value is None else value * level for value in price_record().values)
    finite = tuple(value if value is not None and math.isfinite(value) else None for value in values)
    assert all(value is None or math.isfinite(value) for value in step(finite, price))


def test_every_feature_is_either_stepped_or_kept_on_purpose() -> None:
    """A new feature must be put on one of the two lists."""
    stepped = set(_oracle(np.linspace(10.0, 20.0, 80), 0.01, 21.0))
    assert stepped | set(_UNCHANGED) == set(PRICE_NAMES)
    assert stepped & set(_UNCHANGED) == set()
    assert stepped <= set(PRICE_FEATURES)


_DAY_MS = 86_400_000


def test_what_is_believed_of_a_live_price_grows_with_volatility_and_with_the_closes_age() -> None:
    """By the root of the time, one bar included; in both directions alike; and half and double always are."""
    calm, wild = price_record(ewma_volatility_33=0.1), price_record(ewma_volatility_33=1.5)
    at_once = believed(calm, calm.as_of_ms, 10.0)
    assert at_once == believed(calm, calm.as_of_ms - _DAY_MS, 10.0) == (50.0, 200.0)
    low, high = believed(wild, wild.as_of_ms + 8 * _DAY_MS, 10.0) or (0.0, 0.0)
    assert high == pytest.approx(100.0 * math.exp(10.0 * 1.5 * math.sqrt(9 / 365)))
    assert low * high == pytest.approx(10_000.0)
    assert believed(wild, wild.as_of_ms + 8 * _DAY_MS, 1.0) == (50.0, 200.0)


def test_without_a_volatility_much_is_believed_and_without_a_close_nothing_is_said() -> None:
    """A young symbol has no volatility yet; the bounds are numbers however old the close is."""
    young = price_record(ewma_volatility_33=None)
    assert believed(young, young.as_of_ms + 8 * _DAY_MS, 10.0) == pytest.approx(
        (100.0 / math.exp(10.0 * math.sqrt(9 / 365)), 100.0 * math.exp(10.0 * math.sqrt(9 / 365)))
    )
    assert believed(price_record(close=None), 0, 10.0) is None
    assert believed(price_record(close=0.0), 0, 10.0) is None
    assert all(map(math.isfinite, believed(young, 10**15, 1000.0) or (math.inf,)))
