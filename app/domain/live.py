"""Carry a symbol's price indicators one bar on, to a live price.

A live price is taken as the close so far of the bar that follows the last complete one. Every indicator that depends on closes
alone is then exactly what it would be had that bar closed there, by the recurrences of its definition; the record carries the
state they need (`PRICE_STATE`), not the bars. ATR, both volatilities and the volume z-score stay those of the last complete
bar, since one price says nothing of the new bar's range or volume. Range position takes the live price as the new bar's high
and low.
"""

import math

from app.domain.vector import PRICE_NAMES, PriceRecord

_AT = {name: position for position, name in enumerate(PRICE_NAMES)}
_RSI_N = 14
_YEAR_MS = 31_536_000_000.0
_ASSUMED_VOLATILITY = 1.0
"""A year's, of a symbol with too few bars for its own."""
_LEAST_FACTOR = 2.0
"""Half of the last close and its double are believed of any symbol: a takeover or a bad night is no slip."""
_MOST_LOG = 40.0
"""Beyond this a factor says nothing any more; it also keeps it finite."""
_NO_MOVE = 1e-14
"""TA-Lib calls an average move below this zero, and RSI 0."""


def _return(price: float, base: float | None) -> float | None:
    return None if base is None or base <= 0.0 else price / base - 1.0


def _ratio(short: float, long: float) -> float | None:
    """None where the long mean is no price: the smallest prices there are have a mean that is rounded to 0."""
    return None if long <= 0.0 else short / long


def _rsi(price: float, close: float, gain: float | None, loss: float | None) -> float | None:
    if gain is None or loss is None:
        return None
    change = price - close
    gain = (gain * (_RSI_N - 1) + max(change, 0.0)) / _RSI_N
    loss = (loss * (_RSI_N - 1) + max(-change, 0.0)) / _RSI_N
    total = gain + loss
    return 0.0 if total < _NO_MOVE else 100.0 * gain / total


def _exponential(price: float, mean: float | None, span: int) -> float | None:
    return None if mean is None else mean + (price - mean) * 2.0 / (span + 1)


def _bollinger_position(price: float, mean: float | None, squares: float | None) -> float | None:
    """Where ``price`` lies between the bands of 20 closes: the last 19 (Chan's update of mean and squares) and itself."""
    if mean is None or squares is None:
        return None
    away = price - mean
    deviation = math.sqrt(max(0.0, (squares + away * away * 19.0 / 20.0) / 20.0))
    if deviation < _NO_MOVE:
        return 0.5
    return 0.5 + (away - away / 20.0) / (4.0 * deviation)


def believed(record: PriceRecord, now_ms: int, deviations: float) -> tuple[float, float] | None:
    """The lowest and the highest live price at ``now_ms`` that is believed of a symbol whose last bar ``record`` is of; None
    without a close to go by.

    Its logarithm may lie so many standard ``deviations`` from the last close's as the symbol's own volatility makes of the
    close's age and one bar, and always within a factor of two.
    """
    close = record.values[_AT["close"]]
    if close is None or close <= 0.0:
        return None
    volatility = record.values[_AT["ewma_volatility_33"]]
    years = (max(0, now_ms - record.as_of_ms) + record.interval_s * 1000) / _YEAR_MS
    reach = deviations * (_ASSUMED_VOLATILITY if volatility is None else volatility) * math.sqrt(years)
    factor = max(_LEAST_FACTOR, math.exp(min(reach, _MOST_LOG)))
    return close / factor, close * factor


def step(values: tuple[float | None, ...], price: float) -> tuple[float | None, ...]:
    """``values`` (in the order of `PRICE_NAMES`) carried on to ``price``; the state part is left as it is.

    An indicator that has not enough bars stays null. Without a close to go on from, nothing is changed.
    """
    at = _AT
    close = values[at["close"]]
    if close is None:
        return values
    stepped = list(values)
    stepped[at["close"]] = price
    stepped[at["return_1"]] = _return(price, close)
    stepped[at["return_5"]] = _return(price, values[at["close_lag_4"]])
    stepped[at["return_20"]] = _return(price, values[at["close_lag_19"]])
    stepped[at["rsi_14"]] = _rsi(price, close, values[at["gain_14"]], values[at["loss_14"]])
    fast = _exponential(price, values[at["ema_12"]], 12)
    slow = _exponential(price, values[at["ema_26"]], 26)
    macd = None if fast is None or slow is None else fast - slow
    signal = None if macd is None else _exponential(macd, values[at["macd_signal"]], 9)
    stepped[at["macd"]] = None if signal is None else macd
    stepped[at["macd_signal"]] = signal
    stepped[at["macd_histogram"]] = None if macd is None or signal is None else macd - signal
    mean_19, mean_49 = values[at["mean_19"]], values[at["mean_49"]]
    if mean_19 is not None and mean_49 is not None:
        stepped[at["sma_ratio_20_50"]] = _ratio((mean_19 * 19.0 + price) / 20.0, (mean_49 * 49.0 + price) / 50.0)
    stepped[at["bollinger_position_20"]] = _bollinger_position(price, mean_19, values[at["squares_19"]])
    high, low, peak = values[at["high_19"]], values[at["low_19"]], values[at["peak_59"]]
    if high is not None and low is not None:
        high, low = max(high, price), min(low, price)
        stepped[at["range_position_20"]] = 0.0 if high == low else (price - low) / (high - low)
    if peak is not None:
        stepped[at["drawdown_60"]] = price / max(peak, price) - 1.0
    # A price far from all history can overflow a ratio; such an indicator says nothing.
    return tuple(value if value is None or math.isfinite(value) else None for value in stepped)
