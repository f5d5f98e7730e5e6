"""Trades whose volatility clusters as markets' does: for models, replay and tests.

The logarithm of volatility is the sum of a slow and a fast factor, each of them autoregressive, of a daily rhythm, and of what
the minute alone adds. Given it, the price is a Brownian motion. So returns are uncorrelated and have fat tails, and their squares
are correlated for hours and days. Falling prices raise the fast factor. Trades come as a Poisson process, more of them when
volatility is high. Buyers pay the ask, the hundredth above the price, and sellers get the bid.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from random import Random
from typing import NamedTuple

from app.domain.candles import MINUTE_US
from app.domain.intervals import DAY_S
from warm.stream.synthetic.process import TICK, Leap, Made, bounds, first_price, normal
from warm.stream.synthetic.random_walk import bridge

ANNUAL_VOLATILITY = 0.5
"""Its median; that of large coins, and of restless shares."""
SLOW_MINUTES, SLOW_DEVIATION = 5 * 1440, 0.35
FAST_MINUTES, FAST_DEVIATION = 90, 0.4
"""How long a factor remembers, and its spread. Two of them, a lasting and a short-lived one, are what Alizadeh, Brandt and
Diebold (2002) find in the logarithm of volatility.
"""
BURST_DEVIATION = 0.3
"""Spread of what a single minute adds, which the next knows nothing of: news, and what no model can foresee."""
RHYTHM, PEAK_MINUTE = 0.25, 15 * 60
"""Half the height of the daily rhythm (Andersen and Bollerslev, 1997), and when in the UTC day it is highest: in New York's
morning.
"""
LEVERAGE = -0.5
"""Correlation of a minute's return with what the fast factor does next (Black, 1976)."""
TRADES_MINUTE, ARRIVALS = 30.0, 0.9
"""Trades of a minute of median volatility, and the power of volatility that their number goes with (Jones, Kaul and Lipson, 1994:
it is the number of trades, not their size, that goes with volatility).
"""
SIZE_MEDIAN, SIZE_DEVIATION = 100.0, 1.2
"""Sizes are log-normal, in whole numbers."""
AGGRESSION = 0.7
"""Share of trades whose taker pushed in the direction in which the price just went."""

_MINUTE_S = 60.0
_MINUTE_VOLATILITY = ANNUAL_VOLATILITY / math.sqrt(365 * DAY_S / _MINUTE_S)
_SIZE_MEAN = SIZE_MEDIAN * math.exp(SIZE_DEVIATION**2 / 2)
_SIZE_SPREAD = _SIZE_MEAN * math.sqrt(math.exp(SIZE_DEVIATION**2) - 1)


class Felt(NamedTuple):
    """The price before it is rounded, in hundredths; the last trade's number; what the factors are, in deviations of theirs."""

    price: float
    number: int
    slow: float
    fast: float


class StochasticVolatility:
    """A minute's trades follow from the seed, the symbol, the minute and the state before it."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._bounds: Callable[[str], tuple[float, float]] = cache(lambda symbol: bounds(first_price(seed, symbol)))

    def begin(self, symbol: str) -> Felt:
        """At the first price; the factors are anywhere."""
        random = Random(f"{self._seed}/{symbol}/factors")
        return Felt(first_price(self._seed, symbol), 0, normal(random), normal(random))

    def resume(self, symbol: str, price: Decimal, number: int) -> Felt:
        """With the factors that the symbol began with: how they were is not to be seen in a trade."""
        return self.begin(symbol)._replace(price=float(price / TICK), number=number)

    def minute(self, symbol: str, state: Felt, start_us: int) -> tuple[list[Made], Felt]:
        """Its trades; there may be none."""
        random = Random(f"{self._seed}/{symbol}/{start_us}")
        draw, log = random.random, math.log
        least, most = self._bounds(symbol)
        level = _level(state, start_us) + BURST_DEVIATION * normal(random)
        deviation = _MINUTE_VOLATILITY * math.exp(level)
        second_deviation, mean_wait_s = deviation / math.sqrt(_MINUTE_S), _MINUTE_S / (TRADES_MINUTE * math.exp(ARRIVALS * level))
        (price, number, *_), at_s, went = state, 0.0, 0.0
        made = []
        while True:
            wait_s = -log(1 - draw()) * mean_wait_s
            is_over = at_s + wait_s >= _MINUTE_S
            move = second_deviation * math.sqrt(min(wait_s, _MINUTE_S - at_s)) * normal(random)
            following = price * math.exp(move)
            if (following > most and move > 0) or (following < least and move < 0):
                move, following = -move, price * math.exp(-move)
            price = following
            went += move
            if is_over:
                break
            at_s += wait_s
            number += 1
            buys = (draw() < AGGRESSION) == (move > 0)
            size = int(SIZE_MEDIAN * math.exp(SIZE_DEVIATION * normal(random))) + 1
            shown = math.ceil(price) if buys else math.floor(price) or 1
            made.append(Made(start_us + int(at_s * 1_000_000), symbol, number, shown, size, "buy" if buys else "sell"))
        slow, fast = _after(state, 1, went / deviation, random)
        return made, Felt(price, number, slow, fast)

    def leap(self, symbol: str, state: Felt, minutes: int, random: Random) -> tuple[Leap, Felt]:
        """At the volatility that it begins with, and the mean of bursts, without the daily rhythm."""
        level = SLOW_DEVIATION * state.slow + FAST_DEVIATION * state.fast
        deviation = _MINUTE_VOLATILITY * math.exp(level + BURST_DEVIATION**2) * math.sqrt(minutes)
        high, low, close = bridge(state.price, deviation, self._bounds(symbol), random)
        expected = minutes * TRADES_MINUTE * math.exp(ARRIVALS * level + (ARRIVALS * BURST_DEVIATION) ** 2 / 2)
        count = max(1, round(expected + math.sqrt(expected) * normal(random)))
        volume = max(count, round(count * _SIZE_MEAN + math.sqrt(count) * _SIZE_SPREAD * normal(random)))
        leap = Leap(math.ceil(high), math.floor(low) or 1, round(close) or 1, count, volume)
        slow, fast = _after(state, minutes, math.log(close / state.price) / deviation, random)
        return leap, Felt(close, state.number, slow, fast)


def _level(state: Felt, start_us: int) -> float:
    """How far the logarithm of volatility is above its median."""
    minute = start_us // MINUTE_US % 1440
    rhythm = RHYTHM * math.cos(2 * math.pi * (minute - PEAK_MINUTE) / 1440)
    return SLOW_DEVIATION * state.slow + FAST_DEVIATION * state.fast + rhythm


def _after(state: Felt, minutes: int, shock: float, random: Random) -> tuple[float, float]:
    """Both factors so many minutes later; ``shock`` is what the price did meanwhile, in deviations."""
    kept_slow, kept_fast = math.exp(-minutes / SLOW_MINUTES), math.exp(-minutes / FAST_MINUTES)
    news = LEVERAGE * shock + math.sqrt(1 - LEVERAGE**2) * normal(random)
    slow = kept_slow * state.slow + math.sqrt(1 - kept_slow**2) * normal(random)
    return slow, kept_fast * state.fast + math.sqrt(1 - kept_fast**2) * news
