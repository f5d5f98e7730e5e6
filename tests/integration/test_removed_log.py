"""Somebody removes SQLite's log, or its index, beside the file of a store that a server reads."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import StoreError
from app.store.sqlite import EmbeddedStore

# In another process, as a load is: in one process all connections to a file have one log.
_PUBLISH = """
import asyncio, sys
from pathlib import Path
from app.store.sqlite import EmbeddedStore
from tests.kit.records import row, run_info

async def work():
    store = EmbeddedStore(Path(sys.argv[1]))
    await store.publish_run([row(symbol, run=sys.argv[2]) for symbol in sys.argv[3:]], run_info(sys.argv[2]))
    await store.close()

asyncio.run(work())
"""


def _publish(path: Path, run: str, *symbols: str) -> None:
    subprocess.run([sys.executable, "-c", _PUBLISH, str(path), run, *symbols], check=True, timeout=60)


async def _run(store: EmbeddedStore) -> str:
    info = await store.run_info()
    assert info is not None
    return info.run


async def _listed(store: EmbeddedStore) -> list[str]:
    """The other thread opens the file again once the first one has, which the feed has it do at once."""
    try:
        return await store.symbols()
    except StoreError:
        await store.ping()
        return await store.symbols()


@pytest.mark.parametrize("removed", [("-wal", "-shm"), ("-wal",), ("-shm",)], ids=" ".join)
@pytest.mark.parametrize("listed", [0, 1], ids=["one connection", "two connections"])
def test_a_log_that_was_removed_is_noticed_and_what_others_write_stays(
    removed: Sequence[str], listed: int, tmp_path: Path
) -> None:
    """The feed is told of a loss, once."""
    path = tmp_path / "store.sqlite3"
    _publish(path, "r1", "A")

    async def work() -> None:
        store = EmbeddedStore(path)
        position = await store.feed_position()
        await store.put_key("a", b"1")
        assert await _run(store) == "r1"
        if listed:
            assert await store.symbols() == ["A"]
        for name in removed:
            path.with_name(path.name + name).unlink()
        if removed == ("-wal",):
            # What is written before anybody looks is lost, for whoever writes believes the index. The feed looks at once.
            await store.ping()
        for run in ("r2", "r3"):
            _publish(path, run, "A", "B")
        if listed:
            assert await _listed(store) == ["A", "B"]
        assert await _run(store) == "r3"
        assert [each.known for each in await store.get_many(["A", "B"])] == [True, True]
        changes = await store.changes(position, 0.0)
        assert (changes.lost, (await store.changes(changes.last_id, 0.0)).lost) == (True, False)
        _publish(path, "r4", "C")
        assert (await store.changes(changes.last_id, 0.0)).symbols == ("C",)
        assert await store.symbols() == ["A", "B", "C"]
        await store.close()

    asyncio.run(work())
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert b"r4" in connection.execute("SELECT info FROM run").fetchone()[0]


def test_a_copy_that_is_put_back_over_the_file_is_read_whole(tmp_path: Path) -> None:
    """The file's contents are replaced in place and the log is removed: nothing of the old log gets into the copy."""
    path, copy = tmp_path / "store.sqlite3", tmp_path / "copy"
    _publish(path, "r1", "A")
    shutil.copy(path, copy)

    async def work() -> None:
        store = EmbeddedStore(path)
        position = await store.feed_position()
        _publish(path, "r2", *(f"S{number}" for number in range(200)))
        assert len(await store.symbols()) == 201
        shutil.copyfile(copy, path)
        for name in ("-wal", "-shm"):
            path.with_name(path.name + name).unlink()
        assert (await store.changes(position, 0.0)).lost
        assert (await _run(store), await store.symbols()) == ("r1", ["A"])
        await store.close()

    asyncio.run(work())
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (1,)
