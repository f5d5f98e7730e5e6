"""What a phase's answers add up to. Pure: times come in, sums come out.

Latencies are kept in an HdrHistogram (microseconds, three significant digits), so that a percentile is exact to 0.1 % however
many requests there were. The first five invalid answers are kept word for word, the
first fifty faults with their times.
"""

from collections import Counter
from collections.abc import Sequence

import msgspec
from hdrh.histogram import HdrHistogram

from bench.mix import Prepared
from bench.validity import REFUSED, SERVER_ERROR, Verdict

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 100.0)
_HIGHEST_US = 120_000_000
_DIGITS = 3
_EXAMPLES = 5
_FAULTS_KEPT = 50


class Second(msgspec.Struct, kw_only=True):
    """One second of a phase's time line, by when requests were due (or sent, in a closed loop)."""

    at_s: int
    answers: int
    faults: int
    server_errors: int
    decisions: int
    hits: int
    fallbacks: int
    stale: int
    refusals: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One request without an answer: when it was due and how much later that was clear, in seconds of the phase."""

    kind: str
    due_s: float
    after_s: float


class _Bucket:
    """A second that is being filled."""

    __slots__ = ("decisions", "fallbacks", "faults", "hits", "latencies_us", "refusals", "server_errors", "stale")

    def __init__(self) -> None:
        self.latencies_us: list[int] = []
        self.faults = self.server_errors = self.refusals = self.decisions = self.hits = self.fallbacks = self.stale = 0


class Recorder:
    """Takes in one phase's answers."""

    def __init__(self, started: float) -> None:
        self._started = started
        self.histogram = HdrHistogram(1, _HIGHEST_US, _DIGITS)
        self.lateness = HdrHistogram(1, _HIGHEST_US, _DIGITS)
        self.refusals = HdrHistogram(1, _HIGHEST_US, _DIGITS)
        self.singles = HdrHistogram(1, _HIGHEST_US, _DIGITS)
        self.statuses: Counter[int] = Counter()
        self.kinds: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.tiers: Counter[str] = Counter()
        self.levels: Counter[str] = Counter()
        self.invalid = 0
        self.refused_connections = 0
        self.given_up = 0
        self.believed = 0
        self.examples: list[str] = []
        self.first_faults: list[Fault] = []
        self._seconds: dict[int, _Bucket] = {}

    def answered(self, request: Prepared, status: int, verdict: Verdict, due: float, sent: float, finished: float) -> None:
        """A request that was due at ``due`` and sent at ``sent`` has its answer at ``finished``, all in seconds of one clock."""
        latency_us = max(1, round((finished - due) * 1e6))
        self.histogram.record_value(min(latency_us, _HIGHEST_US))
        self.lateness.record_value(min(max(1, round((sent - due) * 1e6)), _HIGHEST_US))
        self.statuses[status] += 1
        self.kinds[request.kind] += 1
        bucket = self._bucket(due)
        bucket.latencies_us.append(latency_us)
        if status >= SERVER_ERROR:
            bucket.server_errors += 1
        if status == REFUSED:
            bucket.refusals += 1
            # The server's part of it: while requests wait for a connection they are nobody's to refuse.
            self.refusals.record_value(min(max(1, round((finished - sent) * 1e6)), _HIGHEST_US))
        elif request.kind == "decide":
            self.singles.record_value(min(latency_us, _HIGHEST_US))
        if verdict.fault is not None:
            self.invalid += 1
            if len(self.examples) < _EXAMPLES:
                self.examples.append(verdict.fault)
        for decision in verdict.decisions:
            bucket.decisions += 1
            self.tiers[decision.cache.tier] += 1
            self.levels[decision.fallback.level] += 1
            bucket.hits += decision.cache.hit
            bucket.fallbacks += decision.fallback.used
            bucket.stale += decision.fallback.level == "stale"

    def faulted(self, fault: str, due: float, found: float) -> None:
        """A request that was due at ``due`` has no answer, as was ``found`` out then."""
        self.faults[fault] += 1
        if len(self.first_faults) < _FAULTS_KEPT:
            self.first_faults.append(Fault(kind=fault, due_s=round(due - self._started, 3), after_s=round(found - due, 3)))
        self._bucket(due).faults += 1

    @property
    def answers(self) -> int:
        """How many requests were answered."""
        return self.statuses.total()

    @property
    def decisions(self) -> int:
        """How many decisions came, those among them that were not looked at."""
        return self.tiers.total() + self.believed

    @property
    def server_errors(self) -> int:
        """Answers of 5xx."""
        return sum(count for status, count in self.statuses.items() if status >= SERVER_ERROR)

    def percentile_ms(self, percentile: float) -> float | None:
        """A latency, or None without answers."""
        return self.histogram.get_value_at_percentile(percentile) / 1000.0 if self.answers else None

    def curve(self) -> list[tuple[float, float]]:
        """Percentile and latency in ms, from 0 towards 100 by the histogram's own steps: what a percentile plot is drawn from."""
        steps = self.histogram.get_percentile_iterator(5)
        return [(step.percentile_level_iterated_to, step.value_iterated_to / 1000.0) for step in steps] if self.answers else []

    def time_line(self) -> list[Second]:
        """Each second from the phase's start; those without any request are there too."""
        last = max(self._seconds, default=-1)
        return [self._second(at, self._seconds.get(at, _Bucket())) for at in range(last + 1)]

    def _bucket(self, due: float) -> _Bucket:
        at = max(0, int(due - self._started))
        bucket = self._seconds.get(at)
        if bucket is None:
            bucket = self._seconds[at] = _Bucket()
        return bucket

    @staticmethod
    def _second(at: int, bucket: _Bucket) -> Second:
        ordered = sorted(bucket.latencies_us)
        return Second(
            at_s=at,
            answers=len(ordered),
            faults=bucket.faults,
            server_errors=bucket.server_errors,
            decisions=bucket.decisions,
            hits=bucket.hits,
            fallbacks=bucket.fallbacks,
            stale=bucket.stale,
            refusals=bucket.refusals,
            p50_ms=_rank(ordered, 0.50),
            p95_ms=_rank(ordered, 0.95),
            p99_ms=_rank(ordered, 0.99),
            max_ms=ordered[-1] / 1000.0 if ordered else None,
        )


def _rank(ordered_us: Sequence[int], share: float) -> float | None:
    """The nearest-rank percentile in ms."""
    if not ordered_us:
        return None
    return ordered_us[min(len(ordered_us) - 1, max(0, -int(-share * len(ordered_us) // 1) - 1))] / 1000.0
