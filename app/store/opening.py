"""Which L2 the settings ask for."""

from pathlib import Path
from typing import TYPE_CHECKING

from app.domain.records import KINDS, Kinds
from app.store.sqlite import EmbeddedStore

if TYPE_CHECKING:
    from app.store.redis import RedisStore

REDIS_CONNECTIONS = 16
"""Of one worker, for reads."""


def open_store(
    *,
    redis_url: str,
    store_path: Path,
    key_prefix: str,
    redis_password: str = "",
    read_timeout_s: float = 2.0,
    feed_wait_s: float = 1.0,
    kinds: Kinds = KINDS,
) -> "RedisStore | EmbeddedStore":
    """Redis where there is a ``redis_url``, SQLite otherwise. Connects at the first use, not here.

    ``feed_wait_s`` is the longest that a read of the feed will be told to wait. ``read_timeout_s`` bounds one command on a
    connection; what a caller waits is bounded by `app.cache.read_through`, and shorter.
    """
    if redis_url:
        # Not above: its client takes as long to import as all else that a server imports.
        from app.store.redis import RedisStore  # noqa: PLC0415

        return RedisStore(
            redis_url,
            password=redis_password,
            prefix=key_prefix,
            max_connections=REDIS_CONNECTIONS,
            read_timeout_s=read_timeout_s,
            feed_wait_s=feed_wait_s,
            kinds=kinds,
        )
    return EmbeddedStore(store_path, kinds=kinds)
