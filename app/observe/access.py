"""What is counted of keys and limits."""

from prometheus_client import CollectorRegistry, Counter, Gauge

_REASONS = ("missing", "unknown", "expired", "scope", "unproven")


class AccessMeters:
    """For the gate, the ring of keys and the limiter."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._access_refused = Counter(
            "decide_access_refused",
            "Requests refused for their API key (missing, unknown, expired, scope, unproven).",
            ["reason"],
            registry=registry,
        )
        self._keys_known = Gauge(
            "decide_api_keys", "API keys that are known and good.", registry=registry, multiprocess_mode="livemax"
        )
        self._keys_unsealed = Gauge(
            "decide_api_keys_unsealed",
            "Records of API keys in the store that were not made with this server's secret, and are not used.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._limit_refused = Counter("decide_rate_limit_refused", "Requests refused by the rate limit (429).", registry=registry)
        self._limit_failures = Counter(
            "decide_rate_limit_failures",
            "Times the shared rate limit could not be asked, so that each worker kept the rate by itself.",
            registry=registry,
        )
        for reason in _REASONS:
            self._access_refused.labels(reason)

    def access_refused(self, reason: str) -> None:
        """A request was refused for its key."""
        self._access_refused.labels(reason).inc()

    def keys_read(self, known: int, unsealed: int) -> None:
        """The API keys were read: so many are good, so many records are not sealed with our secret."""
        self._keys_known.set(known)
        self._keys_unsealed.set(unsealed)

    def limit_refused(self) -> None:
        """A request was refused by the rate limit."""
        self._limit_refused.inc()

    def limit_failed(self) -> None:
        """The rate limit could not be asked."""
        self._limit_failures.inc()
