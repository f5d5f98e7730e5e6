"""The account of changes for those who are not the feed: on both kinds of store, and taking nothing from the feed."""

import asyncio
from pathlib import Path

import pytest

from app.store.opening import open_store
from app.store.protocol import Store
from app.store.sqlite import EmbeddedStore
from tests.kit.emptying import remove_file
from tests.kit.records import row, run_info


async def _opened(url: str, path: Path) -> Store:
    store = open_store(redis_url=url, store_path=path, key_prefix="decide:1", read_timeout_s=5)
    await store.publish_run([row("A")], run_info("r0"))
    return store


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_the_account_is_that_of_the_feed(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = request.getfixturevalue("redis_url") if kind == "redis" else ""

    async def work() -> None:
        store = await _opened(url, tmp_path / "store.sqlite3")
        start = await store.feed_position()
        await store.publish_run([row("B"), row("C")], run_info("r1"))
        found = await store.changes_since(start)
        assert (found.symbols, found.lost) == (("B", "C"), False)
        nothing = await store.changes_since(found.last_id)
        assert (nothing.symbols, nothing.lost, nothing.last_id) == ((), False, found.last_id)
        for foreign in ("99999", "99999999999999-0", "x", "", "-1", "+1", "٣", "1 ", "1" * 40, "1-1-1", "5\n"):
            assert (await store.changes_since(foreign)).lost, foreign
        assert (await store.changes(start, 1)).symbols == ("B", "C")
        await store.close()

    asyncio.run(work())


def test_that_a_file_was_replaced_stays_for_the_feed_to_find_out(tmp_path: Path) -> None:
    """Whoever else looks is told that entries are gone, and the feed is told too when it looks."""

    async def work() -> None:
        path = tmp_path / "store.sqlite3"
        store = await _opened("", path)
        position = await store.feed_position()
        remove_file(path)
        other = EmbeddedStore(path)
        await other.publish_run([row("X")], run_info("r1"))
        await other.publish_run([row("Y")], run_info("r2"))
        await other.close()
        assert (await store.changes_since(position)).lost
        assert (await store.changes_since("2")).lost
        assert (await store.changes(position, 0.0)).lost
        assert not (await store.changes_since("2")).lost
        await store.close()

    asyncio.run(work())
