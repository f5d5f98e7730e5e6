"""SQLite's tables, and what is asked of them, as the table of kinds has it.

Kinds that runs write are columns of one row a symbol; each other kind has a table of its own, so that pages that decisions read
hold nothing else, and a value that changes often is written by itself. Symbols' values that changes carry are written to a short
table first (``recent``): those that change often lie on few pages there, however many symbols there are. Once it is full, all of
it goes to the long one. A view says what counts (``current``). Whatever stands in the file, columns are taken for what they must
be: SQLite keeps any type in any of them.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any

from app.domain.records import Kind, Kinds
from app.domain.vector import AS_OF_MAX_MS
from app.store.protocol import RECORD_MAX_BYTES, Stored

_TABLES = """
CREATE TABLE IF NOT EXISTS records (symbol TEXT PRIMARY KEY, {columns}) WITHOUT ROWID;
{beside}
CREATE TABLE IF NOT EXISTS upserted (symbol TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changes (id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, symbols TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS change_times (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS change_withdrawals (id INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS upserts (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1), at_ms INTEGER NOT NULL, newest_as_of_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS value_changes (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, records BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS run (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), info BLOB NOT NULL);
"""
_RECENT = """
CREATE TABLE IF NOT EXISTS recent_{plural} (symbol TEXT PRIMARY KEY, {name} BLOB NOT NULL) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS current_{plural} AS SELECT symbol, {name} FROM recent_{plural} UNION ALL
SELECT symbol, {name} FROM {plural} AS other WHERE NOT EXISTS (SELECT 1 FROM recent_{plural} WHERE symbol = other.symbol);
"""
IS_SYMBOL = """
typeof(symbol) = 'text' AND length(CAST(symbol AS BLOB)) BETWEEN 1 AND 32 AND length(CAST(symbol AS BLOB)) = length(symbol)
AND symbol NOT GLOB '*[^A-Z0-9._:/=^-]*'
"""
"""Whether a row's symbol can be one: nobody can ask for another, nor can the feed name it."""


def bounded(column: str) -> str:
    """``column``, if it is bytes of a length that a record can have; else bytes that are no record. The length of bytes is known
    without reading them. That of a text ends at its first NUL, however much comes after it.
    """
    is_record = f"typeof({column}) = 'blob' AND length({column}) <= {RECORD_MAX_BYTES}"
    return f"CASE WHEN {column} IS NULL OR {is_record} THEN {column} ELSE x'' END"


class Tables:
    """The statements for ``kinds``. Names in them are ours."""

    def __init__(self, kinds: Kinds) -> None:
        self.kinds = kinds
        self.columns = tuple(each.name for each in kinds.of_runs)
        self.beside = tuple(each for each in kinds.all if each not in kinds.of_runs)
        self.recent = tuple(each for each in kinds.carried if each.scope == "symbol")
        pairs = [(f"{name}_as_of_ms", name) for name in self.columns]
        self._create = _TABLES.format(
            columns=", ".join(f"{as_of} INTEGER, {name} BLOB" for as_of, name in pairs),
            beside="\n".join(
                # What is written often and is short is found by one search instead of two.
                f"CREATE TABLE IF NOT EXISTS {each.plural} ({key_of(each)} TEXT PRIMARY KEY, {each.name} BLOB NOT NULL)"
                f"{' WITHOUT ROWID' if each.carries_value else ''};"
                for each in self.beside
            )
            + "".join(_RECENT.format(plural=each.plural, name=each.name) for each in self.recent),
        )
        in_rows = [each.name for each in kinds.inputs if each in kinds.of_runs]
        wanted = "IN (SELECT value FROM json_each(?))"
        self.row_inputs = tuple(in_rows)
        self.read = f"SELECT symbol, {_listed(in_rows)} FROM records WHERE symbol {wanted}"  # noqa: S608
        self.read_beside = tuple(
            (each.name, f"SELECT symbol, {bounded(each.name)} FROM {self.current(each)} WHERE symbol {wanted}")  # noqa: S608
            for each in kinds.cached
            if each in self.beside
        )
        self.times = f"SELECT symbol, {', '.join(as_of for as_of, _ in pairs)} FROM records"  # noqa: S608
        self.read_all = f"SELECT symbol, {_listed(self.columns)} FROM records WHERE typeof(symbol) = 'text' ORDER BY symbol"  # noqa: S608
        flat = [column for pair in pairs for column in pair]
        kept = ", ".join(f"{column} = coalesce(excluded.{column}, {column})" for column in flat)
        self.write = f"""
        INSERT INTO records (symbol, {", ".join(flat)}) VALUES (?{", ?" * len(flat)}) ON CONFLICT (symbol) DO UPDATE SET {kept}
        """  # noqa: S608
        union = " UNION ALL ".join(f"SELECT {as_of} AS as_of_ms FROM records" for as_of, _ in pairs)  # noqa: S608
        self.newest = f"""
        SELECT max(as_of_ms), (SELECT count(*) FROM records) FROM ({union})
        WHERE typeof(as_of_ms) = 'integer' AND as_of_ms BETWEEN 0 AND {AS_OF_MAX_MS - 1}
        """  # noqa: S608
        recent = [f"recent_{each.plural}" for each in self.recent]
        self.of_symbols = ("records", "upserted", *(each.plural for each in self.beside if each.scope == "symbol"), *recent)
        nothing = [f"{name} IS NULL" for name in self.columns] + [
            f"NOT EXISTS (SELECT 1 FROM {self.current(each)} AS other WHERE other.symbol = records.symbol)"  # noqa: S608
            for each in self.recent
        ]
        self.drop_bare = f"DELETE FROM records WHERE {' AND '.join(nothing)}"  # noqa: S608

    def create(self, connection: sqlite3.Connection) -> None:
        """Make what is not there: tables, and in a file of an earlier version the columns of newer kinds."""
        connection.executescript(self._create)
        if self._lacking(connection):
            # One at a time, who then finds that another was faster.
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                for column in self._lacking(connection):
                    connection.execute(f"ALTER TABLE records ADD COLUMN {column}")

    def _lacking(self, connection: sqlite3.Connection) -> list[str]:
        there = {row[1] for row in connection.execute("PRAGMA table_info(records)")}
        wanted = {f"{name}{end}": of_type for name in self.columns for end, of_type in (("_as_of_ms", "INTEGER"), ("", "BLOB"))}
        return [f"{column} {of_type}" for column, of_type in wanted.items() if column not in there]

    def found(self, connection: sqlite3.Connection, wanted: str) -> dict[str, Stored]:
        """What is there of the symbols ``wanted`` (a JSON array). The caller's is the transaction."""
        names = self.row_inputs
        found = {
            symbol: Stored(
                known=True, records={name: value for name, value in zip(names, values, strict=True) if value is not None}
            )
            for symbol, *values in connection.execute(self.read, (wanted,))
        }
        for name, statement in self.read_beside:
            for symbol, value in connection.execute(statement, (wanted,)):
                if symbol in found:
                    found[symbol].records[name] = value
        return found

    def current(self, kind: Kind[Any]) -> str:
        """Where records of ``kind`` are read, which has a table of its own."""
        return f"current_{kind.plural}" if kind in self.recent else kind.plural

    def read_one(self, name: str) -> str:
        """One record of a kind, by its key."""
        kind = self.kinds.by_name[name]
        table = "records" if kind in self.kinds.of_runs else self.current(kind)
        return f"SELECT {bounded(kind.name)} FROM {table} WHERE {key_of(kind)} = ? AND {kind.name} IS NOT NULL"  # noqa: S608


def key_of(kind: Kind[Any]) -> str:
    """The column that names whose record one is."""
    return "symbol" if kind.scope == "symbol" else "key"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(bounded, names))
