"""The embedded market store's file: opened, and migrated. So are files of others, by migrations of their own."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from app.errors import MigrationRefused
from app.market.migrating import Done, Migration, migrations, now_us, pending
from app.private import make_private
from app.wal import begin_wal

_STATEMENTS = 256
"""Prepared ones that a connection keeps."""
_DONE = "SELECT number, name, sha256 FROM migrations"
_TABLE = """
CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, applied_at_us INTEGER NOT NULL
) STRICT
"""


def file_at(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file that ``path`` names now; None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - at every transaction, so as cheap as can be
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def connect(path: Path, busy_s: float, *, migrates: bool = True, folder: Path | str = "sqlite") -> sqlite3.Connection:
    """A connection whose transactions are begun by hand. The file and its folder are made, for their owner alone, if they are
    not there; ``busy_s`` is how long it waits for others' locks. ``folder`` has the migrations (`app.market.migrating`).

    Raises:
        MigrationRefused: it was migrated otherwise, or must be and ``migrates`` is false.
        sqlite3.Error: it is no database, or cannot be read.
        OSError: there can be no such file.
    """
    make_private(path)
    connection = sqlite3.connect(
        path, timeout=busy_s, isolation_level=None, cached_statements=_STATEMENTS, check_same_thread=False
    )
    try:
        begin_wal(connection, busy_s)
        ours = migrations(folder)
        if migrates:
            migrate(connection, ours, str(path))
        elif left := pending(ours, _done(connection), str(path)):
            raise MigrationRefused(f"{path}: {left[0].name} is not applied to it yet, and may not be here. Migrate it first")
    except BaseException:
        connection.close()
        raise
    return connection


def empty() -> sqlite3.Connection:
    """A connection to a store without anything, which is nowhere."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(connection, migrations("sqlite"), "memory")
    return connection


def migrate_file(path: Path, busy_s: float = 60.0) -> list[str]:
    """Make or migrate the file; the names of the migrations that were applied. Raises as `connect` does."""
    make_private(path)
    with closing(sqlite3.connect(path, timeout=busy_s, isolation_level=None)) as connection:
        begin_wal(connection, busy_s)
        return migrate(connection, migrations("sqlite"), str(path))


def migrate(
    connection: sqlite3.Connection, ours: Sequence[Migration], place: str, clock_us: Callable[[], int] = now_us
) -> list[str]:
    """Apply those of ``ours`` that are not yet, each in a transaction of its own; their names.

    Who comes second waits, and finds them applied.

    Raises:
        MigrationRefused: the database was migrated otherwise.
    """
    names = []
    while pending(ours, _done(connection), place):
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            connection.execute(_TABLE)
            left = pending(ours, _done(connection), place)
            if not left:
                break
            for statement in statements(left[0].sql):
                connection.execute(statement)
            row = (left[0].number, left[0].name, left[0].sha256, clock_us())
            connection.execute("INSERT INTO migrations VALUES (?, ?, ?, ?)", row)
        names.append(left[0].name)
    return names


def statements(sql: str) -> list[str]:
    """Those of ``sql``, whose last lines end with a semicolon: `sqlite3` executes one at a time in a transaction."""
    found, lines = [], list[str]()
    for line in sql.splitlines():
        lines.append(line)
        text = "\n".join(lines)
        if sqlite3.complete_statement(text):
            found.append(text)
            lines = []
    if "".join(lines).strip():
        found.append("\n".join(lines))
    return found


def _done(connection: sqlite3.Connection) -> list[Done]:
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").fetchone() is None:
        return []
    return [Done(*row) for row in connection.execute(_DONE)]
