"""The state of a symbol's market that `app.domain.features` are made of, a function of the set of its trades and not of their
arrival.

It holds the last trades, the grids of last prices of the newest minutes, the bars of about an hour, and sums of a day's hours:
some 100 KB at most. Trades may come in any order and in any batches, each once. Those of a minute whose grid is no longer held
are not taken: then the state is to be made anew from stored trades and bars (`Windows.of`), as at the start and after a cancelled
trade.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from app.domain.candles import CLOSING_US, MINUTE_US, SECOND_US, by_minute
from app.domain.features import DAY_S, Features, log_returns, lost_s, moments, volatility
from app.domain.trades import Trade
from app.domain.window_bars import SECONDS, ZERO, Bar, Detail, Hour, Span, averages, hour_us, hours_of, span_of

WINDOW_SIZE = 50
"""Trades in the ring."""
WINDOW_SIZE_MIN, WINDOW_SIZE_MAX = 2, 10_000
GRIDS = 3
"""So many of a symbol's newest bars can still take a trade."""
HOURS = 24
"""That the longest windows reach back, the one under way among them; hours without a trade are none."""
BARS = 60 * HOURS
"""From so many of a symbol's newest bars, or from all that there are, a state can be made anew."""

_order = attrgetter("time_us", "venue", "key")
_start = attrgetter("start_us")
_price = attrgetter("price")


class _Past(NamedTuple):
    """What complete minutes say as long as the one that begins at ``minute_us`` is under way."""

    minute_us: int
    two: Span
    five: Span
    fifteen: Span
    sixty: Span
    day: Span
    ewma_94: float
    ewma_99: float


def trades_from(starts_us: Sequence[int], closes: Sequence[int] = ()) -> int:
    """From when on `Windows.of` needs all trades, if a symbol's bars begin at ``starts_us``, ascending, at least one.
    ``closes`` are as `app.domain.candles.minute_of` has them.
    """
    return min(starts_us[-GRIDS:][0], _closing_minute(starts_us[-1], closes))


def _closing_minute(time_us: int, closes: Sequence[int]) -> int:
    """When the minute begins in which a closing print of now would be; ``time_us`` where none can come."""
    at = bisect_right(closes, time_us) - 1
    return closes[at] - MINUTE_US if at >= 0 and time_us - closes[at] < CLOSING_US else time_us


class Windows:
    """Of one symbol.

    Args:
        size: of the ring of last trades, `WINDOW_SIZE_MIN` to `WINDOW_SIZE_MAX`.
        closes: when its sessions close, as `app.domain.candles.minute_of` has it; none for a market that never does.
    """

    def __init__(self, size: int = WINDOW_SIZE, closes: Sequence[int] = ()) -> None:
        if not WINDOW_SIZE_MIN <= size <= WINDOW_SIZE_MAX:
            raise ValueError(f"size is {size}; allowed: {WINDOW_SIZE_MIN} to {WINDOW_SIZE_MAX}")
        self._size, self.closes = size, closes
        self._ring: list[Trade] = []
        self._prices: list[float] = []
        self._returns: list[float] = []
        self._bars: list[Bar] = []
        # Of the newest bars, those that begin from `_held_us` on, by their start; which changed, and from which second on.
        self._details: dict[int, Detail] = {}
        self._held_us = 0
        self._changed: dict[int, int] = {}
        # No bar was ever without its grid.
        self._is_whole = True
        # Those before `_summed_us`: no trade can change them.
        self._hours: list[Hour] = []
        self._summed_us = 0
        self._past: _Past | None = None

    @classmethod
    def of(cls, bars: Sequence[Bar], trades: Iterable[Trade], size: int = WINDOW_SIZE, closes: Sequence[int] = ()) -> "Windows":
        """The state after all trades that are stored.

        Args:
            bars: of its trades, ascending, the newest `BARS` or all.
            trades: all from `trades_from` the bars on, and at least the last ``size``, or all.
            size: as above.
            closes: as above.
        """
        made = cls(size, closes)
        if bars:
            from_us = trades_from([bar.start_us for bar in bars], closes)
            held = bisect_left(bars, from_us, key=_start)
            made._bars = list(bars[:held])
            made._is_whole, made._held_us = held == 0, from_us
            groups = by_minute(trades, {each.symbol: closes for each in trades} if closes else {})
            older = [each for (_, start_us), group in groups.items() if start_us < from_us for each in group]
            if older:
                made._remember(sorted(older, key=_order))
            for (_, start_us), group in sorted(groups.items()):
                if start_us >= from_us:
                    made.add(start_us, group)
        return made

    def add(self, start_us: int, trades: Sequence[Trade]) -> bool:
        """Take in new ``trades`` of the minute's bar that begins then, as `app.domain.candles.by_minute` groups them: at least
        one, in order, none with a size of 0, none that it had.

        Returns:
            False if that bar can take no trade any more. Then nothing was taken, and the state is to be made anew.
        """
        detail = self._details.get(start_us)
        is_new = detail is None
        if detail is None:
            if not self._is_whole and start_us < self._held_us:
                return self._is_past(start_us, trades[-1])
            detail = self._insert(start_us, trades[0].price)
        self._changed[start_us] = min(self._changed.get(start_us, SECONDS), detail.add(start_us, trades))
        if start_us + MINUTE_US in self._details:
            self._changed[start_us + MINUTE_US] = 0
        if self._past is not None and start_us < self._past.minute_us:
            self._past = None
        self._remember(trades)
        if is_new:
            self._forget()
        return True

    def features(self, gaps: Iterable[tuple[int, int]] = ()) -> Features:
        """After its last trade; there must be one. ``gaps``: from when to when something of it is lost, epoch microseconds."""
        last = self._ring[-1]
        second = last.time_us // SECOND_US
        minute_us = last.time_us - last.time_us % MINUTE_US
        self._refresh()
        past = self._past
        if past is None or past.minute_us != minute_us:
            past = self._past = self._past_of(minute_us)
        bar = self._bars[-1] if self._bars[-1].start_us == minute_us else None
        passed_s = second - minute_us // SECOND_US + 1
        now = Span(0.0, 0)
        if bar is not None:
            now = Span(bar.rv, passed_s - (SECONDS - bar.covered_s), bar.parkinson, bar.volume, bar.trades)
        two, sixty = past.two.plus(now), past.sixty.plus(now)
        five_s, fifteen_s, day_s = (span.covered_s + now.covered_s for span in (past.five, past.fifteen, past.day))
        ret_mean, ret_std = moments(self._returns)
        seconds = self._recent(second)
        return Features(
            symbol=last.symbol,
            time_s=second,
            n=len(self._ring),
            ret_mean=ret_mean,
            ret_std=ret_std,
            volatility_10s=seconds[0],
            volatility_1m=seconds[1],
            volatility_5m=volatility(past.five.rv + now.rv, five_s, 300),
            volatility_15m=volatility(past.fifteen.rv + now.rv, fifteen_s, 900),
            volatility_1h=volatility(sixty.rv, sixty.covered_s, 3600),
            volatility_1d=volatility(past.day.rv + now.rv, day_s, DAY_S),
            covered_1h_s=sixty.covered_s,
            covered_1d_s=day_s,
            ewma_94=past.ewma_94,
            ewma_99=past.ewma_99,
            range_1m=volatility(two.parkinson, two.covered_s, 60),
            range_1h=volatility(sixty.parkinson, sixty.covered_s, 3600),
            volume_rate_1m=two.volume / two.covered_s if two.covered_s else 0.0,
            volume_rate_1h=sixty.volume / sixty.covered_s if sixty.covered_s else 0.0,
            trade_rate_1m=two.trades / two.covered_s if two.covered_s else 0.0,
            trade_rate_1h=sixty.trades / sixty.covered_s if sixty.covered_s else 0.0,
            gap_s=lost_s(gaps, second),
        )

    def _insert(self, start_us: int, price: Decimal) -> Detail:
        bar = Bar(start_us, 0.0, 0.0, 0, 0.0, 0, 0.0)
        self._bars.insert(bisect_left(self._bars, start_us, key=_start), bar)
        detail = self._details[start_us] = Detail(bar, {}, price, price, ZERO, [], [])
        return detail

    def _remember(self, trades: Sequence[Trade]) -> None:
        """Put ``trades``, in order, into the ring."""
        if self._ring and trades[0].order < self._ring[-1].order:
            self._ring = sorted([*self._ring, *trades], key=_order)[-self._size :]
            self._prices = list(map(float, map(_price, self._ring)))
            self._returns = log_returns(self._prices)
            return
        newest = trades[-self._size :]
        prices = list(map(float, map(_price, newest)))
        self._returns += log_returns([*self._prices[-1:], *prices])
        self._ring += newest
        self._prices += prices
        del self._ring[: -self._size], self._prices[: -self._size], self._returns[: 1 - self._size]

    def _is_past(self, start_us: int, last: Trade) -> bool:
        """Whether a bar that begins then, and a trade, are older than everything that windows still show."""
        if len(self._hours) < HOURS - 1 or start_us > self._hours[0].start_us - 2 * MINUTE_US:
            return False
        return len(self._ring) == self._size and last.order < self._ring[0].order

    def _refresh(self) -> None:
        """Bring the bars of changed minutes up to date, in order, since each begins with the close before."""
        for start_us in sorted(self._changed):
            at = bisect_left(self._bars, start_us, key=_start) - 1
            before = self._bars[at].close if at >= 0 and self._bars[at].start_us == start_us - MINUTE_US else None
            self._details[start_us].refresh(self._changed[start_us], before)
        self._changed.clear()

    def _forget(self) -> None:
        """Drop grids that are not held any more, sum up hours that no trade can change, drop bars of which these are all."""
        starts = sorted(self._details)
        held_us = min(starts[-GRIDS:][0], _closing_minute(self._ring[-1].time_us, self.closes))
        dropped = [start_us for start_us in starts if start_us < held_us]
        if not dropped:
            return
        if not self._changed.keys().isdisjoint(dropped):
            self._refresh()
        for start_us in dropped:
            del self._details[start_us]
        self._is_whole, self._held_us = False, held_us
        until_us = hour_us(held_us)
        if until_us > self._summed_us:
            first, end = (bisect_left(self._bars, us, key=_start) for us in (self._summed_us, until_us))
            self._hours = [*self._hours, *hours_of(self._bars[first:end])][1 - HOURS :]
            self._summed_us = until_us
        needed_us = min(until_us, self._bars[-1].start_us - 59 * MINUTE_US)
        # The bar before lends its close.
        del self._bars[: max(0, bisect_left(self._bars, needed_us, key=_start) - 1)]

    def _past_of(self, minute_us: int) -> _Past:
        first, end = (bisect_left(self._bars, us, key=_start) for us in (self._summed_us, minute_us))
        hours = [*self._hours, *hours_of(self._bars[first:end])]
        before = [hour for hour in hours if hour.start_us < hour_us(minute_us)]
        hours = [*before[1 - HOURS :], *hours[len(before) :]]
        bars = self._bars[bisect_left(self._bars, minute_us - 59 * MINUTE_US, key=_start) : end]
        two, five, fifteen, sixty = (
            span_of([bar for bar in bars if bar.start_us > minute_us - length * MINUTE_US]) for length in (2, 5, 15, 60)
        )
        day = Span(math.fsum([hour.rv for hour in hours]), sum([hour.covered_s for hour in hours]))
        ewma_94, ewma_99 = averages(hours)
        return _Past(minute_us, two, five, fifteen, sixty, day, ewma_94, ewma_99)

    def _recent(self, second: int) -> list[float]:
        """Volatilities of the 10 and the 60 seconds up to ``second`` of the epoch."""
        minute_s = second - second % SECONDS
        details = [self._details.get(at * SECOND_US) for at in (minute_s - SECONDS, minute_s)]
        found = []
        for length_s in (10, 60):
            squares, covered_s = [], 0
            for detail, start_s in zip(details, (minute_s - SECONDS, minute_s), strict=True):
                first = second - length_s + 1 - start_s
                if detail is None or first >= SECONDS:
                    continue
                squares += detail.squares[bisect_left(detail.seconds, first) :]
                covered_s += min(SECONDS, second - start_s + 1) - max(SECONDS - detail.bar.covered_s, first)
            found.append(volatility(math.fsum(squares), covered_s, length_s))
        return found
