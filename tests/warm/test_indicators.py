"""TA-Lib is the oracle for what it has, NumPy for the rest; both see the same bars as the expressions."""

import math

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.vector import PRICE_FEATURES, PRICE_NAMES
from tests.warm.running import RECKONING, SAMPLE_PRICES
from tests.warm.synthetic import make_prices
from warm.files.prices.frame import read_prices
from warm.make.indicators import latest, series

Floats = npt.NDArray[np.float64]

FIRST_BAR = {
    "close": 0, "return_1": 1, "return_5": 5, "return_20": 20, "rsi_14": 14, "macd": 33, "macd_signal": 33,
    "macd_histogram": 33, "atr_14": 14, "sma_ratio_20_50": 49, "bollinger_position_20": 19, "realised_volatility_20": 20,
    "ewma_volatility_33": 33, "volume_z_20": 19, "range_position_20": 19, "drawdown_60": 59, "close_lag_4": 4,
    "close_lag_19": 19, "mean_19": 18, "squares_19": 18, "mean_49": 48, "gain_14": 14, "loss_14": 14, "ema_12": 25,
    "ema_26": 25, "high_19": 18, "low_19": 18, "peak_59": 58,
}  # fmt: skip


def windows(values: Floats, count: int) -> Floats:
    """Every window of ``count`` values, one a row."""
    return np.lib.stride_tricks.sliding_window_view(values, count)


def oracle(high: Floats, low: Floats, close: Floats, volume: Floats) -> dict[str, Floats]:
    """Every feature and state value by TA-Lib or NumPy, from its first defined bar on."""
    macd, signal, histogram = talib.MACD(close, 12, 26, 9)
    fastk, _ = talib.STOCHF(high, low, close, 20, 1)
    log_return = np.diff(np.log(close))
    change = np.diff(close)
    gain, loss = np.maximum(change, 0), np.maximum(-change, 0)
    mean_20, deviation_20 = windows(close, 20).mean(axis=1), windows(close - close.mean(), 20).std(axis=1)
    volume_deviation = windows(volume, 20).std(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A flat window has no deviation, though NumPy's mean of twenty equal values may differ from them in the last bit.
        position = np.where(np.ptp(windows(close, 20), axis=1) == 0, 0.5, 0.5 + (close[19:] - mean_20) / (4 * deviation_20))
        volume_z = (volume[19:] - windows(volume, 20).mean(axis=1)) / volume_deviation
    return {
        "close": close,
        **{f"return_{lag}": talib.ROCP(close, lag)[lag:] for lag in (1, 5, 20)},
        "rsi_14": talib.RSI(close, 14)[14:],
        "macd": macd[33:],
        "macd_signal": signal[33:],
        "macd_histogram": histogram[33:],
        "atr_14": talib.ATR(high, low, close, 14)[14:],
        "sma_ratio_20_50": (talib.SMA(close, 20) / talib.SMA(close, 50))[49:],
        "bollinger_position_20": position,
        "realised_volatility_20": windows(log_return, 20).std(axis=1) * math.sqrt(252),
        "ewma_volatility_33": np.sqrt(talib.EMA(log_return**2, 33)[32:] * 252),
        "volume_z_20": np.where(volume_deviation == 0, 0.0, volume_z),
        "range_position_20": fastk[19:] / 100,
        "drawdown_60": (close / talib.MAX(close, 60))[59:] - 1,
        "close_lag_4": close[:-4],
        "close_lag_19": close[:-19],
        "mean_19": windows(close, 19).mean(axis=1),
        "squares_19": windows(close, 19).var(axis=1) * 19,
        "mean_49": windows(close, 49).mean(axis=1),
        "gain_14": wilder(gain, 14),
        "loss_14": wilder(loss, 14),
        "ema_12": moving(close[14:], 12),
        "ema_26": moving(close, 26),
        "high_19": windows(high, 19).max(axis=1),
        "low_19": windows(low, 19).min(axis=1),
        "peak_59": windows(close, 59).max(axis=1),
    }


def moving(values: Floats, count: int, alpha: float | None = None) -> Floats:
    """An exponential average seeded with the mean of the first ``count``, step by step."""
    alpha = 2 / (count + 1) if alpha is None else alpha
    averages = [float(values[:count].mean())]
    for value in values[count:]:
        averages.append(averages[-1] + alpha * (float(value) - averages[-1]))
    return np.array(averages)


def wilder(values: Floats, count: int) -> Floats:
    """Wilder's average."""
    return moving(values, count, 1 / count)


def frame_of(symbol: str, high: Floats, low: Floats, close: Floats, volume: Floats) -> pl.DataFrame:
    """Bars as the indicators want them."""
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(close),
            "as_of_ms": np.arange(len(close), dtype=np.int64),
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
        }
    )


def check(bars: pl.DataFrame) -> None:
    """Every value of every bar against the oracle: 1e-9 relative, or 1e-9 of the price where a value crosses zero."""
    high, low, close, volume = (bars.get_column(name).to_numpy() for name in ("high", "low", "close", "volume"))
    made = series(bars)
    scale = float(np.max(close))
    for name, expected in oracle(high, low, close, volume).items():
        got = made.get_column(name).to_numpy()
        first = FIRST_BAR[name]
        assert np.isnan(got[:first]).all(), f"{name} has a value before bar {first}"
        assert len(got) - first == len(expected), name
        absolute = {"macd": scale, "macd_signal": scale, "macd_histogram": scale, "gain_14": scale, "loss_14": scale,
                    "atr_14": scale, "squares_19": scale**2, "rsi_14": 100.0}.get(name, 1.0)  # fmt: skip
        np.testing.assert_allclose(got[first:], expected, rtol=1e-9, atol=1e-9 * absolute, err_msg=name)


def test_every_name_of_the_vector_is_checked() -> None:
    """A feature or state value that is added must get an oracle."""
    assert tuple(FIRST_BAR) == PRICE_NAMES
    assert len(PRICE_FEATURES) == 16


@pytest.mark.parametrize("symbol", ["AAPL", "FB", "GOOG", "IBM", "MSFT"])
def test_every_indicator_equals_its_oracle_on_the_sample(symbol: str) -> None:
    check(read_prices(SAMPLE_PRICES, RECKONING).frame.filter(pl.col("symbol") == symbol))


STEPS = {
    "flat": st.just(0.0),
    "rising": st.floats(0.001, 0.02),
    "falling": st.floats(-0.02, -0.001),
    "wild": st.floats(-0.2, 0.2),
    "gaps": st.one_of(st.just(0.0), st.sampled_from([0.5, -0.4, 0.01])),
}


@pytest.mark.parametrize("kind", STEPS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_indicator_equals_its_oracle_on_made_series(kind: str, data: st.DataObject) -> None:
    """Flat, trending, wild and gapped series of any length from one that defines everything, at any price level."""
    count = data.draw(st.integers(62, 140), label="bars")
    steps = np.array(data.draw(st.lists(STEPS[kind], min_size=count, max_size=count), label="steps"))
    level = data.draw(st.sampled_from([0.01, 1.0, 0.1 + 0.2, 100.0, 5e5]), label="level")
    spread = 0.0 if kind == "flat" else 0.01
    close = level * np.exp(np.cumsum(steps))
    volume = np.array(data.draw(st.lists(st.integers(0, 10**9), min_size=count, max_size=count)), dtype=float)
    check(frame_of("X", close * (1 + spread), close * (1 - spread), close, volume))


@pytest.mark.parametrize("symbol", ["AAPL", "FB", "GOOG", "IBM", "MSFT"])
def test_bollinger_position_agrees_with_talibs_bands(symbol: str) -> None:
    """Put back between TA-Lib's bands, the position gives the close again."""
    bars = read_prices(SAMPLE_PRICES, RECKONING).frame.filter(pl.col("symbol") == symbol)
    close = bars.get_column("close").to_numpy()
    upper, _, lower = talib.BBANDS(close, 20, 2, 2)
    position = series(bars).get_column("bollinger_position_20").to_numpy()
    np.testing.assert_allclose((lower + position * (upper - lower))[19:], close[19:], rtol=1e-9)


def test_a_flat_series_has_the_defined_values_and_no_residue() -> None:
    """At a level that binary fractions miss."""
    flat = np.full(100, 0.1)
    last = latest(frame_of("X", flat, flat, flat, np.full(100, 7.0)).lazy()).collect().row(0, named=True)
    assert last["rsi_14"] == 0.0
    assert last["bollinger_position_20"] == 0.5
    assert last["volume_z_20"] == 0.0
    assert last["range_position_20"] == 0.0
    assert last["squares_19"] == 0.0
    assert last["realised_volatility_20"] == 0.0
    assert last["ewma_volatility_33"] == 0.0
    assert last["drawdown_60"] == 0.0
    assert last["mean_19"] == 0.1


def test_a_calm_window_after_a_storm_keeps_no_residue() -> None:
    """Prices in the millions long ago leave nothing in windows that are flat today."""
    close = np.concatenate([np.linspace(1e6, 9e6, 60), np.full(60, 0.1)])
    last = latest(frame_of("X", close, close, close, close).lazy()).collect().row(0, named=True)
    assert last["bollinger_position_20"] == 0.5
    assert last["squares_19"] == 0.0
    assert last["volume_z_20"] == 0.0


@pytest.mark.parametrize("count", [1, 2, 14, 15, 19, 20, 21, 26, 33, 34, 49, 50, 59, 60, 61])
def test_an_indicator_is_null_until_it_has_enough_bars(count: int) -> None:
    """Of a young symbol exactly the indicators that TA-Lib defines are there."""
    bars = made_bars(1, count)
    last = latest(bars.lazy()).collect().row(0, named=True)
    assert {name for name in PRICE_NAMES if last[name] is not None} == {
        name for name, first in FIRST_BAR.items() if first < count
    }


def test_latest_is_the_last_row_of_the_series() -> None:
    """The quick way over the last bars and the way over all of them agree for every symbol."""
    bars = made_bars(7, 130)
    whole = series(bars).group_by("symbol", maintain_order=True).last()
    quick = latest(bars.lazy()).collect()
    assert quick.columns == ["symbol", "as_of_ms", *PRICE_NAMES]
    for name in PRICE_NAMES:
        np.testing.assert_allclose(quick[name].to_numpy(), whole[name].to_numpy(), rtol=1e-12, atol=1e-12)


def test_symbols_do_not_leak_into_each_other() -> None:
    bars = made_bars(60, 90)
    together = latest(bars.lazy()).collect()
    names = together["symbol"].to_list()
    # Beside one other and not alone: Polars multiplies by the reciprocal where a column has one row, which differs in the
    # last bit from a division.
    for count in (2, 3, 7, 33):
        for first in range(0, len(names) - count, count):
            chosen = names[first : first + count]
            some = latest(bars.filter(pl.col("symbol").is_in(chosen)).lazy()).collect()
            assert some.equals(together.filter(pl.col("symbol").is_in(chosen)))


def test_annualisation_follows_the_bars_a_year() -> None:
    """Volatility scales with the root of the bars a year and nothing else changes."""
    bars = made_bars(1, 80)
    daily, other = (latest(bars.lazy(), year).collect().row(0, named=True) for year in (252.0, 1008.0))
    for name in PRICE_NAMES:
        factor = 2.0 if name in ("realised_volatility_20", "ewma_volatility_33") else 1.0
        assert other[name] == pytest.approx(factor * daily[name], rel=1e-12)


def made_bars(symbols: int, count: int) -> pl.DataFrame:
    """Synthetic bars in the indicators' columns."""
    return make_prices(symbols, count, seed=1).select(
        "symbol",
        pl.col("date").cast(pl.Datetime("ms")).cast(pl.Int64).alias("as_of_ms"),
        "high",
        "low",
        "close",
        pl.col("volume").cast(pl.Float64),
    )
