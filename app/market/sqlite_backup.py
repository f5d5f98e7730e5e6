"""Backups of the embedded market store: a file of their own, made and put back while servers and jobs go on.

SQLite copies page by page what one moment has. A backup takes its name once it was checked; one is put back in a transaction of
the store, so whoever has it open sees the old data or the new, and after a kill the old.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from app.errors import MarketError, MigrationRefused
from app.market.migrating import Done, migrations, pending
from app.private import make_private
from app.wal import begin_wal

_PAGES = 4_000
"""Copied at a time: 16 MB."""
_BUSY_S = 60.0
_PAUSE_S = 0.05
_NEWEST = "SELECT coalesce(max(updated_at_us), 0) FROM candles"


class Newer(Exception):
    """What would be replaced has changes that are newer than all of what would replace it: both in epoch microseconds."""

    def __init__(self, there_us: int, new_us: int) -> None:
        super().__init__(there_us, new_us)
        self.there_us, self.new_us = there_us, new_us


def back_up(path: Path, target: Path, *, force: bool = False) -> int:
    """Copy the store at ``path`` to ``target``, which is replaced once the copy was checked; its size in bytes.

    Raises:
        Newer: the file at ``target`` is a newer backup, and not to be replaced (``force``).
        MarketError: it could not be copied, or the copy is damaged.
    """
    if not path.is_file():
        raise MarketError("market_error", f"there is no market store at {path}")
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        make_private(part)
        try:
            with closing(_opened(path)) as store, closing(_opened(part)) as copy:
                # A transaction keeps one moment, so what is written meanwhile begins nothing anew.
                store.execute("BEGIN")
                new_us = _newest_us(store)
                if not force and target.is_file():
                    _refuse_newer(target, new_us)
                store.backup(copy, pages=_PAGES)
                store.execute("ROLLBACK")
                copy.execute("PRAGMA journal_mode = DELETE")
                _check(copy, part)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            size = part.stat().st_size
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except (sqlite3.Error, OSError) as error:
        raise MarketError("market_error", f"{path} to {target}: {error}") from error
    return size


def restore(
    backup: Path, path: Path, *, force: bool = False, busy_s: float = _BUSY_S, clock: Callable[[], float] = time.monotonic
) -> None:
    """Put ``backup``, once it was checked, in the place of what the store at ``path`` has. ``busy_s`` is how long it waits for
    whoever writes there.

    Raises:
        Newer: the store is newer, and not to be replaced (``force``).
        MigrationRefused: a later version of Decide wrote the backup, or it is none.
        MarketError: it could not be put back, or is damaged.
    """
    if not backup.is_file():
        raise MarketError("market_error", f"there is no backup at {backup}")
    try:
        with closing(_opened(backup, writes=False)) as copy:
            _check(copy, backup)
            new_us = _newest_us(copy)
            make_private(path)
            with closing(_opened(path, busy_s=busy_s)) as store:
                begin_wal(store, busy_s)
                if not force and _has_candles(store) and (there_us := _newest_us(store)) > new_us:
                    raise Newer(there_us, new_us)
                deadline = clock() + busy_s

                def look(_status: int, remaining: int, total: int) -> None:
                    if remaining == total == 0 and clock() > deadline:
                        raise MarketError("market_busy", f"SQLite at {path}: others write, for longer than {busy_s:g} s")

                copy.backup(store, pages=-1, progress=look, sleep=_PAUSE_S)
    except (sqlite3.Error, OSError) as error:
        raise MarketError("market_error", f"{backup} to {path}: {error}") from error


def _opened(path: Path, *, writes: bool = True, busy_s: float = _BUSY_S) -> sqlite3.Connection:
    if writes:
        return sqlite3.connect(path, timeout=busy_s, isolation_level=None)
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """That it is a whole market store, which this version of Decide knows."""
    damage = [row for (row,) in connection.execute("PRAGMA integrity_check(3)").fetchall() if row != "ok"]
    if damage:
        raise MarketError("market_error", f"{path} is damaged: {'; '.join(damage)}")
    if not _has_candles(connection):
        raise MigrationRefused(f"{path} is no market store")
    done = [Done(*row) for row in connection.execute("SELECT number, name, sha256 FROM migrations")]
    pending(migrations("sqlite"), done, str(path))


def _has_candles(connection: sqlite3.Connection) -> bool:
    (count,) = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name IN ('candles', 'migrations')").fetchone()
    return bool(count == 2)  # noqa: PLR2004


def _newest_us(connection: sqlite3.Connection) -> int:
    """When its newest change was written."""
    return int(connection.execute(_NEWEST).fetchone()[0])


def _refuse_newer(target: Path, new_us: int) -> None:
    with closing(_opened(target, writes=False)) as there:
        if _has_candles(there) and (there_us := _newest_us(there)) > new_us:
            raise Newer(there_us, new_us)
