"""What is counted of the market store."""

from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.market.protocol import Pool

Read = Literal["candles", "trades", "names", "details", "ping"]
"""Kinds of reads."""

_BUCKETS_S = (500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1.0, 2.5, 10.0)
_REASONS = ("market_error", "market_timeout", "market_busy", "market_open")


class MarketMeters:
    """For those who read it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "decide_market_read_duration_seconds",
            "Time of one read of the market store, with what it waited for a connection.",
            ["operation"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._wait = Histogram(
            "decide_market_pool_wait_seconds",
            "Time that a read of the market store waited for a connection.",
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._errors = Counter(
            "decide_market_errors",
            "Reads of the market store that failed (market_error, market_timeout, market_busy, market_open).",
            ["operation", "reason"],
            registry=registry,
        )
        self._pool = Gauge(
            "decide_market_pool_connections",
            "Connections to the market store (max: so many at most; in_use; waiting: reads without one).",
            ["state"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        for read in get_args(Read):
            self._seconds.labels(read)
            for reason in _REASONS:
                self._errors.labels(read, reason)

    def read(self, kind: Read, seconds: float, reason: str = "") -> None:
        """A read ended; it failed if there is a ``reason``."""
        self._seconds.labels(kind).observe(seconds)
        if reason:
            self._errors.labels(kind, reason).inc()

    def waited(self, seconds: float) -> None:
        """A read has got its connection. From any thread."""
        self._wait.observe(seconds)

    def refresh(self, pool: Pool) -> None:
        """Connections are used so."""
        self._pool.labels("max").set(pool.size)
        self._pool.labels("in_use").set(pool.in_use)
        self._pool.labels("waiting").set(pool.waiting)
