"""Records that are written to SQLite by themselves. Plain functions on a connection, whose transaction is the caller's.

What they do touches the records that are named and nothing else, so that it costs the same however many symbols there are.
"""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Any

from app.domain.records import Kind
from app.store.protocol import Record, Upserted
from app.store.sqlite_feed import add_changes, add_values
from app.store.sqlite_tables import Tables, key_of
from app.store.upserts import Upsert, name_of, order_of_raw

RECENT_MAX = 2_000
"""Symbols whose value is kept in the short table: some hundred pages."""


def upsert_records(connection: sqlite3.Connection, tables: Tables, upserts: Sequence[Upsert]) -> Upserted:
    """As `app.store.protocol.Upserting.upsert`."""
    written, named, values, grown = 0, dict[str, None](), list[Record](), set[Kind[Any]]()
    for each in upserts:
        kind = tables.kinds.by_name[each.kind]
        row = connection.execute(tables.read_one(each.kind), (each.key,)).fetchone()
        stored = None if row is None else row[0]
        if order_of_raw(stored, carries_value=kind.carries_value) > (each.as_of_ms, each.sequence):
            continue
        written += 1
        # Whoever has a record is in the universe.
        if kind.scope == "symbol" and stored is None and _joins(connection, each.key):
            named[each.key] = None
        if _write(connection, tables, kind, each):
            grown.add(kind)
        for part, value in each.parts.items():
            put(connection, tables, part, each.key, value)
        if kind.carries_value:
            values.append(Record(each.kind, each.key, each.value))
        else:
            named[name_of(each.key, each.kind, kind.scope)] = None
    if named:
        add_changes(connection, "", tuple(named), withdrawn=False)
    add_values(connection, values)
    for kind in grown:
        _settle(connection, kind)
    if written:
        _note(connection, max(each.as_of_ms for each in upserts))
    return Upserted(written, len(upserts) - written)


def put(connection: sqlite3.Connection, tables: Tables, kind_name: str, key: str, value: bytes | None) -> None:
    """One record of a kind that has a table of its own; None: there is none."""
    kind = tables.kinds.by_name[kind_name]
    column = key_of(kind)
    if value is None:
        connection.execute(f"DELETE FROM {kind.plural} WHERE {column} = ?", (key,))  # noqa: S608 - names of ours
    else:
        # Updated in its place: the pages of those that change often lie together, and no index changes.
        insert = f"""
        INSERT INTO {kind.plural} ({column}, {kind.name}) VALUES (?, ?)
        ON CONFLICT ({column}) DO UPDATE SET {kind.name} = excluded.{kind.name}
        """  # noqa: S608 - names of ours
        connection.execute(insert, (key, value))


def _write(connection: sqlite3.Connection, tables: Tables, kind: Kind[Any], each: Upsert) -> bool:
    """The record itself; whether there is one more recent value now."""
    if kind in tables.kinds.of_runs:
        update = f"UPDATE records SET {kind.name} = ?, {kind.name}_as_of_ms = ? WHERE symbol = ?"  # noqa: S608 - names of ours
        connection.execute(update, (each.value, each.as_of_ms, each.key))
    elif kind not in tables.recent:
        put(connection, tables, each.kind, each.key, each.value)
    else:
        table, name, row = f"recent_{kind.plural}", kind.name, (each.value, each.key)
        if not connection.execute(f"UPDATE {table} SET {name} = ? WHERE symbol = ?", row).rowcount:  # noqa: S608 - as above
            connection.execute(f"INSERT INTO {table} ({name}, symbol) VALUES (?, ?)", row)  # noqa: S608 - as above
            return True
    return False


def _settle(connection: sqlite3.Connection, kind: Kind[Any]) -> None:
    """If there are too many recent ones, all of them go where the others are."""
    recent, table, name = f"recent_{kind.plural}", kind.plural, kind.name
    (count,) = connection.execute(f"SELECT count(*) FROM {recent}").fetchone()  # noqa: S608 - names of ours
    if count <= RECENT_MAX:
        return
    connection.execute(
        f"INSERT INTO {table} (symbol, {name}) SELECT symbol, {name} FROM {recent} WHERE TRUE "  # noqa: S608 - as above
        f"ON CONFLICT (symbol) DO UPDATE SET {name} = excluded.{name}"
    )
    connection.execute(f"DELETE FROM {recent}")  # noqa: S608 - as above


def _joins(connection: sqlite3.Connection, symbol: str) -> bool:
    """Whether it was not in the universe; it is now."""
    if not connection.execute("INSERT OR IGNORE INTO records (symbol) VALUES (?)", (symbol,)).rowcount:
        return False
    connection.execute("INSERT OR REPLACE INTO upserted (symbol) VALUES (?)", (symbol,))
    return True


def _note(connection: sqlite3.Connection, as_of_ms: int) -> None:
    connection.execute(
        "INSERT INTO upserts (only_one, at_ms, newest_as_of_ms) VALUES (1, ?, ?) ON CONFLICT (only_one) DO UPDATE SET "
        "at_ms = excluded.at_ms, newest_as_of_ms = max(newest_as_of_ms, excluded.newest_as_of_ms)",
        (time.time_ns() // 1_000_000, as_of_ms),
    )


def take_values(connection: sqlite3.Connection, tables: Tables, symbols: Iterable[str]) -> None:
    """The records whose changes carry their values go, of ``symbols``, and the feed says so."""
    gone = list[Record]()
    for kind in tables.recent:
        deletes = [f"DELETE FROM {table} WHERE symbol = ?" for table in (kind.plural, f"recent_{kind.plural}")]  # noqa: S608 - names of ours
        for symbol in symbols:
            if sum(connection.execute(each, (symbol,)).rowcount for each in deletes):
                gone.append(Record(kind.name, symbol, b""))
    add_values(connection, gone)
