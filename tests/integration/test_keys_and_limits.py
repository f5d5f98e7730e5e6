"""Keys in both stores, and token buckets on a real Redis."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from app.domain.keys import decode_key
from app.errors import StoreError
from app.http.buckets import Buckets
from app.store.opening import open_store
from app.store.redis import RedisStore
from app.store.sqlite import EmbeddedStore
from tests.integration.places import LiveStore, Place
from tests.kit.keys import SECRET, FakeKeys, key_id
from tests.kit.servers import RedisServer, free_port, redis_executable


@pytest.fixture
def open_it(place: Place) -> Callable[[], LiveStore]:
    """Opens an empty store of each kind, again and again."""
    return place.open


def test_keys_are_stored_replaced_and_removed_alike(open_it: Callable[[], LiveStore]) -> None:
    async def run() -> None:
        first, second = open_it(), open_it()
        assert await first.keys() == {}
        await first.put_key("a", b"1\x00\xff")
        await first.put_key("b", b"2")
        await first.put_key("a", b"3")
        assert await second.keys() == {"a": b"3", "b": b"2"}
        assert await second.remove_key("a")
        assert not await second.remove_key("a")
        assert await first.keys() == {"b": b"2"}
        assert await first.run_info() is None
        await first.close()
        await second.close()

    asyncio.run(run())


def test_a_store_that_is_away_is_an_error_and_no_absence_of_keys() -> None:
    """Or everybody would be let out."""

    async def run() -> None:
        store = open_store(redis_url=f"redis://127.0.0.1:{free_port()}/0", store_path=Path(), key_prefix="d", read_timeout_s=1)
        with pytest.raises(StoreError):
            await store.keys()
        await store.close()

    asyncio.run(run())


def _buckets(url: str, *, per_s: float = 0.01, burst: int = 10, timeout_s: float = 2.0, password: str = "") -> Buckets:
    return Buckets(per_s=per_s, burst=burst, redis_url=url, redis_password=password, key_prefix="decide:1", timeout_s=timeout_s)


def test_servers_on_one_redis_share_a_bucket(redis_url: str) -> None:
    async def run() -> None:
        one, other = _buckets(redis_url), _buckets(redis_url)
        assert (await one.draw("a", 6)).given
        drawn = await other.draw("a", 6)
        assert (drawn.given, drawn.remaining) == (False, 4)
        assert drawn.retry_in_s == pytest.approx(200.0, abs=1.0)
        drawn = await other.draw("a", 4)
        assert (drawn.given, drawn.remaining) == (True, 0)
        assert drawn.full_in_s == pytest.approx(1000.0, abs=1.0)
        assert (await other.draw("b", 10)).given
        await one.close()
        await other.close()

    asyncio.run(run())


@pytest.mark.parametrize("shared", [True, False], ids=["redis", "memory"])
def test_a_bucket_fills_at_its_rate(shared: bool, request: pytest.FixtureRequest) -> None:  # noqa: FBT001 - a parameter of the test
    url = request.getfixturevalue("redis_url") if shared else ""

    async def run() -> None:
        for per_s in (0.5, 2.5):
            buckets = _buckets(url, per_s=per_s, burst=5)
            caller = f"rate-{per_s}"
            assert (await buckets.draw(caller, 5)).given
            drawn = await buckets.draw(caller, 1)
            assert not drawn.given
            assert drawn.retry_in_s == pytest.approx(1 / per_s, abs=0.1)
            await asyncio.sleep(drawn.retry_in_s + 0.02)
            assert (await buckets.draw(caller, 1)).given
            await buckets.close()

    asyncio.run(run())


def test_a_redis_that_hangs_or_is_gone_is_an_error_in_time() -> None:
    executable = redis_executable()
    if executable is None:
        pytest.skip("no redis-server")
    server = RedisServer(executable)

    async def run() -> None:
        buckets = _buckets(server.url, timeout_s=0.2)
        assert (await buckets.draw("a", 1)).given
        server.pause()
        with pytest.raises(StoreError):
            await buckets.draw("a", 1)
        server.go_on()
        assert (await buckets.draw("a", 1)).given
        server.kill()
        with pytest.raises(StoreError):
            await buckets.draw("a", 1)
        await buckets.close()

    asyncio.run(run())


@pytest.mark.parametrize("rubbish", ["inf", "nan", "-inf", "1e308", "garbage", ""])
def test_rubbish_in_a_bucket_is_an_error_and_no_refusal(redis_url: str, rubbish: str) -> None:
    async def run() -> None:
        buckets = _buckets(redis_url)
        with redis.Redis.from_url(redis_url) as client:
            client.set("decide:1:limit:v1:gcra:a", rubbish)
        try:
            drawn = await buckets.draw("a", 1)
        except StoreError:
            drawn = None
        assert drawn is None or (drawn.retry_in_s >= 0.0 and drawn.full_in_s >= 0.0)
        await buckets.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "row", [("zz", "text"), (b"\xff\xfe", b"x"), (1, 2), ("a" * 100_000, b"")], ids=["text", "id", "numbers", "long"]
)
def test_a_row_that_is_no_key_hides_no_other(tmp_path: Path, row: tuple[object, object]) -> None:
    keys = FakeKeys()
    key = keys.make("decide")

    async def run() -> None:
        store = EmbeddedStore(tmp_path / "store.sqlite3")
        await store.put_key(key_id(key), keys.records[key_id(key)])
        connection = sqlite3.connect(tmp_path / "store.sqlite3")
        with connection:
            connection.execute("INSERT INTO keys (id, record) VALUES (?, ?)", row)
        connection.close()
        stored = await store.keys()
        assert [name for name, raw in stored.items() if decode_key(SECRET.encode(), name, raw) is not None] == [key_id(key)]
        assert len(stored) == 2
        await store.close()

    asyncio.run(run())


def test_a_buckets_entry_on_redis_goes_when_the_bucket_is_full(redis_url: str) -> None:
    """So callers who come once leave nothing behind."""

    async def run() -> None:
        buckets = _buckets(redis_url, per_s=10.0)
        await buckets.draw("a", 5)
        await buckets.close()
        store = open_store(redis_url=redis_url, store_path=Path(), key_prefix="d", read_timeout_s=5)
        assert isinstance(store, RedisStore)
        names = await store._client.keys("*limit*")
        assert names == [b"decide:1:limit:v1:gcra:a"]
        assert 0 < await store._client.ttl(names[0]) <= 1
        await store.close()

    asyncio.run(run())
