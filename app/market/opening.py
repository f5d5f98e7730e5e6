"""Which market store the settings ask for: PostgreSQL where there is a ``url``, SQLite at ``path`` otherwise. Each is opened at
its first use, not here.

``read_url`` is that of a replica which servers read (empty: they read ``url``), ``password`` that of both where their URLs have
none. ``migrates``: at its first use.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from app.errors import MarketError, SettingsError
from app.market import sqlite_contents
from app.market.contents import Contents
from app.market.following import StreamWriter
from app.market.protocol import Reader
from app.market.sqlite import EmbeddedWriter
from app.market.sqlite_opening import migrate_file
from app.market.sqlite_reader import EmbeddedReader

# ruff: noqa: ARG001 - one place for all three


def open_writer(*, url: str, path: Path, migrates: bool = True, read_url: str = "", password: str = "") -> StreamWriter:
    """For a job.

    Raises:
        SettingsError: of ``url``, or its driver is not installed; so do the others.
    """
    if url:
        with _needed():
            from app.market.postgres import PostgresWriter  # noqa: PLC0415 - its driver is an extra
        return PostgresWriter(url, password=password, migrates=migrates)
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
    waited: Callable[[float], None] = lambda _: None,
) -> Reader:
    """For a server. ``sources``: of given bars, the best first. ``waited`` is told how many seconds a read waited for its
    connection; in any thread.
    """
    if url:
        with _needed():
            from app.market.postgres_reader import PostgresReader  # noqa: PLC0415 - as above
        return PostgresReader(
            read_url or url,
            password=password,
            sources=sources,
            deadline_s=deadline_s,
            # A replica is migrated with what it is one of.
            migrates=migrates and not read_url,
            waited=waited,
        )
    return EmbeddedReader(path, sources=sources, deadline_s=deadline_s, migrates=migrates, waited=waited)


def migrate(*, url: str, path: Path, migrates: bool = True, read_url: str = "", password: str = "") -> list[str]:
    """Make or migrate the store, as `decide migrate` does; the names of the migrations that were applied.

    Raises:
        MigrationRefused: it was migrated otherwise.
        MarketError: it cannot be reached, or is no such store.
    """
    if url:
        with _needed():
            from app.market.postgres_opening import migrate_database  # noqa: PLC0415 - as above
        return migrate_database(url, password)
    try:
        return migrate_file(path)
    except (sqlite3.Error, OSError) as error:
        raise MarketError("market_error", f"SQLite at {path}: {error}") from error


@contextmanager
def open_contents(*, url: str, path: Path, migrates: bool = True, read_url: str = "", password: str = "") -> Iterator[Contents]:
    """All that the store holds now, for whoever checks it: the replica if there is one.

    Raises:
        MarketError: there is no store, or it cannot be read.
    """
    if url:
        with _needed():
            from app.market import postgres_contents  # noqa: PLC0415 - as above
        with postgres_contents.contents_of(read_url or url, password) as contents:
            yield contents
        return
    with sqlite_contents.contents_of(path) as contents:
        yield contents


@contextmanager
def _needed() -> Iterator[None]:
    """What PostgreSQL needs is imported."""
    try:
        yield
    except ImportError as error:
        what = f"DATABASE_URL is set and PostgreSQL's driver is not installed ({error})"
        raise SettingsError([f"{what}; allowed: empty, or set with requirements-postgres.lock installed"]) from error
