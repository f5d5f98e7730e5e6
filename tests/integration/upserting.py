"""For tests of single records: where a store's data is, and a made-up global kind beside the made-up input."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import redis

from app.domain.records import Kind
from app.domain.vector import fingerprint
from app.store.codec import encode
from app.store.opening import open_store
from app.store.protocol import Record
from app.store.redis import RedisStore
from app.store.sqlite import EmbeddedStore
from tests.kit.moods import WITH_MOODS
from tests.kit.records import price_record

LiveStore = RedisStore | EmbeddedStore


class ModelRecord(msgspec.Struct, array_like=True, frozen=True):
    """A global record, as a model is one."""

    schema: str
    as_of_ms: int
    loaded_at_ms: int
    run: str
    weight: float


MODEL = Kind(
    name="model",
    plural="models",
    decoder=msgspec.msgpack.Decoder(ModelRecord),
    schema=fingerprint("model-1"),
    fault=lambda _: None,
    scope="global",
)
KINDS_HERE = WITH_MOODS.adding(MODEL)


def model(key: str, as_of_ms: int, weight: float) -> Record:
    """One of them, to be upserted."""
    return Record("model", key, encode(ModelRecord(MODEL.schema, as_of_ms, as_of_ms, "", weight)))


def price(symbol: str, as_of_ms: int) -> Record:
    """A price that no run wrote, to be upserted."""
    return Record("price", symbol, encode(price_record(symbol, as_of_ms, "")))


class Place:
    """Where a store's data is."""

    def __init__(self, url: str, path: Path) -> None:
        self.url, self.path = url, path

    def run(self, work: Callable[[LiveStore], Awaitable[None]]) -> None:
        """``work`` with a store that is closed afterwards."""

        async def opened() -> None:
            store = open_store(
                redis_url=self.url, store_path=self.path, key_prefix="decide:1", read_timeout_s=5, kinds=KINDS_HERE
            )
            try:
                await work(store)
            finally:
                await store.close()

        asyncio.run(opened())

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
