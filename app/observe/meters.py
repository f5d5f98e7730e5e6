"""Every metric, declared once. Base units, bounded labels, never a symbol.

What the hot path counts is kept in `app.observe.tallies` and told to the metrics when somebody looks. With several workers
prometheus-client keeps values in files of a shared folder (its multiprocess mode); ``multiprocess_dir`` names it.
"""

from collections.abc import Mapping
from itertools import product
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics import exposition as openmetrics

from app.observe.access import AccessMeters
from app.observe.live import LiveMeters
from app.observe.market import MarketMeters
from app.observe.request_durations import RequestDurations
from app.observe.restarts import Restarts, RestartsCollector
from app.observe.streams import StreamMeters
from app.observe.tallies import Tally
from app.observe.window import Totals
from app.store.protocol import RunInfo

# A series of its own for each counter's birth doubles what is scraped and tells nothing that is asked for.
disable_created_metrics()  # type: ignore[no-untyped-call]

_STORE_BUCKETS_S = (100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1.0, 2.5)
_FEED_BUCKETS_S = (1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1.0, 2.5, 5.0, 10.0, 60.0)
_ACTIONS = ("buy", "sell", "hold")
_TIERS = ("l1", "l2", "none")
_LEVELS = ("none", "stale", "price_only", "agents_only", "neutral")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS_CONTENT_TYPE = openmetrics.CONTENT_TYPE_LATEST


class Meters:
    """The process's metrics, on a registry of their own. ``classes`` are those of the SLO, by route."""

    def __init__(
        self,
        *,
        version: str,
        policy: str,
        schema: str,
        multiprocess_dir: str = "",
        restarts: Restarts = dict,
        classes: Mapping[str, str] = {},
    ) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self._multiprocess_dir = multiprocess_dir
        self._tally_of: dict[tuple[str, ...], Tally] = {}
        self.requests = RequestDurations(registry, classes)
        self._decisions = Counter(
            "decide_decisions",
            "Decisions made, by action, cache tier and fallback level.",
            ["action", "tier", "level"],
            registry=registry,
        )
        self._cache_gets = Counter(
            "decide_cache_gets",
            "Symbols asked of a cache tier, by result (hit, miss, negative, stale, error).",
            ["tier", "result"],
            registry=registry,
        )
        self._store_seconds = Histogram(
            "decide_l2_operation_duration_seconds",
            "Time of one operation on L2.",
            ["operation"],
            buckets=_STORE_BUCKETS_S,
            registry=registry,
        )
        self._store_errors = Counter("decide_l2_errors", "Operations on L2 that failed.", ["operation"], registry=registry)
        self._store_symbols = Counter("decide_l2_symbols_read", "Symbols read from L2.", registry=registry)
        self._record_faults = Counter(
            "decide_records_rejected", "Stored records that could not be used.", ["reason"], registry=registry
        )
        self._evictions = Counter("decide_l1_evictions", "Entries L1 pushed out to make room.", registry=registry)
        self._feed_symbols = Counter("decide_feed_changes", "Symbols the change feed reported.", registry=registry)
        self._feed_lost = Counter(
            "decide_feed_reloads", "Times the change feed had lost entries, so that all of L1 was reread.", registry=registry
        )
        self._feed_delay = Histogram(
            "decide_feed_delay_seconds",
            "Time from a publication to its application to L1, by the clocks of the store and of this machine.",
            buckets=_FEED_BUCKETS_S,
            registry=registry,
        )
        self._breaker_opened = Counter("decide_l2_breaker_opened", "Times the circuit breaker of L2 opened.", registry=registry)
        self.access = AccessMeters(registry)
        self._declare_losses(registry)
        self.streams = StreamMeters(registry)
        self.market = MarketMeters(registry)
        self.live = LiveMeters(registry)
        self._restarts = RestartsCollector(restarts)
        registry.register(self._restarts)
        self._declare_gauges(registry, version, policy, schema)
        if not multiprocess_dir:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
        self._begin_at_zero()
        self.l1_hits = self._tally(self._cache_gets, "l1", "hit")
        self._l1_negatives = self._tally(self._cache_gets, "l1", "negative")
        self._l1_misses = self._tally(self._cache_gets, "l1", "miss")
        self._evictions_seen = 0
        self._dropped_seen = 0
        self._opened_seen = 0

    def _declare_losses(self, registry: CollectorRegistry) -> None:
        self._log_dropped = Counter(
            "decide_log_lines_dropped",
            "Log lines lost: their queue was full, or they could not be written.",
            registry=registry,
        )
        self._spans_dropped = Counter(
            "decide_trace_spans_dropped",
            "Spans lost: their queue was full, or their export failed.",
            ["reason"],
            registry=registry,
        )

    def _declare_gauges(self, registry: CollectorRegistry, version: str, policy: str, schema: str) -> None:
        self._l1_entries = Gauge("decide_l1_entries", "Entries in L1.", registry=registry, multiprocess_mode="livesum")
        self._l1_max_entries = Gauge(
            "decide_l1_max_entries", "Upper bound of L1's entries.", registry=registry, multiprocess_mode="livesum"
        )
        self._in_flight = Gauge(
            "decide_in_flight_requests", "Requests being answered.", registry=registry, multiprocess_mode="livesum"
        )
        self._in_flight_decisions = Gauge(
            "decide_in_flight_decisions",
            "Decisions being waited for, by batches and for L2.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._max_in_flight_decisions = Gauge(
            "decide_max_in_flight_decisions",
            "Decisions that may be waited for; requests for more are answered 503.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._pending_loads = Gauge(
            "decide_l2_pending_symbols", "Symbols on their way from L2.", registry=registry, multiprocess_mode="livesum"
        )
        self._oldest_served = Gauge(
            "decide_oldest_served_input_age_seconds",
            "Age of the oldest input that a decision of the last one to two minutes used; 0 without decisions.",
            ["input"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._ready = Gauge("decide_ready", "1 if /readyz answers 200.", registry=registry, multiprocess_mode="livemin")
        self._feed_connected = Gauge(
            "decide_feed_connected",
            "1 if the last read of the change feed worked.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._declare_freshness(registry)
        build = Gauge(
            "decide_build_info",
            "What is running, as labels.",
            ["version", "policy", "schema"],
            registry=registry,
            multiprocess_mode="max",
        )
        build.labels(version, policy, schema).set(1)

    def _declare_freshness(self, registry: CollectorRegistry) -> None:
        self._draining = Gauge(
            "decide_draining", "1 from the signal to stop until the stop.", registry=registry, multiprocess_mode="livemax"
        )
        self._breaker_closed = Gauge(
            "decide_l2_breaker_closed", "1 while loads go to L2.", registry=registry, multiprocess_mode="livemin"
        )
        self._feed_lag = Gauge(
            "decide_feed_lag_seconds",
            "Time since the change feed was last read to its end: the most by which L1 can be behind L2.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._overdue = Gauge(
            "decide_served_input_overdue_seconds",
            "How long an input that a decision of the last one to two minutes used has been stale, at most; 0 if none was.",
            ["input"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._run_time = Gauge(
            "decide_warm_run_timestamp_seconds", "When the loaded warm run was made.", registry=registry, multiprocess_mode="max"
        )
        self._newest_input = Gauge(
            "decide_newest_input_timestamp_seconds",
            "as_of of the newest loaded record.",
            registry=registry,
            multiprocess_mode="max",
        )
        self._newest_input_age = Gauge(
            "decide_newest_input_age_seconds",
            "Age of the newest loaded record by the clock that decisions go by; 0 before any was loaded.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._universe = Gauge(
            "decide_universe_symbols", "Symbols of the loaded universe.", registry=registry, multiprocess_mode="max"
        )
        self._run = Gauge(
            "decide_warm_run_info", "The loaded warm run, as a label.", ["run"], registry=registry, multiprocess_mode="mostrecent"
        )

    def _begin_at_zero(self) -> None:
        """Make the series that rates are taken of: one that begins with its first event hides that event from them."""
        for result in ("hit", "miss", "negative", "stale"):
            self._cache_gets.labels("l1", result)
        for result in ("hit", "miss", "error"):
            self._cache_gets.labels("l2", result)
        for operation in ("read", "feed"):
            self._store_errors.labels(operation)
        self._store_seconds.labels("read")
        for action, tier, level in product(_ACTIONS, _TIERS, _LEVELS):
            self._decisions.labels(action, tier, level)

    def _tally(self, counter: Counter, *labels: str) -> Tally:
        # No two counters have the same values of their labels.
        tally = self._tally_of.get(labels)
        if tally is None:
            tally = self._tally_of[labels] = Tally(counter.labels(*labels))
        return tally

    @property
    def hits(self) -> int:
        """What was asked of L1 and found there; a negative answer counts, since L2 was spared."""
        return self.l1_hits.count + self._l1_negatives.count

    @property
    def misses(self) -> int:
        """What was asked of L1 and had to be asked of L2."""
        return self._l1_misses.count

    def decisions(self, action: str, tier: str, level: str) -> Tally:
        """The count of decisions of this kind."""
        return self._tally(self._decisions, action, tier, level)

    def totals(self) -> Totals:
        """What this worker has counted since its start."""
        requests, of_decide = self.requests.totals()
        by_level = [(labels[-1], tally.count) for labels, tally in self._tally_of.items() if labels[0] in _ACTIONS]
        decisions, neutral = (sum(count for level, count in by_level if level in levels) for levels in (_LEVELS, ("neutral",)))
        return Totals(self.hits, self.misses, requests, decisions, neutral, of_decide)

    def cache_get(self, tier: Literal["l1", "l2"], result: str, count: int = 1) -> None:
        """``count`` symbols were asked of ``tier``."""
        self._tally(self._cache_gets, tier, result).count += count

    def store_read(self, seconds: float, symbols: int, *, failed: bool) -> None:
        """One read of L2 ended."""
        self._store_seconds.labels("read").observe(seconds)
        self._store_symbols.inc(symbols)
        if failed:
            self._store_errors.labels("read").inc()

    def record_fault(self, reason: str) -> None:
        """A stored record could not be used."""
        self._record_faults.labels(reason).inc()

    def feed_applied(self, symbols: int, *, lost: bool, delay_s: float | None) -> None:
        """A batch of changes was applied to L1, ``delay_s`` after the oldest of it was published."""
        if delay_s is not None:
            self._feed_delay.observe(delay_s)
        self._feed_symbols.inc(symbols)
        if lost:
            self._feed_lost.inc()

    def feed_failed(self) -> None:
        """A read of the feed failed."""
        self._store_errors.labels("feed").inc()

    def run_seen(self, info: RunInfo) -> None:
        """The store holds this run."""
        self._run_time.set(info.warmed_at_ms / 1000.0)
        self._newest_input.set(info.newest_as_of_ms / 1000.0)
        self._universe.set(info.symbols)
        if not self._multiprocess_dir:
            # Series of earlier runs would pile up; files of the multiprocess mode cannot be cleared, so there is no such series.
            self._run.clear()
            self._run.labels(info.run).set(1)

    def exemplify(self, route: str, status: int, seconds: float, trace_id: str) -> None:
        """This trace is an example of a request so answered, and of how long that takes. Not with several workers: their files
        have no room for it.
        """
        if not self._multiprocess_dir:
            self.requests.exemplify(route, status, seconds, trace_id)

    def spans_dropped(self, reason: str, count: int) -> None:
        """So many spans of a trace were lost."""
        self._spans_dropped.labels(reason).inc(count)

    def refresh(
        self,
        *,
        l1_entries: int,
        l1_max_entries: int,
        evictions: int,
        in_flight: int,
        in_flight_decisions: int,
        max_in_flight_decisions: int,
        pending_loads: int,
        oldest: tuple[dict[str, float], dict[str, float]],
        ready: bool,
        draining: bool,
        feed_connected: bool,
        feed_lag_s: float,
        breaker_closed: bool,
        breaker_opened: int,
        newest_input_age_s: float,
        log_lines_dropped: int,
    ) -> None:
        """Bring the gauges up to date, and the counters of the hot path."""
        self.flush()
        self._l1_entries.set(l1_entries)
        self._l1_max_entries.set(l1_max_entries)
        self._evictions.inc(evictions - self._evictions_seen)
        self._evictions_seen = evictions
        self._in_flight.set(in_flight)
        self._in_flight_decisions.set(in_flight_decisions)
        self._max_in_flight_decisions.set(max_in_flight_decisions)
        self._pending_loads.set(pending_loads)
        for gauge, by_input in zip((self._oldest_served, self._overdue), oldest, strict=True):
            for name, seconds in by_input.items():
                gauge.labels(name).set(seconds)
        self._ready.set(ready)
        self._draining.set(draining)
        self._feed_connected.set(feed_connected)
        self._feed_lag.set(feed_lag_s)
        self._breaker_closed.set(breaker_closed)
        self._breaker_opened.inc(breaker_opened - self._opened_seen)
        self._opened_seen = breaker_opened
        self._newest_input_age.set(newest_input_age_s)
        self._log_dropped.inc(log_lines_dropped - self._dropped_seen)
        self._dropped_seen = log_lines_dropped

    def flush(self) -> None:
        """Tell the metrics what was counted on the hot path."""
        for tally in self._tally_of.values():
            tally.flush()
        self.requests.flush()

    def exposition(self, *, open_metrics: bool = False) -> bytes:
        """The text format that Prometheus scrapes, or OpenMetrics, which has exemplars; with several workers, of all of them
        together.
        """
        self.flush()
        return self.rendered(open_metrics=open_metrics)

    def rendered(self, *, open_metrics: bool) -> bytes:
        """`exposition` of what was flushed. Takes milliseconds, and may do so in a thread."""
        registry = self._registry
        if self._multiprocess_dir:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=self._multiprocess_dir)  # type: ignore[no-untyped-call]
            registry.register(self._restarts)
        if open_metrics:
            text: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
            return text
        return generate_latest(registry)


def wants_open_metrics(accept: str) -> bool:
    """Whether a scraper's Accept header names OpenMetrics, as Prometheus's own does before the text format."""
    return any(each.partition(";")[0].strip().lower() == "application/openmetrics-text" for each in accept.split(","))
