"""A read of Redis is of one moment, however slowly its bytes arrive."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from app.store.opening import open_store
from app.store.protocol import Store
from tests.kit.records import raw_of, row, run_info
from tests.kit.servers import RedisServer

_COMMAND = b"SMISMEMBER"


def _open(port: int) -> Store:
    return open_store(redis_url=f"redis://127.0.0.1:{port}/0", store_path=Path(), key_prefix="decide:1")


class SlowWire:
    """A relay in front of Redis that does ``between`` once the part of a read before its last question has been passed on."""

    def __init__(self, port: int, between: Callable[[], Awaitable[object]]) -> None:
        self._port = port
        self._between = between
        self.held_back = 0

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both directions of one connection, until the client closes it."""
        from_redis, to_redis = await asyncio.open_connection("127.0.0.1", self._port)
        answers = asyncio.create_task(self._answers(from_redis, writer))
        while received := await reader.read(65_536):
            begins = received.find(_COMMAND)
            if begins >= 0:
                begins = received.rindex(b"*", 0, begins)
                to_redis.write(received[:begins])
                await to_redis.drain()
                await self._between()
                self.held_back += 1
            to_redis.write(received[max(begins, 0) :])
        to_redis.close()
        await answers
        writer.close()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while received := await reader.read(65_536):
            writer.write(received)


def test_a_publication_cannot_come_between_the_two_halves_of_a_read(redis_url: str, redis_server: RedisServer) -> None:
    assert redis_server.url == redis_url

    async def work() -> None:
        publisher = _open(redis_server.port)
        await publisher.publish_run([row("OLD")], run_info("r1"))
        wire = SlowWire(redis_server.port, lambda: publisher.publish_run([row("NEW")], run_info("r2"), prune=True))
        relay = await asyncio.start_server(wire.relay, "127.0.0.1", 0)
        reader = _open(relay.sockets[0].getsockname()[1])
        answers = await reader.get_many(["OLD", "NEW"])
        assert wire.held_back == 1
        assert [each.known for each in answers] == [raw_of(each, "price") is not None for each in answers]
        assert [each.known for each in answers] == [False, True]
        await reader.close()
        await publisher.close()
        relay.close()
        await relay.wait_closed()

    asyncio.run(work())
