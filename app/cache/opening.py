"""Which L2 the settings ask for."""

from pathlib import Path

from app.cache.embedded import EmbeddedStore
from app.cache.redis import RedisStore
from app.cache.store import Store


def open_store(
    *, redis_url: str, store_path: Path, key_prefix: str, max_connections: int = 16, read_timeout_s: float = 2.0
) -> Store:
    """Redis where there is a ``redis_url``, SQLite otherwise. Connects at the first use, not here.

    ``read_timeout_s`` bounds one command on a connection; what a caller waits is bounded by `app.cache.tiers`, and shorter.
    """
    if redis_url:
        return RedisStore(redis_url, prefix=key_prefix, max_connections=max_connections, read_timeout_s=read_timeout_s)
    return EmbeddedStore(store_path)
