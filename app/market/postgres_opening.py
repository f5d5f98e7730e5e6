"""The market store's PostgreSQL: where it is, connected to, and migrated. Of Decide only what runs on PostgreSQL imports this."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from psycopg import conninfo, sql
from psycopg.abc import PQGen
from psycopg.types.string import TextLoader

from app.errors import MarketError, MigrationRefused, SettingsError
from app.market.migrating import Done, Migration, migrations, now_us, pending

CONNECT_S = 10.0
"""How long a job waits for a connection."""
STATEMENT_S = 300.0
"""How long one of its statements may take; a transaction may be of many."""
MIGRATING = 0x646563696465
"""Of PostgreSQL's advisory locks: who holds it migrates."""
_DONE = "SELECT number, name, sha256 FROM migrations"
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"
_TABLE = """
CREATE TABLE IF NOT EXISTS migrations (
    number integer NOT NULL PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, applied_at_us bigint NOT NULL
)
"""
_PARTS: dict[str, Any] = {
    # A network that swallows what is sent is noticed within half a minute, though nothing ends the connection.
    "keepalives_idle": "15", "keepalives_interval": "5", "keepalives_count": "3", "tcp_user_timeout": "30000",
    "application_name": "decide",
}  # fmt: skip


CANCEL_S = 1.0
"""How long a statement that is cancelled may take to say so. A server that does not is away."""


class Link(psycopg.Connection[tuple[Any, ...]]):
    """One on which a statement is cancelled at ``deadline`` (monotonic seconds), or once it has taken ``statement_s``: from a
    server that is well comes QueryCanceled, or the answer if that was there first. From one that hangs comes another
    OperationalError, `CANCEL_S` later.
    """

    deadline = statement_s = math.inf

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ANN401 - as its base
        """As its base, but no longer."""
        began = time.monotonic()
        end = min(self.deadline, began + self.statement_s)
        if end < math.inf:
            timeout = max(0.0, end - began if timeout is None else min(end - began, timeout))
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError as error:
            if error.sqlstate or self.closed or time.monotonic() < end:
                raise
        self.cancel_safe(timeout=CANCEL_S)
        return super().wait(gen, interval, CANCEL_S)


class PostgresConnection:
    """An `app.market.connection.Connection`: a transaction begins with its first statement. ``link`` is the driver's own."""

    def __init__(self, link: Link) -> None:
        self.link = link

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> "psycopg.Cursor[tuple[Any, ...]]":
        """One statement."""
        return self.link.execute(_translated(statement), parameters)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> None:
        """All at once."""
        self.link.cursor().executemany(_translated(statement), rows)


@lru_cache(512)
def _translated(statement: str) -> bytes:
    """``statement`` as the driver writes parameters, in this database's words, and without the hints that SQLite's planner is
    given.
    """
    words = statement.replace("group_concat(", "string_agg(").replace("INDEXED BY trades_by_time", "")
    return words.replace("%", "%%").replace("?", "%s").encode()


class Target(NamedTuple):
    """A database: how it is connected to, and what people are told of it, which is neither who asks nor with which password."""

    parts: Mapping[str, Any]
    place: str


_ALLOWED = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 and %2F for @ and / in it"


def target_of(url: str, password: str = "") -> Target:
    """That of ``url``, with a ``password`` if it has none.

    Raises:
        SettingsError: it is none.
    """
    try:
        parts = conninfo.conninfo_to_dict(url)
        shown = "".join(str(parts.get(name, "")).removeprefix("/") for name in ("port", "dbname"))
        folder_or_host = str(parts.get("host", ""))
        if set("@/") & set(shown if folder_or_host.startswith("/") else folder_or_host + shown):
            # Of a password whose signs are not written as they must be, a part would be shown as what is no secret.
            raise psycopg.ProgrammingError
    except psycopg.Error:
        # What the driver says of it may be a part of the password.
        raise SettingsError(
            [f"DATABASE_URL or DATABASE_READ_URL is (hidden); allowed: {_ALLOWED}"],
        ) from None
    if password:
        parts.setdefault("password", password)
    host, port, name = (parts.get(each) for each in ("host", "port", "dbname"))
    return Target(_PARTS | parts, f"PostgreSQL at {host or 'localhost'}:{port or 5432}/{name or ''}")


def connect(
    target: Target,
    *,
    migrates: bool,
    within_s: float,
    statement_s: float = STATEMENT_S,
    waits: bool = True,
    **settings: int | str,
) -> PostgresConnection:
    """A connection on which no statement takes longer than ``statement_s``, which the server sees to, and without it the client.
    ``waits``: for whoever migrates the database. ``settings`` are PostgreSQL's own, as how long it waits for others' locks (ms).

    Raises:
        MigrationRefused: the database was migrated otherwise, or must be and ``migrates`` is false.
        MarketError: another one migrates it, or its tables are in use.
        psycopg.Error: it cannot be reached.
    """
    deadline = time.monotonic() + within_s
    link = _linked(target, within_s)
    try:
        link.deadline = deadline
        # As they are stored: digits and ISO dates, as SQLite has them.
        for name in ("numeric", "date"):
            link.adapters.register_loader(name, TextLoader)
        ours = migrations("postgres")
        left = pending(ours, _done(link), target.place)
        link.rollback()
        if left and not migrates:
            raise MigrationRefused(
                f"{target.place}: {left[0].name} is not applied to it yet, and may not be here. Migrate it first"
            )
        if left:
            link.deadline = math.inf
            migrate(link, ours, target.place, waits=waits)
            link.deadline = time.monotonic() + within_s
        set_ = sql.SQL("SET {} = {}")
        # To compile a statement of some milliseconds takes longer than it does.
        all_settings = {
            "DateStyle": "ISO",
            "jit": "off",
            "statement_timeout": max(1, round(statement_s * 1000)),
            **settings,
        }
        each = [set_.format(sql.Identifier(name), sql.Literal(value)) for name, value in all_settings.items()]
        link.execute(sql.SQL("; ").join(each))
        link.commit()
        link.deadline, link.statement_s = math.inf, statement_s
    except BaseException:
        link.close()
        raise
    return PostgresConnection(link)


def migrate_database(url: str, password: str = "") -> list[str]:
    """Migrate it; the names of the migrations that were applied. Who comes second waits.

    Raises:
        MarketError: it cannot be reached, or was migrated otherwise.
    """
    target = target_of(url, password)
    try:
        link = _linked(target, CONNECT_S)
        try:
            return migrate(link, migrations("postgres"), target.place)
        finally:
            link.close()
    except psycopg.Error as error:
        raise MarketError("market_error", f"{target.place}: {error}") from error


def _linked(target: Target, within_s: float) -> Link:
    # The driver does not wait for less than two seconds.
    return Link.connect(conninfo.make_conninfo(**target.parts, connect_timeout=max(2, math.ceil(within_s))))


def migrate(
    link: Link, ours: Sequence[Migration], place: str, clock_us: Callable[[], int] = now_us, *, waits: bool = True
) -> list[str]:
    """Apply those of ``ours`` that are not yet, each in a transaction of its own; their names.

    Who comes second waits, and finds them applied.

    Raises:
        MigrationRefused: the database was migrated otherwise.
        MarketError: another one is at it and this one never ``waits``, or its tables are in use.
    """
    names = []
    while pending(ours, _done(link), place):
        link.rollback()
        with link.transaction():
            lock = "pg_advisory_xact_lock" if waits else "pg_try_advisory_xact_lock"
            if link.execute(f"SELECT {lock}(%s)", (MIGRATING,)).fetchone() == (False,):
                raise MarketError("market_busy", f"{place}: it is being migrated")
            # Who waits for a table keeps all who come behind it waiting.
            link.execute(_LOCK_TIMEOUT)
            link.execute(_TABLE)
            left = pending(ours, _done(link), place)
            if not left:
                break
            try:
                link.execute(left[0].sql.encode(), prepare=False)
            except psycopg.errors.LockNotAvailable as error:
                raise MarketError("market_busy", f"{place}: {left[0].name} waits for others' transactions: {error}") from error
            row = left[0].number, left[0].name, left[0].sha256, clock_us()
            link.execute("INSERT INTO migrations VALUES (%s, %s, %s, %s)", row)
        names.append(left[0].name)
    link.rollback()
    return names


def _done(link: Link) -> list[Done]:
    row = link.execute("SELECT to_regclass('migrations')").fetchone()
    return [] if row is None or row[0] is None else [Done(*each) for each in link.execute(_DONE)]
