"""Bars of trades, kept up to date minute by minute, whatever the database.

New trades are merged into the stored bar. Realised variance and covered seconds are computed anew from the minute's grid of
seconds and the close of the minute before, so those of the next minute follow where a close changes. Bars and grids of minutes
that were touched last are kept, some for each symbol; others are read, grids from the trades.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from app.domain.candles import MINUTE_US, Candle, Grid, candle_of, grid_of, merge_grid, realised
from app.domain.trades import Trade
from app.market.protocol import Minute

GRIDS = 8_192
"""Kept at most; each is of up to 15 KB. Of bars, of 1 KB, there are twice as many."""
_BEHIND_US = 5 * MINUTE_US
"""How long before its symbol's newest trades a minute hardly gets one any more."""


class Kept(NamedTuple):
    """A stored bar of trades."""

    candle: Candle
    rv: float
    covered_s: int
    revision: int


class Changed(NamedTuple):
    """The minutes whose bars changed, came or went, sorted; those that are older than their symbol's ``newest`` bar was; those
    whose bars went.
    """

    touched: tuple[Minute, ...]
    revised: tuple[Minute, ...]
    removed: tuple[Minute, ...]
    newest: Mapping[str, int]


class Table(Protocol):
    """The bars of trades in a transaction, and the trades behind them."""

    def bars(self, minutes: Sequence[Minute]) -> Mapping[Minute, Kept]:
        """Those of ``minutes`` (sorted) that there are, and maybe others."""
        ...

    def newest(self, symbols: Iterable[str]) -> Mapping[str, int]:
        """When each one's newest bar begins; without an entry for one that has none."""
        ...

    def trades(self, minute: Minute) -> list[Trade]:
        """All that count in it, in order."""
        ...

    def write(self, changed: Mapping[Minute, Kept | None]) -> None:
        """Put these bars in the place of what is there; None: there is none any more."""
        ...


class Minutes:
    """Of one writer, which forgets what it keeps when a transaction fails or somebody else has written."""

    def __init__(self, grids: int) -> None:
        self._grids: dict[Minute, Grid] = {}
        self._bars: dict[Minute, Kept | None] = {}
        self._newest: dict[str, int] = {}
        self._most = grids

    def forget(self) -> None:
        """Keep nothing."""
        self._grids.clear()
        self._bars.clear()
        self._newest.clear()

    def update(self, table: Table, new: Mapping[Minute, Sequence[Trade]], anew: Iterable[Minute] = ()) -> "Changed":
        """Bring bars up to date after ``new`` trades were written, in order by minute; those ``anew`` from all their trades."""
        recomputed = set(anew)
        minutes = sorted(new.keys() | recomputed)
        if not minutes:
            return Changed((), (), (), {})
        around = {Minute(symbol, at) for symbol, us in minutes for at in (us - MINUTE_US, us, us + MINUTE_US)}
        stored, newest = self._stored(table, around), self._newest_of(table, {each.symbol for each in minutes})
        update = _Update(table, stored, newest, self._grids)
        for minute in minutes:
            update.minute(minute, None if minute in recomputed else new[minute])
        for minute in minutes:
            update.follow(Minute(minute.symbol, minute.start_us + MINUTE_US))
        table.write(update.changed)
        self._keep(update.changed)
        for symbol, start_us in minutes:
            behind = Minute(symbol, start_us - _BEHIND_US)
            if behind not in around:
                self._grids.pop(behind, None)
                self._bars.pop(behind, None)
        for kept, most in ((self._grids, self._most), (self._bars, 2 * self._most)):
            while len(kept) > most:
                del kept[next(iter(kept))]
        touched = tuple(sorted(update.changed))
        revised = tuple(each for each in touched if each.start_us < newest.get(each.symbol, -1))
        removed = tuple(each for each in touched if update.changed[each] is None)
        return Changed(touched, revised, removed, newest)

    def _stored(self, table: Table, around: Collection[Minute]) -> Mapping[Minute, Kept | None]:
        """The bars of these minutes, or None of one that has none."""
        unknown = sorted(each for each in around if each not in self._bars)
        if unknown:
            read = table.bars(unknown)
            self._bars.update((each, read.get(each)) for each in unknown)
        return {each: self._bars[each] for each in around}

    def _newest_of(self, table: Table, symbols: Collection[str]) -> Mapping[str, int]:
        """As `Table.newest`."""
        unknown = [each for each in symbols if each not in self._newest]
        if unknown:
            self._newest.update(table.newest(unknown))
        return {each: self._newest[each] for each in symbols if each in self._newest}

    def _keep(self, changed: Mapping[Minute, Kept | None]) -> None:
        for minute, kept in changed.items():
            # At the end: those that are touched often go last.
            self._bars.pop(minute, None)
            self._bars[minute] = kept
            symbol, start_us = minute
            if kept is None:
                self._newest.pop(symbol, None)
            elif start_us > self._newest.get(symbol, -1):
                self._newest[symbol] = start_us


class _Update:
    """``changed``: what is to be written."""

    def __init__(
        self, table: Table, stored: Mapping[Minute, Kept | None], newest: Mapping[str, int], grids: dict[Minute, Grid]
    ) -> None:
        self._table, self._stored, self._newest, self._grids = table, stored, newest, grids
        self.changed: dict[Minute, Kept | None] = {}

    def minute(self, minute: Minute, new: Sequence[Trade] | None) -> None:
        """With ``new`` trades; None: of all its trades anew. Minutes come in order, since each begins with the close before."""
        before = self._stored.get(minute)
        kept = self._grids.pop(minute, None)
        if new is None:
            new, before, kept = self._table.trades(minute), None, None
            if not new:
                if self._stored.get(minute) is not None:
                    self.changed[minute] = None
                return
        candle, grid = candle_of(new), grid_of(minute.start_us, new)
        if before is not None:
            candle.merge(before.candle)
            if kept is None:
                grid = grid_of(minute.start_us, self._table.trades(minute))
            else:
                merge_grid(kept, grid)
                grid = kept
        self._grids[minute] = grid
        self._put(minute, candle, grid)

    def follow(self, minute: Minute) -> None:
        """Its variance begins with the close of the minute before, which may have changed."""
        before = self._stored.get(minute)
        if before is None or minute in self.changed:
            return
        previous = Minute(minute.symbol, minute.start_us - MINUTE_US)
        if self._close(previous) == _close_of(self._stored.get(previous)):
            return
        grid = self._grids.get(minute)
        if grid is None:
            grid = grid_of(minute.start_us, self._table.trades(minute))
        self._put(minute, before.candle, grid)

    def _put(self, minute: Minute, candle: Candle, grid: Grid) -> None:
        before = self._stored.get(minute)
        rv, covered_s = realised(grid, self._close(Minute(minute.symbol, minute.start_us - MINUTE_US)))
        if before is not None and (before.candle, before.rv, before.covered_s) == (candle, rv, covered_s):
            return
        revised = minute.start_us < self._newest.get(minute.symbol, -1)
        self.changed[minute] = Kept(candle, rv, covered_s, (before.revision if before else 1) + revised)

    def _close(self, minute: Minute) -> float | None:
        return _close_of(self.changed[minute] if minute in self.changed else self._stored.get(minute))


def _close_of(kept: Kept | None) -> float | None:
    return None if kept is None else float(kept.candle.close)
