"""A Redis that runs somebody's script for longer than it is used to, and answers everybody else with BUSY."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator

import pytest
import redis

from app.errors import StoreBusy
from app.store.redis import RedisStore
from tests.kit.house import House
from tests.kit.records import row, run_info
from tests.kit.servers import RedisServer, redis_executable, until
from warm.publish import publish


@pytest.fixture
def server(redis_url: str) -> Iterator[RedisServer]:  # noqa: ARG001 - it skips where there is no Redis
    """One of its own, since no other test may meet it."""
    server = RedisServer(redis_executable() or "")
    yield server
    server.stop()


@contextlib.contextmanager
def _busy(url: str) -> Iterator[redis.Redis]:
    """In it Redis answers BUSY, until the script is killed."""

    def endless() -> None:
        with redis.Redis.from_url(url) as client, contextlib.suppress(redis.ResponseError):
            client.eval("while true do end", 0)

    def says_busy() -> bool:
        try:
            return not client.ping()
        except redis.ResponseError:
            return True

    with redis.Redis.from_url(url) as client:
        client.config_set("busy-reply-threshold", 1)
        script = threading.Thread(target=endless)
        script.start()
        until(says_busy, 20, "Redis says BUSY", every_s=0.01)
        try:
            yield client
        finally:
            with contextlib.suppress(redis.ResponseError):
                client.script_kill()
            script.join()


def _store(url: str) -> RedisStore:
    return RedisStore(url, prefix="decide:1", max_connections=2, read_timeout_s=20)


def test_a_worker_falls_back_while_redis_is_busy_and_recovers(server: RedisServer) -> None:
    async def work() -> None:
        store = _store(server.url)
        house = House(over=store, failures=2, ttl_s=10.0, stale_s=1000.0)
        tiers, clock = house.tiers, house.clock
        await store.publish_run([row("A"), row("B")], run_info("r1"))
        position = await store.feed_position()
        assert (await tiers.fetch("A", 60.0)).proven
        clock.now += 11.0
        with _busy(server.url):
            for _ in range(2):
                found = await tiers.fetch("A", 60.0)
                assert (found.proven, found.tier, found.trouble) == (False, "l1", "l2_error")
            assert tiers.breaker.state == "open"
            assert (await tiers.fetch("A", 60.0)).trouble == "l2_open"
            for command in (store.changes(position, 0.0), store.run_info(), store.symbols(), store.keys()):
                with pytest.raises(StoreBusy):
                    await command
        clock.now += 1.0
        for symbol in ("A", "B"):
            assert (await tiers.fetch(symbol, 60.0)).proven
        assert tiers.breaker.allows()
        await store.close()

    asyncio.run(work())


def test_a_load_waits_for_a_busy_redis_and_says_so(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    done = []
    with caplog.at_level(logging.WARNING, logger="decide.store"), _busy(server.url) as client:
        load = threading.Thread(
            target=lambda: done.append(publish(lambda: _store(server.url), [row("A")], run_info("r1"), prune=False))
        )
        load.start()
        until(lambda: "trying again" in caplog.text, 20, "the load says that it waits", every_s=0.01)
        assert not done
        client.script_kill()
        load.join()
    ((published, _, _),) = done
    assert published.written == 2


def test_a_redis_that_reads_its_data_after_a_start_is_busy_too() -> None:
    async def loading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while asked := await reader.read(65_536):
                writer.write(b"-LOADING Redis is loading the dataset in memory\r\n" * asked.count(b"*"))

    async def work() -> None:
        listener = await asyncio.start_server(loading, "127.0.0.1", 0)
        store = _store(f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}/0")
        with pytest.raises(StoreBusy):
            await store.run_info()
        with pytest.raises(StoreBusy):
            await store.publish_run([row("A")], run_info("r1"))
        await store.close()
        listener.close()

    asyncio.run(work())
