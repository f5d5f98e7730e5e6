"""What is known of a symbol's market right after one of its trades: numbers for models, each with its definition.

Volatilities are roots of realised variance: the sum of squared log returns from second to second on the grid of last prices
(Andersen and Bollerslev, 1998), each minute as its candle has it (`app.domain.candles.realised`). So a second without a trade
keeps the price before it, and a return across a whole minute without a trade, as over night, is none. Seconds that the grid does
not cover are made up for: a variance is scaled from the seconds covered to the window's whole length. What is covered nowhere
is 0.
"""

import math
from collections.abc import Iterable, Sequence
from operator import mul, truediv

import msgspec

from app.domain.candles import MINUTE_US, SECOND_US

HOUR_US = 60 * MINUTE_US
DAY_S = 86_400
_PARKINSON = 4 * math.log(2)


class Features(msgspec.Struct, frozen=True, gc=False):
    """Of ``symbol`` after its last trade, which is in the second ``time_s`` of the epoch. Every number is finite.

    ``n`` is the number of trades in the ring, the last `WINDOW_SIZE`; ``ret_mean`` and ``ret_std`` are mean and standard
    deviation (ddof 0) of the n - 1 log returns between them, 0 where there are fewer than two trades.

    ``volatility_*``: standard deviation of the log return over so long, not annualised. ``_10s`` and ``_1m`` are of that many
    seconds up to this one; ``_5m``, ``_15m`` and ``_1h`` of the minute under way and the 4, 14 and 59 before it; ``_1d`` of the
    hour under way and the 23 before it that have trades. ``covered_1h_s``, ``covered_1d_s``: seconds that the last two rest on.

    ``ewma_94``, ``ewma_99``: root of the exponentially weighted mean (λ 0.94 and 0.99, weights that sum to 1) of the variance of
    complete minutes, in those same hours; a minute counts if at least 54 seconds are covered. Log return over a minute.

    ``range_*``: root of the sum of Parkinson's variances (1980) of minutes, ln(high / low)² / (4 ln 2), scaled as above; ``_1m``
    over a minute, of the minute under way and the one before; ``_1h`` over an hour, of the minute under way and the 59 before.
    ``volume_rate_*`` and ``trade_rate_*``: size and number of trades a covered second in those same minutes.

    ``gap_s``: seconds of the hour up to the end of this second that are lost and not filled.
    """

    symbol: str
    time_s: int
    n: int
    ret_mean: float
    ret_std: float
    volatility_10s: float
    volatility_1m: float
    volatility_5m: float
    volatility_15m: float
    volatility_1h: float
    volatility_1d: float
    covered_1h_s: int
    covered_1d_s: int
    ewma_94: float
    ewma_99: float
    range_1m: float
    range_1h: float
    volume_rate_1m: float
    volume_rate_1h: float
    trade_rate_1m: float
    trade_rate_1h: float
    gap_s: float


def log_returns(prices: Sequence[float]) -> list[float]:
    """From each of ``prices`` to the next."""
    return list(map(math.log, map(truediv, prices[1:], prices)))


def moments(returns: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (ddof 0); 0 where there is none."""
    if not returns:
        return 0.0, 0.0
    mean = math.fsum(returns) / len(returns)
    apart = [each - mean for each in returns]
    return mean, math.sqrt(math.fsum(map(mul, apart, apart)) / len(returns))


def parkinson(high: float, low: float) -> float:
    """Variance of the log return over a bar, from its range (Parkinson, 1980)."""
    return math.log(high / low) ** 2 / _PARKINSON


def volatility(variance: float, covered_s: int, length_s: int) -> float:
    """Root of ``variance``, which is of ``covered_s`` seconds, scaled to ``length_s``; 0 where nothing is covered."""
    return math.sqrt(variance * length_s / covered_s) if covered_s else 0.0


def lost_s(gaps: Iterable[tuple[int, int]], second: int) -> float:
    """Seconds of the hour up to the end of ``second`` (of the epoch) in ``gaps``, each from its first microsecond to before its
    last, none counted twice. A gap counts once it is over, since what comes after it shows it.
    """
    end_us = (second + 1) * SECOND_US
    lost_us, reached_us = 0, end_us - HOUR_US
    for from_us, to_us in sorted(gaps):
        if reached_us < to_us <= end_us:
            lost_us += to_us - max(from_us, reached_us)
            reached_us = to_us
    return lost_us / SECOND_US
