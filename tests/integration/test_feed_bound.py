"""The change feed stays bounded, and whoever is left behind by its trimming is told so."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import redis

from app.cache.opening import open_store
from app.cache.store import Store
from tests.records import row, run_info

_KEPT = 10_000
_SLACK = 200
"""Redis trims whole nodes of its stream, 100 entries each, so a little more may stand."""


def _crowd(url: str, path: Path, entries: int) -> None:
    """Entries as a publication writes them, without the records."""
    if url:
        with redis.Redis.from_url(url) as client, client.pipeline(transaction=False) as pipeline:
            for number in range(entries):
                pipeline.xadd("decide:1:changes", {"run": "r", "symbols": f"S{number}"})
            pipeline.execute()
        return
    connection = sqlite3.connect(path)
    with connection:
        lines = ((f"S{number}",) for number in range(entries))
        connection.executemany("INSERT INTO changes (run, symbols) VALUES ('r', ?)", lines)
    connection.close()


def _entries(url: str, path: Path) -> int:
    if url:
        with redis.Redis.from_url(url) as client:
            return int(client.xlen("decide:1:changes"))
    connection = sqlite3.connect(path)
    count = connection.execute("SELECT count(*) FROM changes").fetchone()[0]
    connection.close()
    return int(count)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_old_entries_go_and_readers_behind_them_are_told(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """About 10,000 entries stay; a reader that stands at one of them goes on, one that stood before them has lost some."""
    url = request.getfixturevalue("redis_url") if kind == "redis" else ""
    path = tmp_path / "store.sqlite3"

    async def work(store: Store) -> None:
        await store.publish([row("FIRST")], run_info("r1"))
        behind = await store.feed_position()
        _crowd(url, path, _KEPT + 500)
        near = await store.feed_position()
        await store.publish([row("LAST")], run_info("r2"))
        assert _KEPT <= _entries(url, path) <= _KEPT + _SLACK
        found = await store.changes(near, 0.0)
        assert (found.symbols, found.lost) == (("LAST",), False)
        assert (await store.changes(behind, 0.0)).lost

    asyncio.run(_opened(url, path, work))


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_read_that_may_not_have_reached_the_end_says_so(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Of 150 entries a hundred come with the first read."""
    url = request.getfixturevalue("redis_url") if kind == "redis" else ""
    path = tmp_path / "store.sqlite3"

    async def work(store: Store) -> None:
        await store.publish([row("FIRST")], run_info("r1"))
        position = await store.feed_position()
        _crowd(url, path, 150)
        first = await store.changes(position, 0.0)
        assert (len(first.symbols), first.more) == (100, True)
        rest = await store.changes(first.last_id, 0.0)
        assert (len(rest.symbols), rest.symbols[-1], rest.more) == (50, "S149", False)

    asyncio.run(_opened(url, path, work))


async def _opened(url: str, path: Path, work: Callable[[Store], Awaitable[None]]) -> None:
    store = open_store(redis_url=url, store_path=path, key_prefix="decide:1")
    try:
        await work(store)
    finally:
        await store.close()
