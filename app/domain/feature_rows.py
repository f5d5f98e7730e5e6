"""Windows of many symbols, and rows of features: one for each symbol and second of event time that has a trade, after the last
trade of that second. Rows of a stream and of stored trades are made by the same code, and are the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from app.domain.candles import SECOND_US, by_minute
from app.domain.features import Features
from app.domain.trades import Trade
from app.domain.windows import WINDOW_SIZE, Windows

Gaps = Mapping[str, Sequence[tuple[int, int]]]
"""By symbol from when to when something is lost that was not filled, epoch microseconds."""


class Added(NamedTuple):
    """Symbols whose windows have their new trades, and those whose windows are to be made anew from what is stored."""

    moved: set[str]
    stale: set[str]


class Windowed:
    """The windows of each symbol. ``size`` and ``closes``, by symbol, are as `Windows` has them.

    A symbol that is stale takes no trades until `put`; so are one of which a trade was cancelled and one whose sessions changed,
    which are the caller's to `put`.
    """

    def __init__(self, size: int = WINDOW_SIZE, closes: Mapping[str, Sequence[int]] | None = None) -> None:
        self.closes = dict(closes or {})
        self.stale: set[str] = set()
        self._size = size
        self._windows: dict[str, Windows] = {}

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._windows

    def put(self, symbol: str, windows: Windows) -> None:
        """Use ``windows``, made from what is stored."""
        self._windows[symbol] = windows
        self.closes.pop(symbol, None)
        if windows.closes:
            self.closes[symbol] = windows.closes
        self.stale.discard(symbol)

    def add(self, trades: Mapping[tuple[str, int], Sequence[Trade]]) -> Added:
        """Take in new ``trades``, none that it had, as `app.domain.candles.by_minute` groups them with the same ``closes``."""
        added = Added(set(), set())
        for symbol, start_us in sorted(trades):
            windows = self._windows.get(symbol)
            if windows is None:
                windows = self._windows[symbol] = Windows(self._size, self.closes.get(symbol, ()))
            if symbol not in self.stale and windows.add(start_us, trades[symbol, start_us]):
                added.moved.add(symbol)
            else:
                self.stale.add(symbol)
                added.stale.add(symbol)
        added.moved.difference_update(added.stale)
        return added

    def features(self, symbol: str, gaps: Iterable[tuple[int, int]] = ()) -> Features:
        """Of one that has trades and is not stale."""
        return self._windows[symbol].features(gaps)


class FeatureRows:
    """Of one partition. Trades may come in any order until their second is released.

    Later ones change no row that was released, and count in those to come. ``windowed`` is where it begins, after all trades
    before the second ``from_s``.
    """

    def __init__(self, windowed: Windowed, from_s: int = 0) -> None:
        self.windowed, self.from_s = windowed, from_s
        self.late = 0
        self._waiting: dict[int, list[Trade]] = {}

    def put(self, symbol: str, windows: Windows, trades: Iterable[Trade]) -> None:
        """Use ``windows``, made from what is stored of before `from_s`, and ``trades`` since, in place of what it has of it."""
        self.windowed.put(symbol, windows)
        for some in self._waiting.values():
            some[:] = [each for each in some if each.symbol != symbol]
        self.add(trades)

    def add(self, trades: Iterable[Trade]) -> set[str]:
        """Take in new ``trades``, none that it had. Returns symbols that are stale (`Windowed`) by late ones."""
        late = []
        for trade in trades:
            second = trade.time_us // SECOND_US
            if second < self.from_s:
                late.append(trade)
            elif second in self._waiting:
                self._waiting[second].append(trade)
            else:
                self._waiting[second] = [trade]
        self.late += len(late)
        return self.windowed.add(by_minute(late, self.windowed.closes)).stale if late else set()

    def release(self, until_s: int | None = None, gaps: Gaps | None = None) -> list[Features]:
        """The rows of seconds before ``until_s`` of the epoch (None: of all), by second and symbol, that were not released."""
        rows = []
        for second in sorted(each for each in self._waiting if until_s is None or each < until_s):
            moved = self.windowed.add(by_minute(self._waiting.pop(second), self.windowed.closes)).moved
            rows += [self.windowed.features(symbol, (gaps or {}).get(symbol, ())) for symbol in sorted(moved)]
            self.from_s = second + 1
        self.from_s = max(self.from_s, until_s or 0)
        return rows


def rows_of(trades: Iterable[Trade], windowed: Windowed, gaps: Gaps | None = None) -> Iterator[Features]:
    """The rows of ``trades``, none twice, in the order of their times, after what ``windowed`` has."""
    rows = FeatureRows(windowed)
    for _, group in groupby(trades, lambda trade: trade.time_us // SECOND_US):
        rows.add(group)
        yield from rows.release(gaps=gaps)
