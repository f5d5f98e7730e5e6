"""The change feed stays bounded, and whoever is left behind by its trimming is told so."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
import redis

from app.store.opening import open_store
from app.store.protocol import Store, Withdrawing
from app.store.sqlite import EmbeddedStore
from tests.kit.records import row, run_info

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
        await store.publish_run([row("FIRST")], run_info("r1"))
        behind = await store.feed_position()
        _crowd(url, path, _KEPT + 500)
        near = await store.feed_position()
        await store.publish_run([row("LAST")], run_info("r2"))
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
        await store.publish_run([row("FIRST")], run_info("r1"))
        position = await store.feed_position()
        _crowd(url, path, 150)
        first = await store.changes(position, 0.0)
        assert (len(first.symbols), first.more) == (100, True)
        rest = await store.changes(first.last_id, 0.0)
        assert (len(rest.symbols), rest.symbols[-1], rest.more) == (50, "S149", False)

    asyncio.run(_opened(url, path, work))


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_read_brings_no_more_names_than_a_turn_of_the_loop_can_take(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("redis_url") if kind == "redis" else ""
    path = tmp_path / "store.sqlite3"
    symbols = tuple(f"S{number:06}" for number in range(25_000))

    async def read(store: Store, position: str) -> tuple[list[int], list[str], list[str]]:
        counts: list[int] = []
        named: list[str] = []
        withdrawn: list[str] = []
        more = True
        while more:
            found = await store.changes(position, 0.0)
            position, more = found.last_id, found.more
            counts.append(len(found.symbols))
            named += found.symbols
            withdrawn += found.withdrawn
        return counts, named, withdrawn

    async def work(store: Store) -> None:
        position = await store.feed_position()
        await store.publish_run([row(symbol) for symbol in symbols], run_info("r1"))
        assert await read(store, position) == ([20_000, 5_000], list(symbols), [])
        position = await store.feed_position()
        await cast("Withdrawing", store).withdraw(symbols=symbols[:21_000])
        counts, named, withdrawn = await read(store, position)
        assert (counts, sorted(named), withdrawn) == ([20_000, 1_000], list(symbols[:21_000]), named)
        position = await store.feed_position()
        await store.publish_run([], run_info("r2"), prune=True)
        counts, named, withdrawn = await read(store, position)
        assert (counts, sorted(named), withdrawn) == ([4_000], list(symbols[21_000:]), named)

    asyncio.run(_opened(url, path, work))


@pytest.mark.parametrize("poison", [10**18 - 1, 10**18 - 2])
def test_ids_of_changes_that_come_to_their_end_begin_anew_and_are_heard(poison: int, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        store = EmbeddedStore(path)
        await store.publish_run([row("A")], run_info("r1"))
        before = await store.feed_position()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("INSERT INTO changes (id, run, symbols) VALUES (?, 'x', 'A')", (poison,))
        there = (await store.changes(before, 0.0)).last_id
        for number in range(2, 5):
            await store.publish_run([row("A"), row("B")], run_info(f"r{number}"))
        assert [(await store.changes(position, 0.0)).lost for position in (before, there, str(poison))] == [True] * 3
        newest = await store.feed_position()
        await store.publish_run([row("B")], run_info("r5"))
        heard = await store.changes(newest, 0.0)
        assert (heard.symbols, heard.lost) == (("B",), False)
        await store.close()

    asyncio.run(work())


async def _opened(url: str, path: Path, work: Callable[[Store], Awaitable[None]]) -> None:
    store = open_store(redis_url=url, store_path=path, key_prefix="decide:1")
    try:
        await work(store)
    finally:
        await store.close()
