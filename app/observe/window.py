"""What was counted in the last seconds: the difference of two looks at counts that only grow."""

from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple


class Totals(NamedTuple):
    """What a worker has counted since its start. ``neutral`` are the decisions that rested on no input; ``decide_counts`` are the
    requests of POST /decide by bucket of their duration, the last one without a bound.
    """

    hits: int
    misses: int
    requests: int
    decisions: int
    neutral: int
    decide_counts: tuple[int, ...]


class Window:
    """The last ``looks`` looks at the totals, and what happened between the first and the last of them."""

    def __init__(self, looks: int) -> None:
        self._looks: deque[tuple[float, Totals]] = deque(maxlen=looks)

    def look(self, at_s: float, totals: Totals) -> tuple[float, Totals]:
        """Keep this look; how many seconds the window has now, and what was counted in it."""
        self._looks.append((at_s, totals))
        first_s, first = self._looks[0]
        decide_counts = tuple(now - then for now, then in zip(totals.decide_counts, first.decide_counts, strict=True))
        return at_s - first_s, Totals(
            totals.hits - first.hits,
            totals.misses - first.misses,
            totals.requests - first.requests,
            totals.decisions - first.decisions,
            totals.neutral - first.neutral,
            decide_counts,
        )


def share(part: int, rest: int) -> float | None:
    """``part`` of both together; None of nothing."""
    return part / (part + rest) if part + rest else None


def quantile(q: float, bounds: Sequence[float], counts: Sequence[int]) -> float | None:
    """The ``q``-quantile of what was counted in buckets up to ``bounds`` and one without a bound; None of nothing.

    As Prometheus' histogram_quantile: within a bucket values are taken to be spread evenly, the first begins at 0, and of the
    last nothing is known but that it is above the highest bound, which is then the answer.
    """
    cumulative = list(accumulate(counts))
    total = cumulative[-1]
    if total == 0:
        return None
    rank = q * total
    for position, (bound, reached) in enumerate(zip(bounds, cumulative, strict=False)):
        if counts[position] and reached >= rank:
            low = bounds[position - 1] if position else 0.0
            return low + (bound - low) * (rank - (reached - counts[position])) / counts[position]
    return bounds[-1]
