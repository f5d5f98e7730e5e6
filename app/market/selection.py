"""Which of the stored bars count, and bars of longer intervals made of them. Pure, and the same for every store.

Rows come in order of their starts, oldest or newest first, from all sources at once; the calendar says which bar each belongs to.
The rule is that of `app.market.protocol.Reader.candles`. It does not depend on the order in which anything was loaded.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, localcontext
from operator import attrgetter
from typing import NamedTuple

from app.domain.candles import MINUTE_US, Coverage
from app.domain.intervals import DAY_S, INTERVALS
from app.domain.prices import EXACT
from app.market.calendar import Calendar, Edges, is_of_days
from app.market.protocol import GOOD, TRADES, Bar
from app.market.spans import Gaps, meaning, uncovered, worst

_start = attrgetter("start_us")
_ZERO = Decimal(0)


class Row(NamedTuple):
    """A stored bar, or a block of minutes in their place; prices and sums as their digits."""

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
    minutes: int
    """How many it stands for; 1 but for blocks."""


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
        self.symbol, self.interval = symbol, interval
        self._calendar, self._given, self._gaps, self._order = calendar, given, gaps, order
        self._now_us, self._extended = now_us, extended

    def bars(self, rows: Iterable[Row]) -> Iterator[Bar]:
        """All bars that ``rows`` make up, in their order."""
        is_by_clock = self._calendar.is_by_clock(self.interval)
        of, part = None, list[Row]()
        for row in rows:
            if is_by_clock and of is not None and row.interval == "1m" and of.start_us <= row.start_us < of.end_us:
                part.append(row)
                continue
            edges = self.edges_of(row.start_us, row.interval)
            if edges is None or edges == of:
                part += [row] * (edges is not None)
                continue
            if of is not None:
                yield self._bar(of, part)
            of, part = edges, [row]
        if of is not None:
            yield self._bar(of, part)

    def edges_of(self, start_us: int, stored: str) -> Edges | None:
        """Of the bar that a stored one of the interval ``stored`` is a part of; None if it is of none."""
        edges = self._calendar.bar_of(start_us, self.interval, of_days=is_of_days(stored))
        if edges is None or not (self._extended or edges.session in (None, "regular")):
            return None
        if stored != "1m":
            # A day of UTC is in no day of another zone.
            whole = self._given.bar_of(start_us, stored, of_days=True)
            if whole is None or whole.start_us < edges.start_us or whole.end_us > edges.end_us:
                return None
        return edges

    def same_until(self, start_us: int) -> int:
        """Up to when minutes from ``start_us`` on are of the same bar; ``start_us`` if the first is of none."""
        edges = self.edges_of(start_us, "1m")
        return start_us if edges is None else self._calendar.same_until(start_us, self.interval, edges)

    def next_inside(self, start_us: int) -> int:
        """``start_us`` if a minute that begins then is of a bar; else when one is again."""
        return self._calendar.next_session(start_us) if self.edges_of(start_us, "1m") is None else start_us

    def of_block(self, start_us: int, end_us: int, rows: Mapping[str, Row | None]) -> Row | None:
        """Of blocks that begin and end then, by source, the one whose minutes all count; None if nobody can say. A block that is
        None is not over.
        """
        source = next(iter(rows)) if len(rows) == 1 else min(rows, key=lambda each: place_of(each, self._order))
        row = rows[source]
        if row is None:
            return None
        if source == TRADES:
            is_right = len(rows) == 1 or self._gaps.coverage(start_us, end_us) in GOOD
        else:
            # A gap counts where no minute was given.
            is_right = _end_us(row) == end_us or not self._gaps.touching(start_us, end_us)
        return row if is_right else None

    def at_odds(self, stored: str, start_us: int, end_us: int, row: Row) -> tuple[int, int] | None:
        """Between which starts a given bar of the interval ``stored`` may take the place of a part of the block ``row``, which is
        then left out. None if none may.
        """
        if is_of_days(stored):
            # It has all minutes of a block that lies in a bar of days.
            return None
        first, last = (self._given.bar_of(each, stored) for each in (start_us, end_us - MINUTE_US))
        assert first is not None
        assert last is not None
        if first == last:
            return None
        are_inside = (first.start_us, last.end_us) == (start_us, end_us)
        if are_inside and row.source == TRADES and _end_us(row) == end_us and self._gaps.coverage(start_us, end_us) in GOOD:
            # Against trades without a gap none of them counts.
            return None
        return first.start_us, last.end_us

    def _bar(self, edges: Edges, rows: list[Row]) -> Bar:
        pieces, taken = self._pieces(rows)
        coverage, one = self._coverage(edges, pieces, taken), pieces[0] if len(pieces) == 1 else joined(pieces)
        sources = (pieces[0].source,) if len(pieces) == 1 else tuple(sorted({each.source for each in pieces}))
        return Bar(
            self.symbol, self.interval, edges.start_us, edges.end_us, Decimal(one.open), Decimal(one.high), Decimal(one.low),
            Decimal(one.close), Decimal(one.volume), None if one.notional is None else Decimal(one.notional), one.trades, one.rv,
            one.covered_s, coverage, one.revision, edges.session, sources,
        )  # fmt: skip

    def _pieces(self, rows: list[Row]) -> tuple[list[Row], Mapping[int, tuple[int, Row]]]:
        """Those of a bar's ``rows`` that count, and of them the ones that took the place of minutes: ends and rows by their
        starts.
        """
        if rows[0].interval == "1m" and (len(rows) == 1 or len({each[1:3] for each in rows}) == 1):
            # As most are: of minutes, and of one source.
            return rows if rows[0].start_us <= rows[-1].start_us else rows[::-1], {}
        by_start: dict[int, list[Row]] = {}
        for row in rows:
            if row.interval == "1m":
                by_start.setdefault(row.start_us, []).append(row)
        minutes = [self._of_minute(by_start[start_us]) for start_us in sorted(by_start)]
        taken = self._longer([row for row in rows if row.interval != "1m"], minutes)
        pieces, first = list[Row](), 0
        for start_us, (end_us, row) in sorted(taken.items()):
            before = bisect_left(minutes, start_us, first, key=_start)
            pieces += [*minutes[first:before], row]
            first = bisect_left(minutes, end_us, before, key=_start)
        return pieces + minutes[first:], taken

    def _longer(self, rows: list[Row], minutes: Sequence[Row]) -> dict[int, tuple[int, Row]]:
        """Given bars that count against their minutes, the longest first: ends and rows by their starts."""
        taken: dict[int, tuple[int, Row]] = {}
        starts = list[int]()
        for row in sorted(rows, key=lambda each: (-INTERVALS[each.interval], *place_of(each.source, self._order), each.start_us)):
            edges = self._given.bar_of(row.start_us, row.interval, of_days=True)
            assert edges is not None  # edges_of has seen to it
            start_us, end_us = edges[:2]
            place = bisect_left(starts, end_us)
            if place and taken[starts[place - 1]][0] > start_us:
                continue
            first = bisect_left(minutes, start_us, key=_start)
            # It may lie in a block.
            first -= first > 0 and _end_us(minutes[first - 1]) > start_us
            inside = minutes[first : bisect_left(minutes, end_us, key=_start)]
            is_whole = self._gaps.coverage(start_us, end_us) in GOOD and all(each.source == TRADES for each in inside)
            if not (inside and is_whole):
                taken[start_us] = end_us, row
                insort(starts, start_us)
        return taken

    def _of_minute(self, rows: list[Row]) -> Row:
        if len(rows) == 1:
            return rows[0]
        given = [each for each in rows if each.source != TRADES]
        made = [each for each in rows if each.source == TRADES]
        if made and self._gaps.coverage(made[0].start_us, made[0].start_us + MINUTE_US) in GOOD:
            return made[0]
        return min(given, key=lambda each: place_of(each.source, self._order))

    def _coverage(self, edges: Edges, pieces: Sequence[Row], taken: Mapping[int, tuple[int, Row]]) -> Coverage:
        """Gaps of trades count, but where given bars take their place all along."""
        found: list[Coverage] = []
        for each in pieces:
            if each.is_partial:
                found.append("partial")
        if edges.end_us > self._now_us:
            found.append("open")
        gaps = self._gaps.touching(edges.start_us, edges.end_us)
        if gaps:
            given = [(start_us, end_us) for start_us, (end_us, _) in taken.items()]
            given += [(each.start_us, _end_us(each)) for each in pieces if each.source != TRADES and each.start_us not in taken]
            for gap in gaps:
                if uncovered(max(gap.from_us, edges.start_us), min(gap.to_us, edges.end_us), given):
                    found.append(meaning(gap))
        return worst(found) if found else "complete"


def _end_us(row: Row) -> int:
    """Of minutes. A block that lacks some has as many as if they stood together: it says nothing of gaps."""
    return row.start_us + row.minutes * MINUTE_US


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
    _, _, _, _, highs, lows, _, volumes, notionals, trades, rvs, covered, _, revisions, _ = zip(*rows, strict=True)
    with localcontext(EXACT):
        volume = sum(map(Decimal, volumes), _ZERO)
        notional = None if None in notionals else sum(map(Decimal, notionals), _ZERO)
    return Joined(
        Decimal(rows[0].open),
        max(map(Decimal, highs)),
        min(map(Decimal, lows)),
        Decimal(rows[-1].close),
        volume,
        notional,
        None if None in trades else sum(trades),
        None if None in rvs else math.fsum(rvs),
        None if None in covered else sum(covered),
        1 + sum(revisions) - len(rows),
    )
