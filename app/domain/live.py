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
_CLOSE, _RETURN_20, _RSI_14, _MACD_HISTOGRAM, _SMA_RATIO, _RANGE_POSITION = (
    _AT[name] for name in ("close", "return_20", "rsi_14", "macd_histogram", "sma_ratio_20_50", "range_position_20")
)
_CLOSE_LAG_19, _MEAN_19, _MEAN_49, _GAIN_14, _LOSS_14, _EMA_12, _EMA_26, _MACD_SIGNAL, _HIGH_19, _LOW_19 = (
    *(_AT[name] for name in ("close_lag_19", "mean_19", "mean_49", "gain_14", "loss_14")),
    *(_AT[name] for name in ("ema_12", "ema_26", "macd_signal", "high_19", "low_19")),
)
_VIEWED = (_RETURN_20, _RSI_14, _MACD_HISTOGRAM, _SMA_RATIO, _RANGE_POSITION)
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


def _macd(values: tuple[float | None, ...], price: float) -> tuple[float | None, float | None, float | None]:
    """MACD, its signal and histogram."""
    fast, slow = _exponential(price, values[_EMA_12], 12), _exponential(price, values[_EMA_26], 26)
    if fast is None or slow is None:
        return None, None, None
    macd = fast - slow
    signal = _exponential(macd, values[_MACD_SIGNAL], 9)
    return (None, None, None) if signal is None else (macd, signal, macd - signal)


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


def step_viewed(values: tuple[float | None, ...], price: float) -> tuple[float | None, ...]:
    """`step`, but of indicators only those that the policy has views of; the others are left as they are."""
    close = values[_CLOSE]
    if close is None:
        return values
    stepped = list(values)
    stepped[_RETURN_20] = _return(price, values[_CLOSE_LAG_19])
    stepped[_RSI_14] = _rsi(price, close, values[_GAIN_14], values[_LOSS_14])
    _, _, stepped[_MACD_HISTOGRAM] = _macd(values, price)
    mean_19, mean_49 = values[_MEAN_19], values[_MEAN_49]
    if mean_19 is not None and mean_49 is not None:
        stepped[_SMA_RATIO] = _ratio((mean_19 * 19.0 + price) / 20.0, (mean_49 * 49.0 + price) / 50.0)
    high, low = values[_HIGH_19], values[_LOW_19]
    if high is not None and low is not None:
        # Calls of max and min would cost more than all else of it.
        high, low = high if high >= price else price, low if low <= price else price  # noqa: FURB136
        stepped[_RANGE_POSITION] = 0.0 if high == low else (price - low) / (high - low)
    for at in _VIEWED:
        value = stepped[at]
        # A price far from all history can overflow a ratio; such an indicator says nothing.
        if value is not None and not math.isfinite(value):
            stepped[at] = None
    return tuple(stepped)


def step(values: tuple[float | None, ...], price: float) -> tuple[float | None, ...]:
    """``values`` (in the order of `PRICE_NAMES`) carried on to ``price``; the state part is left as it is.

    An indicator that has not enough bars stays null. Without a close to go on from, nothing is changed.
    """
    close = values[_CLOSE]
    if close is None:
        return values
    at = _AT
    stepped = list(step_viewed(values, price))
    stepped[_CLOSE] = price
    stepped[at["return_1"]] = _return(price, close)
    stepped[at["return_5"]] = _return(price, values[at["close_lag_4"]])
    stepped[at["macd"]], stepped[at["macd_signal"]], _ = _macd(values, price)
    stepped[at["bollinger_position_20"]] = _bollinger_position(price, values[_MEAN_19], values[at["squares_19"]])
    peak = values[at["peak_59"]]
    if peak is not None:
        stepped[at["drawdown_60"]] = price / max(peak, price) - 1.0
    return tuple(value if value is None or math.isfinite(value) else None for value in stepped)
