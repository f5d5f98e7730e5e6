"""Which of the stored bars count, and bars of longer intervals made of them. Pure, and the same for every store.

Rows come in order of their starts, oldest or newest first, from all sources at once; the calendar says which bar each belongs to.
The rule is that of `app.market.protocol.Reader.candles`. It does not depend on the order in which anything was loaded.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, localcontext
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from app.domain.candles import MINUTE_US
from app.domain.intervals import DAY_S, INTERVALS
from app.domain.prices import EXACT
from app.market.calendar import Calendar, Edges, is_of_days
from app.market.protocol import GOOD, TRADES, Bar, Coverage
from app.market.spans import Gaps, meaning, worst


class Row(NamedTuple):
    """A stored bar; prices and sums as their digits."""

    start_us: int
    interval: str
    source: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    notional: str | None
    trades: int | None
    rv: float | None
    covered_s: int | None
    is_partial: int
    revision: int


def usable(stored: str, wanted: str) -> bool:
    """Whether bars of the interval ``stored`` can make up one of ``wanted``: it is the same, or from minutes on a part of it."""
    length = DAY_S if wanted == "1M" else INTERVALS[wanted]
    return stored == wanted or (INTERVALS[stored] >= INTERVALS["1m"] and stored != "1M" and length % INTERVALS[stored] == 0)


def place_of(source: str, order: Sequence[str]) -> tuple[bool, int, str]:
    """Before whom a source stands: trades before given ones, and those that ``order`` does not name last, by their names."""
    return source != TRADES, order.index(source) if source in order else len(order), source


class Selection:
    """Of one symbol's bars of one interval, as ``calendar`` cuts them; ``given`` is the one by which sources cut theirs.
    ``order``: given sources, the best first; those that it does not name come last.
    """

    def __init__(
        self,
        symbol: str,
        interval: str,
        calendar: Calendar,
        given: Calendar,
        gaps: Gaps,
        order: Sequence[str],
        now_us: int,
        *,
        extended: bool,
    ) -> None:
        self._symbol, self._interval, self._calendar, self._given, self._gaps = symbol, interval, calendar, given, gaps
        self._order, self._now_us, self._extended = order, now_us, extended

    def bars(self, rows: Iterable[Row]) -> Iterator[Bar]:
        """All bars that ``rows`` make up, in their order."""
        placed = ((edges, row) for row in rows if (edges := self._edges(row)) is not None)
        for edges, group in groupby(placed, itemgetter(0)):
            yield self._bar(edges, [row for _, row in group])

    def _edges(self, row: Row) -> Edges | None:
        edges = self._calendar.bar_of(row.start_us, self._interval, of_days=is_of_days(row.interval))
        if edges is None or not (self._extended or edges.session in (None, "regular")):
            return None
        if row.interval != "1m":
            # A day of UTC is in no day of another zone.
            whole = self._given.bar_of(row.start_us, row.interval, of_days=True)
            if whole is None or whole.start_us < edges.start_us or whole.end_us > edges.end_us:
                return None
        return edges

    def _bar(self, edges: Edges, rows: list[Row]) -> Bar:
        by_start: dict[int, list[Row]] = {}
        longer: dict[tuple[int, bool, int, str], list[Row]] = {}
        for row in rows:
            if row.interval == "1m":
                by_start.setdefault(row.start_us, []).append(row)
            else:
                longer.setdefault((-INTERVALS[row.interval], *place_of(row.source, self._order)), []).append(row)
        chosen = [self._of_minute(some) for _, some in sorted(by_start.items())]
        coverage = self._coverage(edges, chosen)
        if longer and not (chosen and coverage in GOOD and all(each.source == TRADES for each in chosen)):
            chosen = sorted(longer[min(longer)])
            coverage = worst("partial" if each.is_partial else "complete" for each in chosen)
        if edges.end_us > self._now_us:
            coverage = worst((coverage, "open"))
        one = joined(chosen)
        sources = tuple(sorted({each.source for each in chosen}))
        return Bar(
            self._symbol, self._interval, edges.start_us, edges.end_us, one.open, one.high, one.low, one.close, one.volume,
            one.notional, one.trades, one.rv, one.covered_s, coverage, one.revision, edges.session, sources,
        )  # fmt: skip

    def _of_minute(self, rows: list[Row]) -> Row:
        if len(rows) == 1:
            return rows[0]
        given = [each for each in rows if each.source != TRADES]
        made = [each for each in rows if each.source == TRADES]
        if made and self._gaps.coverage(made[0].start_us, made[0].start_us + MINUTE_US) in GOOD:
            return made[0]
        return min(given, key=lambda each: place_of(each.source, self._order))

    def _coverage(self, edges: Edges, chosen: list[Row]) -> Coverage:
        """Gaps of trades count, but where given minutes take their place all along."""
        given = [each.start_us for each in chosen if each.source != TRADES]
        found: list[Coverage] = ["partial" for each in chosen if each.is_partial]
        for gap in self._gaps.touching(edges.start_us, edges.end_us):
            first_us = max(gap.from_us, edges.start_us) // MINUTE_US * MINUTE_US
            last_us = (min(gap.to_us, edges.end_us) - 1) // MINUTE_US * MINUTE_US
            if sum(first_us <= start_us <= last_us for start_us in given) <= (last_us - first_us) // MINUTE_US:
                found.append(meaning(gap))
        return worst(found)


class Joined(NamedTuple):
    """What several rows are as one bar."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    notional: Decimal | None
    trades: int | None
    rv: float | None
    covered_s: int | None
    revision: int


def joined(rows: Sequence[Row]) -> Joined:
    """``rows``, ascending and at least one, as one bar. What one of them does not say is None."""
    with localcontext(EXACT):
        volume = sum([Decimal(each.volume) for each in rows], Decimal(0))
        notionals = [Decimal(each.notional) for each in rows if each.notional is not None]
        notional = sum(notionals, Decimal(0)) if len(notionals) == len(rows) else None
    trades = [each.trades for each in rows if each.trades is not None]
    rvs = [each.rv for each in rows if each.rv is not None]
    covered = [each.covered_s for each in rows if each.covered_s is not None]
    return Joined(
        Decimal(rows[0].open),
        max([Decimal(each.high) for each in rows]),
        min([Decimal(each.low) for each in rows]),
        Decimal(rows[-1].close),
        volume,
        notional,
        sum(trades) if len(trades) == len(rows) else None,
        math.fsum(rvs) if len(rvs) == len(rows) else None,
        sum(covered) if len(covered) == len(rows) else None,
        1 + sum([each.revision - 1 for each in rows]),
    )
