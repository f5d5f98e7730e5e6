"""Counting on the hot path: in plain integers, which are told to the metrics when somebody looks, and once a second.

A counter of prometheus-client takes a lock and half a microsecond, a histogram more; a decision counts four things. A worker that
is killed takes what it counted in its last second with it.
"""

from bisect import bisect_left
from collections.abc import Sequence

from prometheus_client import Counter, Histogram
from prometheus_client.samples import Exemplar


class BatchedHistogram(Histogram):
    """A histogram that can be told many observations at once."""

    def add(self, counts: Sequence[int], total: float) -> None:
        """``counts`` observations for each bucket, the last one without a bound; ``total`` is the sum of their values."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)

    def exemplify(self, value: float, labels: dict[str, str], timestamp_s: float) -> None:
        """Give the bucket of ``value`` this example of what is in it; the one before is forgotten."""
        self._buckets[bisect_left(self._upper_bounds, value)].set_exemplar(Exemplar(labels, value, timestamp_s))


class Tally:
    """What one counter counts: ``count`` since the start, to be increased by whoever has it."""

    __slots__ = ("_counter", "_told", "count")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._told = 0
        self.count = 0

    def flush(self) -> None:
        """Tell the counter."""
        count = self.count
        if count != self._told:
            self._counter.inc(count - self._told)
            self._told = count


class Durations:
    """What one histogram, of buckets up to ``bounds_s``, observes."""

    __slots__ = ("_bounds_s", "_counts", "_histogram", "_told", "_total_s")

    def __init__(self, histogram: BatchedHistogram, bounds_s: Sequence[float]) -> None:
        self._histogram = histogram
        self._bounds_s = tuple(bounds_s)
        self._told = [0] * (len(self._bounds_s) + 1)
        self._start()

    def _start(self) -> None:
        self._counts = [0] * (len(self._bounds_s) + 1)
        self._total_s = 0.0

    def observe(self, seconds: float) -> None:
        """One duration; a bucket takes what is equal to its bound."""
        self._counts[bisect_left(self._bounds_s, seconds)] += 1
        self._total_s += seconds

    def flush(self) -> None:
        """Tell the histogram."""
        if any(self._counts):
            self._histogram.add(self._counts, self._total_s)
            self._told = self.so_far()
            self._start()

    def so_far(self) -> list[int]:
        """How many there were since the start, by bucket, told or not."""
        return [told + count for told, count in zip(self._told, self._counts, strict=True)]
