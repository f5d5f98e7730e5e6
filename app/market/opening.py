"""Which market store the settings ask for: PostgreSQL where there is a ``url``, SQLite at ``path`` otherwise. Each is opened at
its first use, not here.

``read_url`` is that of a replica which servers read (empty: they read ``url``), ``password`` that of both where their URLs have
none. ``migrates``: at its first use.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from app.errors import MarketError
from app.market.protocol import Reader, Writer
from app.market.sqlite import EmbeddedWriter
from app.market.sqlite_opening import migrate_file
from app.market.sqlite_reader import EmbeddedReader

# ruff: noqa: ARG001 - one place for all three


def open_writer(*, url: str, path: Path, migrates: bool = True, read_url: str = "", password: str = "") -> Writer:
    """For a job."""
    if url:
        raise NotImplementedError
    return EmbeddedWriter(path, migrates=migrates)


def open_reader(
    *,
    url: str,
    path: Path,
    migrates: bool = True,
    read_url: str = "",
    password: str = "",
    sources: Sequence[str] = (),
    deadline_s: float = 2.0,
) -> Reader:
    """For a server. ``sources``: of given bars, the best first."""
    if url:
        raise NotImplementedError
    return EmbeddedReader(path, sources=sources, deadline_s=deadline_s, migrates=migrates)


def migrate(*, url: str, path: Path, migrates: bool = True, read_url: str = "", password: str = "") -> list[str]:
    """Make or migrate the store, as `decide migrate` does; the names of the migrations that were applied.

    Raises:
        MigrationRefused: it was migrated otherwise.
        MarketError: it cannot be reached, or is no such store.
    """
    if url:
        raise NotImplementedError
    try:
        return migrate_file(path)
    except (sqlite3.Error, OSError) as error:
        raise MarketError("market_error", f"SQLite at {path}: {error}") from error
