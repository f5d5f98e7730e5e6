"""Records that are written to SQLite by themselves. Plain functions on a connection, whose transaction is the caller's.

What they do touches the records that are named and nothing else, so that it costs the same however many symbols there are.
"""

import sqlite3
import time
from collections.abc import Iterable, Sequence

from app.store.protocol import Record, Upserted
from app.store.sqlite_feed import add_changes, add_values
from app.store.sqlite_tables import Tables, key_of
from app.store.upserts import Upsert, name_of, order_of_raw


def upsert_records(connection: sqlite3.Connection, tables: Tables, upserts: Sequence[Upsert]) -> Upserted:
    """As `app.store.protocol.Upserting.upsert`."""
    written, named, values = 0, dict[str, None](), list[Record]()
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
        if kind in tables.kinds.of_runs:
            update = f"UPDATE records SET {kind.name} = ?, {kind.name}_as_of_ms = ? WHERE symbol = ?"  # noqa: S608 - names of ours
            connection.execute(update, (each.value, each.as_of_ms, each.key))
        else:
            put(connection, tables, each.kind, each.key, each.value)
        for part, value in each.parts.items():
            put(connection, tables, part, each.key, value)
        if kind.carries_value:
            values.append(Record(each.kind, each.key, each.value))
        else:
            named[name_of(each.key, each.kind, kind.scope)] = None
    if named:
        add_changes(connection, "", tuple(named), withdrawn=False)
    add_values(connection, values)
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
    for kind in [each for each in tables.kinds.carried if each.scope == "symbol"]:
        delete = f"DELETE FROM {kind.plural} WHERE symbol = ?"  # noqa: S608 - names of ours
        gone += [Record(kind.name, each, b"") for each in symbols if connection.execute(delete, (each,)).rowcount]
    add_values(connection, gone)
