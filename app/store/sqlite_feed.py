"""SQLite's change feed: entries that name symbols, at most so many, and beside them entries that carry records, for so long.
Both are written in the transaction of what they tell, and read in one.

A position in the feed is the id of an entry of the first sort and, where there has been one of the second, its id behind a ``~``.
"""

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence

import msgspec

from app.slices import names_on_lines
from app.store.protocol import (
    CHANGES_KEPT,
    CHANGES_READ,
    SYMBOLS_A_CHANGE,
    VALUES_A_CHANGE,
    VALUES_A_CHANGE_BYTES,
    VALUES_KEPT_MS,
    Changes,
    Record,
)
from app.store.sqlite_tables import bounded

CHANGE_IDS_END = 10**18
"""Ids of changes are below it; what stands at one above was not written here, and counts for nothing."""
Entries = list[tuple[bytes, bool]]
"""Of the feed: each one's text, which names symbols, and whether it withdraws them."""

_FEED_TABLES = ("changes", "change_times", "change_withdrawals")


Position = tuple[int, int]
_READ_CHANGES = f"""
SELECT id, CAST(symbols AS BLOB), CASE typeof(at_ms) WHEN 'integer' THEN at_ms END, change_withdrawals.id IS NOT NULL
FROM changes LEFT JOIN change_times USING (id) LEFT JOIN change_withdrawals USING (id)
WHERE id > ? AND id < {CHANGE_IDS_END} ORDER BY id LIMIT ?
"""  # noqa: S608 - a number of ours
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, str, bytes]]).decode
_READ_VALUES = f"""
SELECT id, {bounded("records")}, CASE typeof(at_ms) WHEN 'integer' THEN at_ms END FROM value_changes
WHERE id > ? AND id < {CHANGE_IDS_END} ORDER BY id LIMIT {CHANGES_READ}
"""  # noqa: S608 - columns and numbers of ours


_is_position = re.compile(r"([0-9]{1,18})(?:~([0-9]{1,18}))?").fullmatch


def position_of(text: str) -> Position | None:
    """What `text_of` wrote; None if it cannot have."""
    found = _is_position(text)
    return None if found is None else (int(found[1]), int(found[2] or 0))


def text_of(position: Position) -> str:
    """A position in the feed, for whoever shall go on from there."""
    return f"{position[0]}~{position[1]}" if position[1] else str(position[0])


def newest_position(connection: sqlite3.Connection) -> Position:
    """Where the feed ends."""
    return newest_change(connection), newest_change(connection, "value_changes")


def newest_change(connection: sqlite3.Connection, table: str = "changes") -> int:
    """Id of the newest that there ever was, 0 without one."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    given = 0 if row is None or not isinstance(row[0], int) or not 0 <= row[0] < CHANGE_IDS_END else row[0]
    last = f"SELECT max(id) FROM {table} WHERE id BETWEEN 0 AND {CHANGE_IDS_END - 1}"  # noqa: S608 - names and numbers of ours
    row = connection.execute(last).fetchone()
    return max(given, row[0] or 0)


def add_changes(connection: sqlite3.Connection, run: str, symbols: Sequence[str], *, withdrawn: bool) -> int:
    """Entries of the feed, for at least one symbol; the last one's id."""
    at_ms = time.time_ns() // 1_000_000
    change_id = _next_id(connection, at_ms, len(symbols), _FEED_TABLES)
    for first in range(0, len(symbols), SYMBOLS_A_CHANGE):
        change_id += 1
        named = "\n".join(symbols[first : first + SYMBOLS_A_CHANGE])
        connection.execute("INSERT INTO changes (id, run, symbols) VALUES (?, ?, ?)", (change_id, run, named))
        connection.execute("INSERT OR REPLACE INTO change_times (id, at_ms) VALUES (?, ?)", (change_id, at_ms))
        if withdrawn:
            connection.execute("INSERT OR REPLACE INTO change_withdrawals (id) VALUES (?)", (change_id,))
    for table in _FEED_TABLES:
        connection.execute(f"DELETE FROM {table} WHERE id <= ?", (change_id - CHANGES_KEPT,))  # noqa: S608 - three names of ours
    return change_id


def _next_id(connection: sqlite3.Connection, at_ms: int, count: int, tables: tuple[str, ...]) -> int:
    """The id before that of the next of so many entries. A feed whose ids come to their end, which nobody has counted up to, is
    emptied. They go on behind ``at_ms``: ahead of all that were counted, so that every reader finds that it has lost something.
    """
    # Not AUTOINCREMENT's own: it has none to give behind an id that is the last there can be.
    newest_id = newest_change(connection, tables[0])
    if newest_id + count < CHANGE_IDS_END:
        return newest_id
    for table in tables:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
    connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (at_ms, tables[0]))
    return at_ms


def add_values(connection: sqlite3.Connection, values: Sequence[Record]) -> None:
    """Entries of the feed that carry ``values``. Those whose time is over go."""
    if not values:
        return
    at_ms = time.time_ns() // 1_000_000
    change_id = _next_id(connection, at_ms, len(values), ("value_changes",))
    some, size = list[Record](), 0
    for number, value in enumerate(values, 1):
        some.append(value)
        size += len(value.value)
        if number == len(values) or len(some) == VALUES_A_CHANGE or size >= VALUES_A_CHANGE_BYTES:
            change_id += 1
            connection.execute(
                "INSERT INTO value_changes (id, at_ms, records) VALUES (?, ?, ?)", (change_id, at_ms, _encode(some))
            )
            some, size = [], 0
    connection.execute(
        "DELETE FROM value_changes WHERE id < (SELECT id FROM value_changes WHERE at_ms >= ? ORDER BY id LIMIT 1)",
        (at_ms - VALUES_KEPT_MS,),
    )


async def named(changes: Changes, entries: Entries) -> Changes:
    """``changes``, with the symbols that stand in the entries' texts. In the loop: there it is done in slices."""
    try:
        symbols = await names_on_lines(text for text, _ in entries)
        return changes._replace(symbols=symbols, withdrawn=await names_on_lines(text for text, withdrawn in entries if withdrawn))
    except UnicodeDecodeError:
        # Not an entry of ours. What it was meant to say cannot be known, so anything may have changed.
        return changes._replace(lost=True)


def changes_after(connection: sqlite3.Connection, after: Position) -> tuple[Changes, Entries]:
    """What came after it but for the symbols, and the entries' texts, which name those."""
    with snapshot(connection):
        last_id, entries, lost, named_ms, more_names = _named_after(connection, after[0])
        last_value_id, values, values_lost, values_ms, more_values = _values_after(connection, after[1])
    changes = Changes(
        last_id=text_of((last_id, last_value_id)),
        symbols=(),
        lost=lost or values_lost,
        published_ms=min((each for each in (named_ms, values_ms) if each is not None), default=None),
        more=more_names or more_values,
        values=values,
    )
    return changes, entries


def _named_after(connection: sqlite3.Connection, after: int) -> tuple[int, Entries, bool, int | None, bool]:
    """The id to go on from, the entries, whether some are lost, when the first was written, whether there may be more."""
    newest_id = newest_change(connection)
    try:
        found = connection.execute(_READ_CHANGES, (after, CHANGES_READ)).fetchall()
    except sqlite3.DataError:
        # Longer than any entry of ours. What it was meant to say cannot be known, so anything may have changed.
        found = []
    if not found:
        return newest_id, [], newest_id != after, None, False
    entries = [(row[1], bool(row[3])) for row in found]
    return found[-1][0], entries, found[0][0] != after + 1, found[0][2], len(found) == CHANGES_READ


def _values_after(connection: sqlite3.Connection, after: int) -> tuple[int, tuple[Record, ...], bool, int | None, bool]:
    """As `_named_after`, with the records in place of the entries."""
    newest_id = newest_change(connection, "value_changes")
    found = connection.execute(_READ_VALUES, (after,)).fetchall() if newest_id != after else []
    if not found:
        return newest_id, (), newest_id != after, None, False
    try:
        records = tuple(Record(*each) for _, raw, _ in found for each in _decode(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # No entry of ours. What it was meant to say cannot be known, so anything may have changed.
        return newest_id, (), True, None, False
    return found[-1][0], records, found[0][0] != after + 1, found[0][2], len(found) == CHANGES_READ


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """What is read in it is of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
