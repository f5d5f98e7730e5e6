"""A random walk, one step every few seconds, of at most 2 % either way.

The logarithm of a step is uniform and symmetric, so its mean is 0; that of equal shares up and down would not be, and prices
would sink. A step that would leave a tenth to ten times the first price is turned round.
"""

import hashlib
import math
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from random import Random
from typing import NamedTuple

from app.domain.candles import MINUTE_US
from warm.stream.synthetic.process import TICK, Leap, Made, bounds, first_price, normal

STEP = 0.02
SIZE_LEAST, SIZE_MOST = 1_000, 100_000
_SIZES = SIZE_MOST - SIZE_LEAST + 1
_SIZE_MEAN, _SIZE_DEVIATION = (SIZE_LEAST + SIZE_MOST) / 2, math.sqrt((_SIZES**2 - 1) / 12)
_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


class Walked(NamedTuple):
    """The last price in hundredths, and how many steps led there; the last trade has that number."""

    price: int
    step: int


class RandomWalk:
    """Steps every ``interval_us``, at its multiples since 1970."""

    def __init__(self, seed: int, interval_us: int = 3_000_000) -> None:
        self._seed, self._interval_us = seed, interval_us
        self._of = cache(self._known)

    def begin(self, symbol: str) -> Walked:
        """At the first price."""
        return Walked(first_price(self._seed, symbol), 0)

    def resume(self, symbol: str, price: Decimal, number: int) -> Walked:
        """As if it had never been interrupted."""
        del symbol
        return Walked(max(1, round(price / TICK)), number)

    def step_before(self, time_us: int) -> int:
        """When the last step is made up to then."""
        return time_us - time_us % self._interval_us

    def step_after(self, time_us: int) -> int:
        """When the first one is made after it."""
        return self.step_before(time_us) + self._interval_us

    def step(self, symbol: str, state: Walked, time_us: int) -> tuple[Made, Walked]:
        """The next trade, at that time."""
        (made,) = self._steps(symbol, state, (time_us,))
        return made, Walked(made.price, made.number)

    def minute(self, symbol: str, state: Walked, start_us: int) -> tuple[list[Made], Walked]:
        """Its steps."""
        first_us = -(-start_us // self._interval_us) * self._interval_us
        made = self._steps(symbol, state, range(first_us, start_us + MINUTE_US, self._interval_us))
        return made, Walked(made[-1].price, made[-1].number) if made else state

    def _steps(self, symbol: str, state: Walked, times_us: Iterable[int]) -> list[Made]:
        key, low, high = self._of(symbol)
        price, number = state
        made = []
        for time_us in times_us:
            number += 1
            drawn = _mixed(key + number * _GOLDEN)
            # A price is rounded by up to half a hundredth, and stays within the step all the same.
            factor = math.exp(math.log(1 + STEP - 0.5 / price) * ((drawn >> 32) / 2**31 - 1))
            following = price * factor
            if (following > high and factor > 1) or (following < low and factor < 1):
                following = price / factor
            price = round(following) or 1
            size = SIZE_LEAST + ((drawn & 0x7FFFFFFF) * _SIZES >> 31)
            made.append(Made(time_us, symbol, number, price, size, "buy" if drawn & 0x80000000 else "sell"))
        return made

    def leap(self, symbol: str, state: Walked, minutes: int, random: Random) -> tuple[Leap, Walked]:
        """The sum of many uniform steps is normal, and its extremes are those of a Brownian bridge."""
        _, least, most = self._of(symbol)
        steps = minutes * MINUTE_US / self._interval_us
        high, low, close = bridge(state.price, math.log(1 + STEP) * math.sqrt(steps / 3), (least, most), random)
        count = max(1, round(steps))
        volume = count * _SIZE_MEAN + math.sqrt(count) * _SIZE_DEVIATION * normal(random)
        volume = min(max(volume, count * SIZE_LEAST), count * SIZE_MOST)
        leap = Leap(round(high), round(low), round(close), count, round(volume))
        return leap, Walked(leap.close, state.step)

    def _known(self, symbol: str) -> tuple[int, float, float]:
        key = hashlib.sha256(f"{self._seed}/{symbol}".encode()).digest()
        return int.from_bytes(key[:8], "big"), *bounds(first_price(self._seed, symbol))


def bridge(price: float, deviation: float, within: tuple[float, float], random: Random) -> tuple[float, float, float]:
    """High, low and close of a Brownian motion of the price's logarithm, from ``price`` on, turned back at both ends of
    ``within``.
    """
    least, most = within
    move = deviation * normal(random)
    up, down = (math.sqrt(move**2 - 2 * deviation**2 * math.log(1 - random.random())) for _ in range(2))
    close = price * math.exp(move)
    while not least <= close <= most:
        close = least**2 / close if close < least else most**2 / close
    high = min(most, price * math.exp((move + up) / 2))
    low = max(least, price * math.exp((move - down) / 2))
    return max(price, close, high), min(price, close, low), close


def _mixed(number: int) -> int:
    """64 random bits for any number (SplitMix64: Steele, Lea and Flood, 2014): a step needs no state of a generator."""
    number &= _MASK
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31
