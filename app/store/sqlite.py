"""L2 on SQLite: one file, no server. The default where no REDIS_URL is set.

A read is of one moment, so it never sees a record of an old run and one of a new. WAL mode lets readers go on
while the warm job writes; its one transaction is either wholly there or not at all, whenever the job is killed. Reads run in
threads of the store's own, so that a slow disk delays its callers up to their budget and never the event loop: one for decisions
and the feed, one for what may take longer (listings, histories, writes), each with its connection. What
stands in the tables says `app.store.sqlite_tables`; a file of an earlier version is completed.
"""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from app.domain.records import KINDS, Kinds
from app.errors import StoreEmpty, StoreError
from app.private import give_up_reserve, keep_reserve, make_private
from app.store.bell import Bell, ring
from app.store.protocol import UNKNOWN, Changes, Published, Record, Row, RunInfo, Stored, Upserted, Withdrawn, decoded_run
from app.store.sqlite_feed import (
    Entries,
    Position,
    changes_after,
    named,
    newest_position,
    position_of,
    snapshot,
    text_of,
)
from app.store.sqlite_files import Files, files_of, left_as_it_is
from app.store.sqlite_tables import IS_SYMBOL, Tables, bounded
from app.store.sqlite_values import upsert_records
from app.store.sqlite_writes import publish_rows, take_back
from app.store.upserts import checked
from app.wal import begin_wal

T = TypeVar("T")
_logger = logging.getLogger("decide.store")

_READ_KEYS = f"SELECT coalesce(substr(CAST(id AS BLOB), 1, 128), x''), {bounded('record')} FROM keys"  # noqa: S608 - as above
_READ_SYMBOLS = f"SELECT CAST(symbol AS BLOB) FROM records WHERE {IS_SYMBOL} ORDER BY symbol"  # noqa: S608 - as above
_READ_RUN = f"SELECT {bounded('info')} FROM run"  # noqa: S608 - as above
_IS_PUBLISHED = "SELECT 1 FROM run UNION ALL SELECT 1 FROM upserts"
_READ_UPSERTS = "SELECT at_ms, newest_as_of_ms, (SELECT count(*) FROM records) FROM upserts"
_FOR_UPSERTS = ("PRAGMA cache_size = -65536", "PRAGMA wal_autocheckpoint = 8000")
"""Records of many symbols lie on many pages: all of them are kept, and written back once in many transactions (KB, pages)."""
_READ_MAX_BYTES = 67_108_864
"""No value that is longer is read: a change of two million symbols is the longest that there can be."""
_POLL_S = 0.02
_BUSY_S = 10.0
_WAITED_S = 2.0
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""What a full disk looks like: no room for a page, for the log's index, for the log itself."""


class EmbeddedStore:
    """A `Store` in a SQLite file. The file and its folder are made if they are not there."""

    kind = "sqlite"

    def __init__(
        self,
        path: Path,
        busy_s: float = _BUSY_S,
        clock: Callable[[], float] = time.monotonic,
        poll_s: float = _POLL_S,
        kinds: Kinds = KINDS,
    ) -> None:
        self._tables = Tables(kinds)
        self._poll_s = poll_s
        self._path = path
        self._clock = clock
        self._busy_s = busy_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decide-sqlite")
        self._connection: sqlite3.Connection | None = None
        self._seen: tuple[int, Position] | None = None
        self._beside = str(path)
        self._files: Files = ()
        self._gave_up = False
        self._replaced = self._told_of = 0
        self._long_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decide-sqlite-long")
        self._long_connection: sqlite3.Connection | None = None
        self._long_files: Files = ()
        self._bell = Bell(path)

    async def get_many(self, symbols: Sequence[str]) -> list[Stored]:
        """Answers in the order of ``symbols``, all of one snapshot."""
        if not symbols:
            return []
        wanted = msgspec.json.encode(list(symbols)).decode()

        def read() -> list[Stored]:
            reader = self._reader()
            with snapshot(reader):
                found = self._tables.found(reader, wanted)
                if not found and reader.execute(_IS_PUBLISHED).fetchone() is None:
                    raise StoreEmpty(f"SQLite at {self._path}: nothing was published")
            return [found.get(symbol, UNKNOWN) for symbol in symbols]

        return await self._in_thread(read)

    async def publish_run(self, rows: Sequence[Row], info: RunInfo, *, prune: bool = False) -> Published:
        """One transaction on a connection of its own, so that this store's own feed sees it like anybody else's."""
        return await self._written(lambda connection: publish_rows(connection, self._tables, rows, info, prune=prune))

    async def withdraw(self, *, symbols: Sequence[str] = (), run: str = "") -> Withdrawn:
        """One transaction, as `publish_run`."""
        return await self._written(lambda connection: take_back(connection, self._tables, symbols, run))

    async def upsert(self, records: Sequence[Record]) -> Upserted:
        """One transaction, on the connection of what may take longer: to open one costs more than a few records."""
        upserts = checked(self._tables.kinds, records)

        def write() -> Upserted:
            connection = self._long_reader()
            for pragma in _FOR_UPSERTS:
                connection.execute(pragma)
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                done = upsert_records(connection, self._tables, upserts)
            ring(self._path)
            return done

        return await self._in_thread(write, self._long_thread)

    async def record(self, kind: str, key: str) -> bytes | None:
        """One row."""
        statement = self._tables.read_one(kind)

        def read() -> bytes | None:
            row = self._long_reader().execute(statement, (key,)).fetchone()
            return None if row is None else row[0]

        return await self._soon(read)

    async def run_info(self) -> RunInfo | None:
        """The newest publication's info."""

        def read() -> bytes | None:
            row = self._reader().execute(_READ_RUN).fetchone()
            if row is not None:
                return bytes(row[0])
            upserted = self._reader().execute(_READ_UPSERTS).fetchone()
            if upserted is None:
                return None
            at_ms, newest_as_of_ms, count = upserted
            # As if it had been stored as a run's, so that it is checked as one.
            return msgspec.msgpack.encode(RunInfo("", at_ms, newest_as_of_ms, count, 0, 0))

        found = await self._in_thread(read)
        return None if found is None else decoded_run(found, f"SQLite at {self._path}")

    async def symbols(self) -> list[str]:
        """The loaded universe, sorted."""

        def read() -> list[str]:
            return [row[0].decode() for row in self._long_reader().execute(_READ_SYMBOLS)]

        return await self._soon(read)

    async def feed_position(self) -> str:
        """Id of the newest change; AUTOINCREMENT never gives an id twice, so trimming does not move it back."""

        def read() -> Position:
            position = newest_position(self._reader())
            self._told_of = self._replaced
            return position

        return text_of(await self._in_thread(read))

    async def changes(self, after: str, wait_s: float) -> Changes:
        """Changes after ``after``. ``PRAGMA data_version`` tells in microseconds whether anybody wrote at all.

        A writer wakes us. One of an earlier version does not, and is heard when we look next.
        """
        position = position_of(after) or (0, 0)
        deadline = time.monotonic() + wait_s
        self._bell.open()
        while True:
            self._bell.forget()
            found = await self._in_thread(lambda: self._changes_now(position))
            left_s = deadline - time.monotonic()
            if found is not None or left_s <= 0:
                return Changes(last_id=after, symbols=(), lost=False) if found is None else await named(*found)
            await self._bell.wait(min(self._poll_s, left_s))

    async def changes_since(self, after: str) -> Changes:
        """The same, with nothing noted. That the file is another one now is the feed's to find out."""
        position = position_of(after)
        if position is None:
            return Changes(after, (), lost=True)

        def read() -> tuple[Changes, Entries]:
            reader = self._long_reader()
            if self._replaced != self._told_of or (self._files and self._long_files != self._files):
                return Changes(last_id=after, symbols=(), lost=True), []
            return changes_after(reader, position)

        return await named(*await self._soon(read))

    async def ping(self) -> None:
        """Reads one row."""
        await self._in_thread(lambda: self._reader().execute("SELECT 1").fetchone())

    async def keys(self) -> dict[str, bytes]:
        """All rows."""

        # As bytes, whatever somebody has put there: a row that is no key must not hide the others.
        def read() -> list[tuple[bytes, bytes]]:
            keep_reserve(self._path)
            return self._reader().execute(_READ_KEYS).fetchall()

        rows = await self._in_thread(read)
        return {key_id.decode("ascii", "replace"): record for key_id, record in rows}

    async def put_key(self, key_id: str, record: bytes) -> None:
        """One row."""

        def write() -> None:
            self._reader().execute("INSERT OR REPLACE INTO keys (id, record) VALUES (?, ?)", (key_id, record))
            keep_reserve(self._path)

        await self._in_thread(write)

    async def remove_key(self, key_id: str) -> bool:
        """One row. A full disk does not keep a key good: the reserve makes room for that."""

        def delete() -> bool:
            return self._reader().execute("DELETE FROM keys WHERE id = ?", (key_id,)).rowcount > 0

        def write() -> bool:
            while True:
                try:
                    return delete()
                except sqlite3.Error as error:
                    if error.sqlite_errorcode & 0xFF not in _NO_ROOM or not give_up_reserve(self._path):
                        raise
                    _logger.warning("%s: %s; some of its reserve is given up for the revocation", self._path, error)
                    self._gave_up = True
                    self._disconnect()

        return await self._in_thread(write)

    async def close(self) -> None:
        """Close the connection in the thread it belongs to, then end the thread."""

        def close() -> None:
            self._disconnect()
            if self._gave_up:
                # Closing gives back the room of the log, which the reserve then has before anybody else.
                keep_reserve(self._path)

        self._bell.close()
        for thread, work in ((self._long_thread, self._disconnect_long), (self._thread, close)):
            await asyncio.get_running_loop().run_in_executor(thread, work)
            thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], T], thread: ThreadPoolExecutor | None = None) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(thread or self._thread, work)
        except (sqlite3.Error, OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise StoreError("l2_error", f"SQLite at {self._path}: {error}") from error

    async def _written(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """In a transaction, of which those that wait for changes are told."""

        def written() -> T:
            connection = self._connect()
            try:
                connection.execute("BEGIN IMMEDIATE")
                with connection:
                    done = write(connection)
                ring(self._path)
                return done
            finally:
                connection.close()

        return await self._in_thread(written, self._long_thread)

    async def _soon(self, read: Callable[[], T]) -> T:
        """In the other thread, or not at all: callers do not wait for longer, and whoever comes next shall not wait for them."""
        latest = self._clock() + _WAITED_S

        def begun() -> T:
            if self._clock() > latest:
                raise StoreError("l2_timeout", f"SQLite at {self._path} was busy for more than {_WAITED_S:g} s")
            return read()

        return await self._in_thread(begun, self._long_thread)

    def _reader(self) -> sqlite3.Connection:
        if self._files:
            found = files_of(self._path, self._beside)
            if found[: len(self._files)] != self._files:
                # Removed, or others in their place: the open connection would go on reading what nobody writes to any more.
                if self._connection is not None and found[0] == self._files[0]:
                    self._leave(self._connection)
                self._disconnect()
                self._replaced += 1
        if self._connection is None:
            self._connection, self._files = self._opened()
        return self._connection

    def _leave(self, connection: sqlite3.Connection) -> None:
        """Of a file whose log was taken away: as long as one of the process is open, SQLite opens no other log."""
        self._long_thread.submit(self._disconnect_long).result(_WAITED_S)
        with left_as_it_is(self._path):
            connection.close()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            # A version that was seen is of its connection; and the last one takes the log with it.
            self._connection, self._seen, self._files = None, None, self._files[:1]

    def _disconnect_long(self) -> None:
        if self._long_connection is not None:
            self._long_connection.close()
            self._long_connection = None

    def _long_reader(self) -> sqlite3.Connection:
        """The other thread's. Nobody tells it that the file is another one now, so it looks."""
        found = files_of(self._path, self._beside)
        if self._long_connection is not None and found != self._long_files:
            self._disconnect_long()
        if self._long_connection is None:
            if self._connection is not None and found[0] == self._files[0] and found != self._files:
                raise sqlite3.OperationalError("the log was removed; the store is about to be opened again")
            self._long_connection, self._long_files = self._opened()
        return self._long_connection

    def _opened(self) -> tuple[sqlite3.Connection, Files]:
        """A connection that reads, and the files that it is of."""
        # One that takes its place meanwhile is another one at the next look.
        self._beside = os.path.realpath(self._path)
        before = files_of(self._path, self._beside)
        connection = self._connect()
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _READ_MAX_BYTES)
        after = files_of(self._path, self._beside)
        return connection, (before[0] or after[0], *after[1:])

    def _connect(self) -> sqlite3.Connection:
        make_private(self._path)
        connection = sqlite3.connect(self._path, timeout=self._busy_s, isolation_level=None)
        try:
            begin_wal(connection, self._busy_s)
            self._tables.create(connection)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _changes_now(self, after: Position) -> tuple[Changes, Entries] | None:
        connection = self._reader()
        self._bell.watch()
        if self._replaced != self._told_of:
            changes = Changes(last_id=text_of(newest_position(connection)), symbols=(), lost=True)
            self._told_of = self._replaced
            return changes, []
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if (version, after) == self._seen:
            return None
        changes, entries = changes_after(connection, after)
        told = bool(entries or changes.values)
        if not changes.more and not (changes.lost and not told):
            self._seen = version, position_of(changes.last_id) or after
        return (changes, entries) if told or changes.lost else None
