"""A server goes on hearing of what other processes write to its SQLite store, whatever it has open itself."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from app.store.sqlite import EmbeddedStore

_PUBLISH = """
import asyncio, sys
from pathlib import Path
from app.store.sqlite import EmbeddedStore
from tests.kit.records import row, run_info

async def work():
    store = EmbeddedStore(Path(sys.argv[1]))
    await store.publish_run([row("A")], run_info(sys.argv[2]))
    await store.remove_key("a")
    await store.close()

asyncio.run(work())
"""


def _publish(path: Path, run: str) -> None:
    subprocess.run([sys.executable, "-c", _PUBLISH, str(path), run], check=True, timeout=60)


def test_a_second_connection_does_not_deafen_the_first(tmp_path: Path) -> None:
    """A listing opens a second connection of the process. What other processes write is seen nevertheless."""
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        _publish(path, "r0")
        server = EmbeddedStore(path)
        position = await server.feed_position()
        await server.put_key("a", b"1")
        assert await server.symbols() == ["A"]
        for number in range(1, 4):
            _publish(path, f"r{number}")
            changes = await server.changes(position, 0.0)
            position = changes.last_id
            info = await server.run_info()
            assert info is not None
            assert (info.run, changes.symbols) == (f"r{number}", ("A",))
        assert await server.keys() == {}
        await server.close()

    asyncio.run(work())


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_a_publication_of_another_process_ends_the_wait_of_a_reader_who_does_not_look(tmp_path: Path) -> None:
    """Who has to be woken is woken by the writer."""
    path = tmp_path / "store.sqlite3"

    async def work() -> None:
        _publish(path, "r0")
        server = EmbeddedStore(path, poll_s=3600.0)
        position = await server.feed_position()
        for number in range(1, 4):
            waiting = asyncio.ensure_future(server.changes(position, 3600.0))
            async with asyncio.timeout(120.0):
                await asyncio.to_thread(_publish, path, f"r{number}")
                changes = await waiting
            position = changes.last_id
            assert changes.symbols == ("A",)
        await server.close()

    asyncio.run(work())
