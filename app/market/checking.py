"""Whether what a market store derives from its trades is what follows from them: bars of minutes, and blocks of these."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby, pairwise
from typing import NamedTuple

from app.domain.candles import CLOSING_US, MINUTE_US, SECOND_US, Candle, candle_of, grid_of, minute_of, realised
from app.domain.intervals import INTERVALS
from app.domain.prices import plain
from app.domain.trades import Trade
from app.market.blocks import block_of
from app.market.contents import Contents
from app.market.minutes import Kept
from app.market.protocol import TRADES, Gap
from app.market.selection import Row

EXAMPLES_MAX = 10
"""Faults, and gaps, that are told of a symbol; all are counted."""
_LEVELS = ("1m", "15m", "1h", "1d")
_DIGITS = 1e-12
"""Relative difference up to which sums of floats are the same."""
_SETTLED_US = CLOSING_US + 2 * MINUTE_US
"""No trade that comes so much later in order belongs to a minute."""


class Fault(NamedTuple):
    """A bar that is not what follows: ``what`` says how. ``interval`` is a minute's, or of a block of them."""

    source: str
    interval: str
    start_us: int
    what: str


class Checked(NamedTuple):
    """Of a symbol: trades and minutes that were compared, faults by their kind, the first of them, gaps that are not filled."""

    symbol: str
    trades: int
    minutes: int
    counts: dict[str, int]
    faults: tuple[Fault, ...]
    gaps: tuple[Gap, ...]


class _Faults:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first: list[Fault] = []

    def add(self, fault: Fault, kind: str) -> None:
        self.counts[kind] += 1
        if len(self.first) < EXAMPLES_MAX:
            self.first.append(fault)


class _Bar(NamedTuple):
    start_us: int
    candle: Candle
    rv: float
    covered_s: int


def check_symbol(contents: Contents, symbol: str) -> Checked:
    """Compare what is stored of a symbol; a bounded part of it is in memory at a time. Bars whose trades were removed are taken
    for right.
    """
    faults = _Faults()
    counted: Counter[str] = Counter()
    from_us = contents.retained_us()
    stored = contents.minutes(symbol)
    kept, before = next(stored, None), None
    while kept is not None and kept[0] < from_us:
        kept, before = next(stored, None), kept
    computed = _recomputed(_counting(contents.trades(symbol), counted), contents.moment.closes(symbol), from_us, before)
    for bar in computed:
        while kept is not None and kept[0] < bar.start_us:
            faults.add(Fault(TRADES, "1m", kept[0], "no trade makes it"), "superfluous")
            kept = next(stored, None)
        if kept is None or kept[0] > bar.start_us:
            faults.add(
                Fault(TRADES, "1m", bar.start_us, f"its trades ({bar.candle.trades}) make it, and it is not there"), "missing"
            )
            continue
        if (what := _difference(kept[1], bar)) is not None:
            faults.add(Fault(TRADES, "1m", bar.start_us, what), "wrong")
        counted["minutes"] += 1
        kept = next(stored, None)
    while kept is not None:
        faults.add(Fault(TRADES, "1m", kept[0], "no trade makes it"), "superfluous")
        kept = next(stored, None)
    for source in contents.sources(symbol):
        _check_blocks(contents, symbol, source, faults)
    gaps = tuple(contents.gaps(symbol, EXAMPLES_MAX))
    return Checked(symbol, counted["trades"], counted["minutes"], dict(faults.counts), tuple(faults.first), gaps)


def _counting(trades: Iterable[Trade], counted: Counter[str]) -> Iterator[Trade]:
    for trade in trades:
        counted["trades"] += 1
        yield trade


def _recomputed(trades: Iterable[Trade], closes: Sequence[int], from_us: int, before: tuple[int, Kept] | None) -> Iterator[_Bar]:
    """The bars from ``from_us`` on, ascending; ``before`` is the last stored one before that."""
    last = None if before is None else (before[0], before[1].candle)
    waiting: dict[int, list[Trade]] = {}
    for trade in trades:
        start_us = minute_of(trade.time_us, closes, closing=trade.closing)
        if start_us not in waiting:
            for settled in sorted(each for each in waiting if each < trade.time_us - _SETTLED_US):
                bar = _bar(settled, waiting.pop(settled), last)
                last = settled, bar.candle
                yield bar
        if start_us >= from_us:
            waiting.setdefault(start_us, []).append(trade)
    for settled in sorted(waiting):
        bar = _bar(settled, waiting[settled], last)
        last = settled, bar.candle
        yield bar


def _bar(start_us: int, trades: list[Trade], last: tuple[int, Candle] | None) -> _Bar:
    before = float(last[1].close) if last is not None and last[0] == start_us - MINUTE_US else None
    return _Bar(start_us, candle_of(trades), *realised(grid_of(start_us, trades), before))


def _shown(value: object) -> object:
    return plain(value) if isinstance(value, Decimal) else value


def _difference(kept: Kept, bar: _Bar) -> str | None:
    for name in Candle.__struct_fields__:
        stored, right = getattr(kept.candle, name), getattr(bar.candle, name)
        if stored != right:
            return f"{name} is {_shown(stored)}, its trades make {_shown(right)}"
    if not math.isclose(kept.rv, bar.rv, rel_tol=_DIGITS):
        return f"rv is {kept.rv}, its trades make {bar.rv}"
    if kept.covered_s != bar.covered_s:
        return f"covered_s is {kept.covered_s}, its trades make {bar.covered_s}"
    return None


def _check_blocks(contents: Contents, symbol: str, source: str, faults: _Faults) -> None:
    """Each level against the one below it."""
    newest_us = -1
    for row in contents.rows("candles", symbol, source, "1m"):
        newest_us = row.start_us
    for below, level in pairwise(_LEVELS):
        length_us = INTERVALS[level] * SECOND_US
        made = _blocks(contents.rows("candles" if below == "1m" else "blocks", symbol, source, below), length_us)
        right = (each for each in made if each[0] <= newest_us - length_us)
        stored = contents.rows("blocks", symbol, source, level)
        kept = next(stored, None)
        for start_us, values in right:
            while kept is not None and kept.start_us < start_us:
                faults.add(Fault(source, level, kept.start_us, "no minute makes this block"), "superfluous blocks")
                kept = next(stored, None)
            if kept is None or kept.start_us > start_us:
                faults.add(Fault(source, level, start_us, "the block is not there"), "missing blocks")
                continue
            if (what := _block_difference(kept, values)) is not None:
                faults.add(Fault(source, level, start_us, what), "wrong blocks")
            kept = next(stored, None)
        while kept is not None:
            faults.add(Fault(source, level, kept.start_us, "no minute makes this block, or it is not over"), "superfluous blocks")
            kept = next(stored, None)


def _blocks(rows: Iterable[Row], length_us: int) -> Iterator[tuple[int, tuple[object, ...]]]:
    for start_us, group in groupby(rows, lambda each: each.start_us - each.start_us % length_us):
        yield start_us, block_of(list(group))


def _block_difference(kept: Row, values: tuple[object, ...]) -> str | None:
    for name, stored, right in zip(Row._fields[3:], kept[3:], values, strict=True):
        close = isinstance(stored, float) and isinstance(right, float) and math.isclose(stored, right, rel_tol=_DIGITS)
        if stored != right and not close:
            return f"{name} of the block is {stored}, its minutes make {right}"
    return None
