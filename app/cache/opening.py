"""Which L2 the settings ask for."""

from pathlib import Path

from app.cache.embedded import EmbeddedStore
from app.cache.redis import RedisStore
from app.domain.records import KINDS, Kinds


def open_store(
    *,
    redis_url: str,
    store_path: Path,
    key_prefix: str,
    redis_password: str = "",
    max_connections: int = 16,
    read_timeout_s: float = 2.0,
    feed_wait_s: float = 1.0,
    kinds: Kinds = KINDS,
) -> RedisStore | EmbeddedStore:
    """Redis where there is a ``redis_url``, SQLite otherwise. Connects at the first use, not here.

    ``feed_wait_s`` is the longest that a read of the feed will be told to wait. ``read_timeout_s`` bounds one command on a
    connection; what a caller waits is bounded by `app.cache.tiers`, and shorter.
    """
    if redis_url:
        return RedisStore(
            redis_url,
            password=redis_password,
            prefix=key_prefix,
            max_connections=max_connections,
            read_timeout_s=read_timeout_s,
            feed_wait_s=feed_wait_s,
            kinds=kinds,
        )
    return EmbeddedStore(store_path, kinds=kinds)
