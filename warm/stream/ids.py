"""Ids that a source counts by one: which of them did not come, and from when to when they are lacking."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import attrgetter

from app.market.marks import Missing
from app.market.spans import uncovered

MISSING_MAX = 1_000
"""Runs of missing ids that are waited for; of those before, the gaps stay until somebody says that they are filled."""
_DIGITS = 18
_first = attrgetter("first")


def number_of(trade_id: str) -> int | None:
    """The number that an id is; None of one that can be none."""
    return int(trade_id) if len(trade_id) <= _DIGITS and trade_id.isascii() and trade_id.isdigit() else None


class Ids:
    """Of one source. ``last`` is the highest id that is known (None: none), ``last_us`` when that was, and ``missing`` are runs
    of ids before it, in their order. What is missing does not depend on the order in which trades come after the first one.
    """

    __slots__ = ("last", "last_us", "missing")

    def __init__(self, last: int | None = None, last_us: int = 0, missing: Iterable[Missing] = ()) -> None:
        self.last, self.last_us, self.missing = last, last_us, tuple(missing)

    def lacks(self, number: int) -> bool:
        """Whether that id is one of those that are missing."""
        at = bisect_right(self.missing, number, key=_first) - 1
        return at >= 0 and number <= self.missing[at].last

    def came(self, number: int, time_us: int) -> None:
        """A trade of that id."""
        if self.last is None or number > self.last:
            self._lacks(number - 1, time_us)
            self.last, self.last_us = number, time_us
        elif self.missing:
            at = bisect_right(self.missing, number, key=_first) - 1
            if at >= 0 and number <= self.missing[at].last:
                self.missing = (*self.missing[:at], *_without(self.missing[at], number, time_us), *self.missing[at + 1 :])

    def told(self, number: int, time_us: int) -> None:
        """The source says that this is its last trade's id."""
        if self.last is None or number >= self.last:
            self._lacks(number, time_us)
            self.last, self.last_us = number, max(time_us, self.last_us) if number == self.last else time_us

    def fill(self, from_us: int, to_us: int) -> None:
        """All trades of that time are there now."""
        self.missing = tuple(each for each in self.missing if each.from_us < from_us or each.to_us > to_us)

    def _lacks(self, until: int, time_us: int) -> None:
        """All ids behind the last one up to ``until`` should have come by then."""
        if self.last is not None and until > self.last:
            from_us = min(self.last_us, time_us)
            run = Missing(self.last + 1, until, from_us, max(self.last_us, time_us, from_us + 1))
            self.missing = (*self.missing, run)[-MISSING_MAX:]


def _without(run: Missing, number: int, time_us: int) -> list[Missing]:
    """What is left of a run, once the trade of one of its ids has come."""
    time_us = min(max(time_us, run.from_us), run.to_us)
    parts = (
        Missing(run.first, number - 1, run.from_us, max(time_us, run.from_us + 1)),
        Missing(number + 1, run.last, min(time_us, run.to_us - 1), run.to_us),
    )
    return [each for each in parts if each.first <= each.last]


def lost(before: Sequence[Missing], after: Sequence[Missing]) -> list[Missing]:
    """The runs that are missing now, and were not."""
    known = set(before)
    return [each for each in after if each not in known]


def found(before: Sequence[Missing], after: Sequence[Missing]) -> list[tuple[int, int]]:
    """From when to when nothing is missing any more."""
    still = set(after)
    left = [(each.from_us, each.to_us) for each in after]
    return [span for each in before if each not in still for span in uncovered(each.from_us, each.to_us, left)]
