"""Backups of the embedded store: of one moment, checked, and put back in one transaction."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from app.domain.trades import Trade, trade_key
from app.errors import MarketError, MigrationRefused
from app.market.protocol import Batch, CandlesWanted
from app.market.sqlite import EmbeddedWriter
from app.market.sqlite_backup import Newer, back_up, restore
from app.market.sqlite_reader import EmbeddedReader

_AT_US = 1_700_000_000_000_000


def _batch(first: int, count: int = 100) -> Batch:
    return Batch(
        trades=[
            Trade("v", "A", trade_key(str(number)), _AT_US + number * 1_000_000, Decimal(number + 1), Decimal(1), str(number))
            for number in range(first, first + count)
        ]
    )


def _store(path: Path, *firsts: int, clock_us: int = _AT_US) -> EmbeddedWriter:
    writer = EmbeddedWriter(path, clock_us=lambda: clock_us)
    for first in firsts:
        writer.apply(_batch(first))
    return writer


def _count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM trades").fetchone()[0])


def test_a_backup_is_one_file_with_all_that_there_is_for_its_owner_alone(tmp_path: Path) -> None:
    path, backup = tmp_path / "market.sqlite3", tmp_path / "backups" / "one.sqlite3"
    backup.parent.mkdir()
    writer = _store(path, 0, 100)
    size = back_up(path, backup)
    writer.close()
    assert [each.name for each in backup.parent.iterdir()] == ["one.sqlite3"]
    assert (backup.stat().st_size, backup.stat().st_mode & 0o077) == (size, 0)
    assert _count(backup) == 200
    restore(backup, tmp_path / "new" / "market.sqlite3")
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(tmp_path / "new" / "market.sqlite3")) as other:
        assert list(one.iterdump()) == list(other.iterdump())


def test_a_backup_of_a_store_that_is_written_has_whole_transactions(tmp_path: Path) -> None:
    """And it comes to an end, though somebody writes all the time."""
    path, backup = tmp_path / "market.sqlite3", tmp_path / "one.sqlite3"
    _store(path, *range(0, 3000, 100)).close()
    done, wrote = threading.Event(), []

    def write() -> None:
        writer = EmbeddedWriter(path)
        first = 3000
        while not done.is_set():
            writer.apply(_batch(first))
            wrote.append(first)
            first += 100
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        counts = []
        for _ in range(3):
            back_up(path, backup)
            counts.append(_count(backup))
    finally:
        done.set()
        thread.join()
    assert all(count % 100 == 0 and count >= 3000 for count in counts)
    assert counts == sorted(counts)
    assert _count(path) == 3000 + 100 * len(wrote)


def test_whoever_has_the_store_open_goes_on_with_what_was_put_back(tmp_path: Path) -> None:
    path, backup = tmp_path / "market.sqlite3", tmp_path / "one.sqlite3"
    writer = _store(path, 0)
    back_up(path, backup)
    writer.apply(_batch(100))
    assert _count(path) == 200
    restore(backup, path)
    assert _count(path) == 100
    assert writer.apply(_batch(100)).inserted == 100
    assert writer.apply(_batch(100)).duplicate == 100
    writer.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_reader_sees_what_was_put_back(tmp_path: Path) -> None:
    path, backup = tmp_path / "market.sqlite3", tmp_path / "one.sqlite3"
    writer = _store(path, 0)
    back_up(path, backup)
    writer.apply(_batch(6000))
    writer.close()

    async def read() -> tuple[int, int]:
        reader = EmbeddedReader(path, deadline_s=60.0)
        wanted = CandlesWanted("A", "1m", 1000)
        before = len((await reader.candles(wanted)).bars)
        restore(backup, path)
        after = len((await reader.candles(wanted)).bars)
        await reader.close()
        return before, after

    before, after = asyncio.run(read())
    assert before > after > 0


def test_what_is_newer_is_not_replaced_unless_forced(tmp_path: Path) -> None:
    path, backup = tmp_path / "market.sqlite3", tmp_path / "one.sqlite3"
    writer = _store(path, 0)
    back_up(path, backup)
    writer.close()
    writer = _store(path, 100, clock_us=_AT_US + 1)
    writer.close()
    with pytest.raises(Newer) as refused:
        restore(backup, path)
    assert (refused.value.there_us, refused.value.new_us) == (_AT_US + 1, _AT_US)
    assert _count(path) == 200
    back_up(path, tmp_path / "two.sqlite3")
    restore(backup, path, force=True)
    assert _count(path) == 100
    with pytest.raises(Newer):
        back_up(path, tmp_path / "two.sqlite3")
    assert _count(tmp_path / "two.sqlite3") == 200
    back_up(path, tmp_path / "two.sqlite3", force=True)
    assert _count(tmp_path / "two.sqlite3") == 100


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 5000] = b"\xff" * 5000
    path.write_bytes(content)


def test_a_damaged_backup_is_not_put_back_and_a_damaged_store_replaces_none(tmp_path: Path) -> None:
    path, backup = tmp_path / "market.sqlite3", tmp_path / "one.sqlite3"
    _store(path, *range(0, 1000, 100)).close()
    back_up(path, backup)
    good = backup.read_bytes()
    _damage(path)
    with pytest.raises(MarketError):
        back_up(path, backup)
    assert backup.read_bytes() == good
    assert not [each for each in tmp_path.iterdir() if "part" in each.name]
    _damage(backup)
    fresh = tmp_path / "fresh.sqlite3"
    with pytest.raises(MarketError):
        restore(backup, fresh)
    assert not fresh.exists()


def test_what_is_no_backup_of_ours_is_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "market.sqlite3", tmp_path / "other.sqlite3"
    _store(path, 0).close()
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE x (y)")
    with pytest.raises(MigrationRefused, match="is no market store"):
        restore(other, path)
    back_up(path, tmp_path / "one.sqlite3")
    with closing(sqlite3.connect(tmp_path / "one.sqlite3")) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES (9999, '9999_later.sql', 'x', 0)")
    with pytest.raises(MigrationRefused, match="which this version of Decide does not know"):
        restore(tmp_path / "one.sqlite3", path)
    for missing in (lambda: restore(tmp_path / "none", path), lambda: back_up(tmp_path / "none", other)):
        with pytest.raises(MarketError, match="there is no"):
            missing()
    assert _count(path) == 100


def test_a_store_that_somebody_writes_without_end_is_not_waited_for_without_end(tmp_path: Path) -> None:
    path, backup = tmp_path / "market.sqlite3", tmp_path / "one.sqlite3"
    _store(path, 0).close()
    back_up(path, backup)
    times = iter(range(0, 10_000, 50))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(MarketError, match="others write"):
            restore(backup, path, busy_s=0.05, clock=lambda: next(times))
    assert _count(path) == 100
