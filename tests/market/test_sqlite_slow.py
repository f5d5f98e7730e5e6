"""Reads of a SQLite file that is well, and whose threads are taken or that others hold."""

import asyncio
import math
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import MarketError
from app.market.protocol import Batch
from app.market.reading import Read
from app.market.sqlite import EmbeddedWriter
from app.market.sqlite_reader import EmbeddedReader
from tests.market.giving import trade


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store will be."""
    return tmp_path / "market.sqlite3"


def test_a_ping_is_answered_while_reads_wait_for_their_threads(path: Path) -> None:
    """A store whose reads are slow is there, and /health says so."""
    held = threading.Event()

    def waited(_: float) -> None:
        if "ping" not in threading.current_thread().name:
            assert held.wait(60)

    reader = EmbeddedReader(path, deadline_s=60.0, threads=1, waiting_max=1, waited=waited)

    async def check() -> None:
        reads = [asyncio.create_task(reader.names(10, "", ())) for _ in range(2)]
        await asyncio.sleep(0)
        await reader.ping()
        assert (reader.pool.in_use, reader.pool.waiting) == (1, 1)
        held.set()
        assert await asyncio.gather(*reads) == [([], 0)] * 2
        await reader.close()

    asyncio.run(check())


def test_a_read_that_others_keep_from_the_file_is_busy(path: Path) -> None:
    """As while a backup is put back; the file is well."""
    with closing(EmbeddedWriter(path)) as writer:
        writer.apply(Batch(trades=[trade(1)]))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE marks SET value = value")
        other.execute("COMMIT")
        reader = EmbeddedReader(path, deadline_s=0.05)
        # In this thread: no caller leaves it.
        with pytest.raises(MarketError) as caught:
            reader._worked(lambda connection: connection.execute("SELECT * FROM marks"), Read(math.inf, is_ping=False))
        assert caught.value.reason == "market_busy"
        asyncio.run(reader.close())
