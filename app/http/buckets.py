"""Token buckets by throttled-py: its GCRA, which is a token bucket that keeps one time instead of a count (ITU-T I.371).

On Redis one script takes the tokens out, by Redis's clock, and the entry goes when the bucket is full again. Without Redis each
worker has buckets of its own.
"""

import math
from datetime import timedelta
from typing import Any

from app.errors import StoreError
from app.http.limits import Drawn
from app.waiting import wait_for_store
from app.withheld import withheld

# throttled imports Redis' client, whatever it is to use, and that OpenTelemetry if it is there.
with withheld("opentelemetry"):
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from throttled import RateLimiterType
    from throttled.asyncio import RateLimiterRegistry, rate_limiter, store
    from throttled.exceptions import BaseThrottledError

_CALLERS = 65_536
_PERIOD_S = 1000
"""The library counts whole tokens in whole seconds: a thousandth a second is one in so many."""


class Buckets:
    """A `Bucket` for each caller, of ``burst`` tokens, filled with ``per_s`` a second. On Redis if there is a ``redis_url``."""

    def __init__(
        self,
        *,
        per_s: float,
        burst: int,
        redis_url: str = "",
        redis_password: str = "",
        key_prefix: str = "",
        timeout_s: float = 1.0,
    ) -> None:
        quota = rate_limiter.per_duration(timedelta(seconds=_PERIOD_S), max(1, round(per_s * _PERIOD_S)), burst=burst)
        self._timeout_s = timeout_s
        self._redis: store.RedisStore | None = None
        backend: store.BaseStore
        if redis_url:
            backend = self._redis = store.RedisStore(server=redis_url, options=_options(redis_password, timeout_s))
        else:
            backend = store.MemoryStore(options={"MAX_SIZE": _CALLERS})
        # The library wants no colon at either end; it puts its own behind.
        prefix = f"{key_prefix.strip(':') or 'decide'}:limit"
        self._limiter = RateLimiterRegistry.get(RateLimiterType.GCRA.value)(quota, backend, key_prefix=prefix)

    async def draw(self, caller: str, tokens: int) -> Drawn:
        """Take ``tokens`` out, or none.

        Raises:
            StoreError: Redis did not answer in time, or with an error.
        """
        work = self._limiter.limit(caller, tokens)
        try:
            result = await (wait_for_store(work, self._timeout_s) if self._redis is not None else work)
        except (RedisError, BaseThrottledError, OSError, TimeoutError, ValueError, ArithmeticError) as error:
            raise StoreError("limit_error", f"{type(error).__name__}: {error}") from error
        state = result.state
        if not (math.isfinite(state.reset_after) and math.isfinite(state.retry_after)):
            raise StoreError("limit_error", f"the bucket of {caller} holds what is no time")
        return Drawn(not result.limited, max(0, int(state.remaining)), max(0.0, state.reset_after), max(0.0, state.retry_after))

    async def close(self) -> None:
        """Close the connections; the library has no word for it."""
        if self._redis is not None:
            client: Any = self._redis._backend.get_client()  # noqa: SLF001
            await client.connection_pool.disconnect()


def _options(password: str, timeout_s: float) -> dict[str, object]:
    return {
        "PASSWORD": password,
        "SOCKET_TIMEOUT": max(1.0, 5.0 * timeout_s),
        "SOCKET_CONNECT_TIMEOUT": max(1.0, timeout_s),
        "CONNECTION_POOL_CLASS": "redis.asyncio.BlockingConnectionPool",
        "CONNECTION_POOL_KWARGS": {
            "max_connections": 8,
            "timeout": max(1.0, timeout_s),
            "client_name": "decide-limits",
            # As in app.store.redis: one retry, at once, for a connection that was closed while idle.
            "retry": Retry(NoBackoff(), 1),
        },
    }
