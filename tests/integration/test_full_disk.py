"""A key is revoked on a disk without any room, and on a Redis without any memory."""

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import redis

from app.errors import StoreError
from app.store.opening import open_store
from app.store.sqlite import EmbeddedStore
from tests.kit.records import row, run_info


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("MOUNT: only root may make a small disk; run the tests as root where mounts are allowed")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(folder: Path) -> None:
    """To the last byte."""
    with suppress(OSError), (folder / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    with suppress(OSError), (folder / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(b"x")


@pytest.mark.parametrize("served", [False, True], ids=["alone", "beside a server"])
def test_a_key_is_revoked_on_a_full_disk(small_disk: Path, served: bool) -> None:  # noqa: FBT001 - a parameter of the test
    path = small_disk / "store.sqlite3"

    async def work() -> None:
        server, first = EmbeddedStore(path), EmbeddedStore(path)
        if served:
            await server.publish_run([row("A")], run_info())
            await server.get_many(["A"])
        await first.put_key("a", b"1")
        await first.put_key("b", b"2")
        await first.close()
        _fill(small_disk)
        command = EmbeddedStore(path)
        with pytest.raises(StoreError):
            await command.put_key("c", b"3" * 100_000)
        assert await command.remove_key("a")
        assert await command.keys() == {"b": b"2"}
        await command.close()
        if served:
            assert await server.keys() == {"b": b"2"}
        await server.close()
        (small_disk / "filler").unlink()
        again = EmbeddedStore(path)
        assert await again.keys() == {"b": b"2"}
        await again.close()
        # With room there is a reserve again.
        assert path.with_name("store.sqlite3-reserve").stat().st_size > 0

    asyncio.run(work())


@pytest.mark.parametrize("served", [False, True], ids=["alone", "beside a server"])
def test_keys_are_revoked_one_after_the_other_on_a_disk_that_is_full_again_each_time(small_disk: Path, served: bool) -> None:  # noqa: FBT001 - as above
    """Somebody else takes all the room that the last revocation left, and the server's readings of its keys keep none from it."""
    path = small_disk / "store.sqlite3"

    async def work() -> None:
        server = EmbeddedStore(path)
        for number in range(10):
            await server.put_key(f"k{number}", b"1")
        if not served:
            await server.close()
        for number in range(10):
            _fill(small_disk)
            if served:
                assert len(await server.keys()) == 10 - number
            command = EmbeddedStore(path)
            assert await command.remove_key(f"k{number}")
            await command.close()
        if served:
            await server.close()
        (small_disk / "filler").unlink()
        again = EmbeddedStore(path)
        assert await again.keys() == {}
        await again.close()

    asyncio.run(work())


def test_an_error_that_no_room_mends_leaves_the_reserve(tmp_path: Path) -> None:
    """Somebody holds the lock: that is said, and the reserve is there when it is needed."""
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        store = EmbeddedStore(path, busy_s=0.0)
        await store.put_key("a", b"1")
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            size = path.with_name("store.sqlite3-reserve").stat().st_size
            with pytest.raises(StoreError, match="locked"):
                await store.remove_key("a")
            assert path.with_name("store.sqlite3-reserve").stat().st_size == size
        assert await store.remove_key("a")
        await store.close()

    asyncio.run(work())


def test_a_key_is_revoked_on_a_redis_that_has_no_memory_left(redis_url: str) -> None:
    """It refuses what needs memory, and this does not."""

    async def work() -> None:
        store = open_store(redis_url=redis_url, store_path=Path(), key_prefix="decide:1", read_timeout_s=5)
        await store.put_key("a", b"1")
        with redis.Redis.from_url(redis_url) as client:
            client.config_set("maxmemory", "1")
            try:
                with pytest.raises(StoreError):
                    await store.put_key("b", b"2")
                assert await store.remove_key("a")
            finally:
                client.config_set("maxmemory", "0")
        await store.close()

    asyncio.run(work())
