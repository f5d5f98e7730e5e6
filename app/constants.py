"""What one worker is bounded by and nobody has a reason to change. Tests pass others, to see a bound reached."""

import msgspec


class Constants(msgspec.Struct, frozen=True, kw_only=True):
    """They are no settings: nothing outside the program says them."""

    l1_ttl_jitter: float = 0.1
    """Share by which each entry's lifetime is shortened at random, so that they do not expire together."""
    negative_ttl_s: float = 5.0
    """For how long an unknown symbol is remembered as unknown."""
    breaker_failures: int = 5
    """Failures of L2 in a row after which requests fall back without waiting for it."""
    breaker_pause_s: float = 2.0
    """Longest time between two probes of an L2 that does not answer."""
    l2_max_pending: int = 20_000
    """Symbols being loaded from L2 at once; more are answered by fallback. A batch is never more."""
    feed_wait_ms: float = 100.0
    """Longest wait of one read of the change feed. The shortest lease (L1_LEASE_S) holds two of them."""
    max_in_flight: int = 10_000
    """Decisions being waited for at once, by batches and for L2; more get 503. A batch beyond it comes in alone."""
    max_body_bytes: int = 262_144
    """Largest request body where BATCH_MAX is 1,000 at most; beyond, so much for every thousand."""
    body_timeout_s: float = 5.0
    """How long a request's body may take to arrive."""
    stream_queue: int = 10_000
    """Events that may wait for one subscriber. Nobody may follow more symbols: a publication would drop them."""
    stream_heartbeat_s: float = 15.0
    """Silence after which /stream and /ws send a sign of life. Proxies commonly wait for 60 s."""


CONSTANTS = Constants()
