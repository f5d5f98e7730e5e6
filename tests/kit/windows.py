"""Features by definition, from all trades of a symbol at once."""

import itertools
import math
from collections.abc import Sequence

from app.domain.candles import MINUTE_US, SECOND_US, minute_of
from app.domain.features import DAY_S, HOUR_US
from app.domain.trades import Trade

_HOURS = 24


class _Market:
    """Of ``ring``, all trades in order: by minute prices and sizes; of each second of the epoch the squared return to it; all
    seconds up to the last trade's that are covered.
    """

    def __init__(self, ring: Sequence[Trade], closes: Sequence[int]) -> None:
        self.second = ring[-1].time_us // SECOND_US
        self.minute_us = self.second // 60 * MINUTE_US
        self.prices: dict[int, list[float]] = {}
        self.sizes: dict[int, list[float]] = {}
        grids: dict[int, dict[int, float]] = {}
        for each in ring:
            start_us = minute_of(each.time_us, closes, closing=each.closing)
            grids.setdefault(start_us, {})[min((each.time_us - start_us) // SECOND_US, 59)] = float(each.price)
            self.prices.setdefault(start_us, []).append(float(each.price))
            self.sizes.setdefault(start_us, []).append(float(each.size))
        self.squares: dict[int, float] = {}
        self.covered: set[int] = set()
        for start_us, grid in grids.items():
            before = grids.get(start_us - MINUTE_US)
            last = before[max(before)] if before else None
            for at in range(0 if before else min(grid), 60):
                self.covered.add(start_us // SECOND_US + at)
                if at in grid:
                    self.squares[start_us // SECOND_US + at] = math.log(grid[at] / last) ** 2 if last else 0.0
                    last = grid[at]
        self.covered = {each for each in self.covered if each <= self.second}

    def since(self, minutes_before: int) -> set[int]:
        return set(range(self.minute_us // SECOND_US - 60 * minutes_before, self.second + 1))

    def day(self) -> set[int]:
        hour_us = self.minute_us // HOUR_US * HOUR_US
        hours = {*sorted({each // HOUR_US * HOUR_US for each in self.prices if each < hour_us})[1 - _HOURS :], hour_us}
        return {each for each in self.covered if each * SECOND_US // HOUR_US * HOUR_US in hours}

    def volatility(self, seconds: set[int], length_s: int) -> float:
        known = self.covered & seconds
        return math.sqrt(sum(self.squares.get(each, 0.0) for each in known) * length_s / len(known)) if known else 0.0

    def average(self, decay: float) -> float:
        variances, day = [], self.day()
        for start_us in sorted(each for each in self.prices if each < self.minute_us):
            known = day & set(range(start_us // SECOND_US, start_us // SECOND_US + 60))
            if len(known) >= 54:
                variances.append(sum(self.squares.get(each, 0.0) for each in known) * 60 / len(known))
        weights = [decay**age for age in reversed(range(len(variances)))]
        return math.sqrt(sum(w * v for w, v in zip(weights, variances, strict=True)) / sum(weights)) if weights else 0.0

    def parkinson(self, minutes_before: int, length_s: int) -> float:
        known = self.covered & self.since(minutes_before)
        inside = [found for start_us, found in self.prices.items() if start_us // SECOND_US in self.since(minutes_before)]
        total = sum(math.log(max(found) / min(found)) ** 2 / (4 * math.log(2)) for found in inside)
        return math.sqrt(total * length_s / len(known)) if known else 0.0

    def rates(self, minutes_before: int) -> tuple[float, float]:
        known = self.covered & self.since(minutes_before)
        inside = [found for start_us, found in self.sizes.items() if start_us // SECOND_US in self.since(minutes_before)]
        return (sum(map(sum, inside)) / len(known), sum(map(len, inside)) / len(known)) if known else (0.0, 0.0)


def defined(trades: Sequence[Trade], size: int, closes: Sequence[int]) -> dict[str, float]:
    """All but the symbol, without gaps. ``size``: of the ring."""
    ring = sorted((each for each in trades if each.size), key=lambda each: each.order)
    market = _Market(ring, closes)
    second = market.second
    returns = [math.log(float(b.price) / float(a.price)) for a, b in itertools.pairwise(ring[-size:])]
    mean = math.fsum(returns) / len(returns) if returns else 0.0
    deviation = math.sqrt(math.fsum((each - mean) ** 2 for each in returns) / len(returns)) if returns else 0.0
    (volume_1m, trades_1m), (volume_1h, trades_1h) = market.rates(1), market.rates(59)
    return {
        "time_s": second,
        "n": len(ring[-size:]),
        "ret_mean": mean,
        "ret_std": deviation,
        "volatility_10s": market.volatility(set(range(second - 9, second + 1)), 10),
        "volatility_1m": market.volatility(set(range(second - 59, second + 1)), 60),
        "volatility_5m": market.volatility(market.since(4), 300),
        "volatility_15m": market.volatility(market.since(14), 900),
        "volatility_1h": market.volatility(market.since(59), 3600),
        "volatility_1d": market.volatility(market.day(), DAY_S),
        "covered_1h_s": len(market.covered & market.since(59)),
        "covered_1d_s": len(market.day()),
        "ewma_94": market.average(0.94),
        "ewma_99": market.average(0.99),
        "range_1m": market.parkinson(1, 60),
        "range_1h": market.parkinson(59, 3600),
        "volume_rate_1m": volume_1m,
        "volume_rate_1h": volume_1h,
        "trade_rate_1m": trades_1m,
        "trade_rate_1h": trades_1h,
        "gap_s": 0.0,
    }
