"""Metrics of /stream and /ws."""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Transport = Literal["sse", "ws"]
Reason = Literal["slow", "draining", "idle", "refused", "revoked", "failed", "left"]
REASONS: tuple[Reason, ...] = ("slow", "draining", "idle", "refused", "revoked", "failed", "left")
_DELAY_BUCKETS_S = (2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1.0, 2.5, 5.0, 10.0, 60.0)


class StreamMeters:
    """Declared on the registry of `app.observe.meters`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._subscribers = Gauge(
            "decide_stream_subscribers",
            "Callers of /stream (sse) and /ws (ws).",
            ["transport"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._events = Counter(
            "decide_stream_events", "Events given to the connections of subscribers.", ["transport"], registry=registry
        )
        self._ended = Counter(
            "decide_stream_ended",
            "Ends of subscribers' connections, by reason; left: by the client.",
            ["transport", "reason"],
            registry=registry,
        )
        self._delay = Histogram(
            "decide_stream_delay_seconds",
            "Time from a publication to its decisions in all subscribers' queues, by the clocks of the store and the server.",
            buckets=_DELAY_BUCKETS_S,
            registry=registry,
        )
        self._prices_delay = Histogram(
            "decide_stream_price_delay_seconds",
            "Time from a publication to the offer of its prices to all who follow them; intervals are waited for beyond that.",
            buckets=_DELAY_BUCKETS_S,
            registry=registry,
        )
        self._conflated = Counter(
            "decide_stream_conflated",
            "Decisions and prices that a newer one took the place of before a subscriber was sent them.",
            ["transport"],
            registry=registry,
        )
        for transport in ("sse", "ws"):
            self._conflated.labels(transport)
            self._subscribers.labels(transport)
            self._events.labels(transport)
            for reason in REASONS:
                self._ended.labels(transport, reason)

    def joined(self, transport: Transport) -> None:
        """A subscriber came."""
        self._subscribers.labels(transport).inc()

    def ended(self, transport: Transport, reason: Reason) -> None:
        """One is gone."""
        self._subscribers.labels(transport).dec()
        self._ended.labels(transport, reason).inc()

    def sent(self, transport: Transport, events: int) -> None:
        """So many events were given to the server's side of a connection."""
        self._events.labels(transport).inc(events)

    def fanned_out(self, delay_s: float) -> None:
        """A change has reached all queues."""
        self._delay.observe(delay_s)

    def prices_fanned_out(self, delay_s: float) -> None:
        """A change has been offered to all who follow its prices."""
        self._prices_delay.observe(delay_s)

    def conflated(self, transport: Transport) -> None:
        """A subscriber is never sent a decision or a price: a newer one was there."""
        self._conflated.labels(transport).inc()
