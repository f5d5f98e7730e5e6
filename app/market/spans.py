"""Gaps as spans of time: which part of one is new, which part is filled, and what they say of a bar."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from app.domain.candles import Coverage
from app.market.protocol import BEGAN, Gap

_END_US = 2**62


def uncovered(from_us: int, to_us: int, known: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of a span that none of the ``known`` ones covers, ascending."""
    found = []
    for first_us, last_us in sorted(known):
        if first_us >= to_us:
            break
        if first_us > from_us:
            found.append((from_us, first_us))
        from_us = max(from_us, last_us)
    if from_us < to_us:
        found.append((from_us, to_us))
    return found


def filled(gap: Gap, from_us: int, to_us: int, now_us: int) -> list[Gap]:
    """``gap``, which the span touches, in three parts at most, the middle one filled. What a part misses is not known."""
    from_us, to_us = max(from_us, gap.from_us), min(to_us, gap.to_us)
    parts = [(gap.from_us, from_us, None), (from_us, to_us, now_us), (to_us, gap.to_us, None)]
    missing = gap.missing if (from_us, to_us) == (gap.from_us, gap.to_us) else None
    return [
        gap._replace(from_us=first, to_us=last, missing=missing, filled_us=filled_us)
        for first, last, filled_us in parts
        if first < last
    ]


class Gaps:
    """Of one symbol, at all its venues."""

    def __init__(self, gaps: Iterable[Gap]) -> None:
        self._gaps: Sequence[Gap] = sorted(gaps, key=lambda each: each.from_us)
        self._from = [each.from_us for each in self._gaps]
        self._to = list(accumulate((each.to_us for each in self._gaps), max))

    def touching(self, from_us: int, to_us: int) -> list[Gap]:
        """Those that touch the span, the last one first."""
        found = list[Gap]()
        if not self._from:
            return found
        place = bisect_left(self._from, to_us)
        while place and self._to[place - 1] > from_us:
            place -= 1
            if self._gaps[place].to_us > from_us:
                found.append(self._gaps[place])
        return found

    def coverage(self, from_us: int, to_us: int) -> Coverage:
        """What they say of trades of the span."""
        return worst(meaning(each) for each in self.touching(from_us, to_us))


class GapsAhead(Gaps):
    """The same, read as they are asked for: ``read`` gives those that touch a span. From ``edge_us`` on so much is read ahead, or
    behind it if that is negative, and twice as much each time. None ends later than ``until_us``.
    """

    def __init__(self, read: Callable[[int, int], Iterable[Gap]], ahead_us: int, edge_us: int, until_us: int) -> None:
        super().__init__(())
        self._read, self._ahead_us, self._edge_us = read, ahead_us, edge_us
        self._span = until_us, _END_US
        self._until_us = until_us

    def touching(self, from_us: int, to_us: int) -> list[Gap]:
        """As `Gaps`."""
        if not self._span[0] <= from_us <= to_us <= self._span[1]:
            first_us = min(from_us, self._edge_us, max(from_us + self._ahead_us, -_END_US))
            last_us = max(to_us, self._edge_us, min(to_us + self._ahead_us, _END_US))
            self._span = first_us, last_us if last_us < self._until_us else _END_US
            self._ahead_us *= 2
            super().__init__(self._read(first_us, last_us))
        return super().touching(from_us, to_us)


def meaning(gap: Gap) -> Coverage:
    """What it says of bars that it touches."""
    if gap.filled_us is not None:
        return "backfilled"
    return "partial" if gap.found_by == BEGAN else "gap"


_WORSE: tuple[Coverage, ...] = ("complete", "backfilled", "open", "partial", "gap")


def worst(coverages: Iterable[Coverage]) -> Coverage:
    """The one that says most against a bar."""
    return max(coverages, key=_WORSE.index, default="complete")
