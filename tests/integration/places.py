"""Where a store's data is, be it Redis or SQLite."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import redis

from app.domain.records import KINDS, Kinds
from app.store.opening import open_store
from app.store.redis import RedisStore
from app.store.sqlite import EmbeddedStore

LiveStore = RedisStore | EmbeddedStore
T = TypeVar("T")


@dataclass
class Place:
    """Redis at ``url``, or SQLite at ``path`` where that is empty."""

    url: str
    path: Path
    prefix: str = "decide:1"
    kinds: Kinds = KINDS

    def open(self) -> LiveStore:
        """A store of its own connections."""
        return open_store(redis_url=self.url, store_path=self.path, key_prefix=self.prefix, read_timeout_s=5, kinds=self.kinds)

    def run(self, work: Callable[[LiveStore], Awaitable[T]]) -> T:
        """``work`` with a store that is closed afterwards."""

        async def opened() -> T:
            store = self.open()
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(opened())

    def write(self, statement: str, *command: str | bytes) -> None:
        """Somebody else does this to SQLite, or this to Redis."""
        if self.url:
            with redis.Redis.from_url(self.url) as client:
                client.execute_command(*command)
            return
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute(statement)
        connection.close()

    def forget_changes(self) -> None:
        """The change feed's entries are gone, as by trimming, and nothing else."""
        self.write("DELETE FROM changes", "XTRIM", f"{self.prefix}:changes", "MAXLEN", "0")
