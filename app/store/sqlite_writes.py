"""What is written into SQLite: publications, withdrawals, and the change feed's entries of them. Plain functions on a connection,
whose transaction is the caller's.

A withdrawal looks at the header of every record, since what a run wrote is found no other way, and neither is what is the newest
of those that are left.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from app.domain.records import Kind
from app.domain.vector import AS_OF_MAX_MS, RecordHeader
from app.store.codec import header_of
from app.store.protocol import Published, Row, RunInfo, Withdrawn, Written
from app.store.sqlite_feed import add_changes, newest_position, text_of
from app.store.sqlite_tables import IS_SYMBOL, Tables, bounded
from app.store.sqlite_values import take_values


def _as_of(value: object) -> int | None:
    """A stored time; one that no record can have counts as none, or it would be the newest for ever."""
    return value if isinstance(value, int) and 0 <= value < AS_OF_MAX_MS else None


class _Writes:
    """What a run writes, found by what is stored: ``rows`` for `Tables.write`, ``parts`` by kind and symbol."""

    def __init__(self, tables: Tables, stored: dict[str, list[int | None]]) -> None:
        self._kinds = [(kind.name, [part.name for part in tables.kinds.parts_of(kind)]) for kind in tables.kinds.of_runs]
        self._stored = stored
        self.written = self.kept_newer = 0
        self.named: set[str] = set()
        self.rows: list[list[Any]] = []
        self.parts: dict[str, dict[str, bytes | None]] = {part: {} for _, parts in self._kinds for part in parts}

    def add(self, symbol: str, records: Mapping[str, Written]) -> None:
        """One row, without what is older than what is stored."""
        times = self._stored.get(symbol, [None] * len(self._kinds))
        columns: list[int | bytes | None] = []
        before = self.written
        for place, (kind, parts) in enumerate(self._kinds):
            record, then = records.get(kind), times[place]
            if record is not None:
                self.named.add(symbol)
            if record is None or (then is not None and record.as_of_ms < then):
                self.kept_newer += record is not None
                columns += (None, None)
                continue
            self.written += 1
            columns += record
            # A symbol may be named twice, and the second row must not go back behind the first.
            times[place] = record.as_of_ms
            for part in parts:
                self.parts[part][symbol] = records[part].value if part in records else None
        if self.written > before:
            self._stored[symbol] = times
            self.rows.append([symbol, *columns])


def publish_rows(connection: sqlite3.Connection, tables: Tables, rows: Sequence[Row], info: RunInfo, *, prune: bool) -> Published:
    """As `app.store.protocol.Store.publish_run`; the caller's is the transaction."""
    connection.execute(f"DELETE FROM records WHERE NOT ({IS_SYMBOL})")  # noqa: S608 - as below
    stored = {symbol: [_as_of(each) for each in times] for symbol, *times in connection.execute(tables.times)}
    writes = _Writes(tables, stored)
    for symbol, records in rows:
        writes.add(symbol, records)
    upserted = {symbol for (symbol,) in connection.execute("SELECT symbol FROM upserted")}
    gone = [symbol for symbol in stored if symbol not in writes.named and symbol not in upserted] if prune else []
    if not writes.rows and not gone:
        return Published(written=0, kept_newer=writes.kept_newer, pruned=0, change_id=text_of(newest_position(connection)))
    connection.executemany(tables.write, writes.rows)
    take_values(connection, tables, gone)
    for table in tables.of_symbols:
        connection.executemany(f"DELETE FROM {table} WHERE symbol = ?", ((symbol,) for symbol in gone))  # noqa: S608 - as below
    changed = [row[0] for row in writes.rows]
    connection.executemany("DELETE FROM upserted WHERE symbol = ?", ((symbol,) for symbol in upserted.intersection(changed)))
    for part, values in writes.parts.items():
        _write_parts(connection, tables.kinds.by_name[part], values)
    if changed:
        add_changes(connection, info.run, changed, withdrawn=False)
    if gone:
        add_changes(connection, info.run, gone, withdrawn=True)
    newest_ms, count = connection.execute(tables.newest).fetchone()
    info = msgspec.structs.replace(info, newest_as_of_ms=newest_ms or info.newest_as_of_ms, symbols=count)
    connection.execute("INSERT OR REPLACE INTO run (only_one, info) VALUES (1, ?)", (msgspec.msgpack.encode(info),))
    return Published(writes.written, writes.kept_newer, len(gone), text_of(newest_position(connection)))


def _write_parts(connection: sqlite3.Connection, part: Kind[Any], values: dict[str, bytes | None]) -> None:
    """Each in the place of what stood there, None too."""
    connection.executemany(
        f"INSERT OR REPLACE INTO {part.plural} (symbol, {part.name}) VALUES (?, ?)",  # noqa: S608 - two names of ours
        (each for each in values.items() if each[1] is not None),
    )
    bare = ((symbol,) for symbol, value in values.items() if value is None)
    connection.executemany(f"DELETE FROM {part.plural} WHERE symbol = ?", bare)  # noqa: S608 - as above


class _Left:
    """What no withdrawal took: the newest of it, and what was loaded last."""

    def __init__(self) -> None:
        self.newest: tuple[int, str, str] = (0, "", "")
        self._last: tuple[int, str] = (-1, "")
        self._runs: set[str] = set()

    def note(self, symbol: str, header: RecordHeader | None) -> None:
        """One record; one without a header is of no run and no time."""
        if header is not None:
            self.newest = max(self.newest, (header.as_of_ms, symbol, header.run))
        if header is not None and header.run:
            self._runs.add(header.run)
            self._last = max(self._last, (header.loaded_at_ms, header.run))

    def info(self, before: RunInfo, symbols: int) -> RunInfo:
        """The run's info, which was ``before``. If nothing is left of that run, it is of the one that was loaded last."""
        info = msgspec.structs.replace(before, newest_as_of_ms=self.newest[0], symbols=symbols)
        if before.run in self._runs or not self._runs:
            return info
        return msgspec.structs.replace(info, run=self._last[1], warmed_at_ms=self._last[0], bars=0, bytes=0)


def take_back(connection: sqlite3.Connection, tables: Tables, named: Sequence[str], run: str) -> Withdrawn:
    """Remove all of the symbols ``named``, and all records of ``run`` (empty: none); the caller's is the transaction."""
    # A symbol that is no text is nobody's, and must not stop this.
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    wanted, left, runs = frozenset(named), _Left(), set[str]()
    kinds = [each for each in tables.kinds.of_symbols if not each.part_of]
    taken: dict[str, list[str]] = {}
    for symbol, found in _all_records(connection, tables):
        if symbol in wanted:
            taken[symbol] = []
        for kind in kinds:
            raw = found.get(kind.name)
            header = None if raw is None else header_of(raw)
            if raw is not None and (symbol in wanted or (run and header is not None and header.run == run)):
                taken.setdefault(symbol, []).append(kind.name)
                runs.update(() if header is None or not header.run else (header.run,))
            elif raw is not None and not kind.carries_value:
                left.note(symbol, header)
    change_id = ""
    if taken:
        _take(connection, tables, {kind: [symbol for symbol, names in taken.items() if kind.name in names] for kind in kinds})
        _update_info(connection, left)
        add_changes(connection, run, tuple(taken), withdrawn=True)
        change_id = text_of(newest_position(connection))
    (symbols_left,) = connection.execute("SELECT count(*) FROM records").fetchone()
    newest_as_of_ms, newest_symbol, newest_run = left.newest
    return Withdrawn(
        symbols=tuple(taken),
        records={kind.name: sum(kind.name in names for names in taken.values()) for kind in kinds},
        runs=tuple(sorted(runs)),
        unknown=tuple(symbol for symbol in dict.fromkeys(named) if symbol not in taken),
        symbols_left=symbols_left,
        newest_as_of_ms=newest_as_of_ms,
        newest_symbol=newest_symbol,
        newest_run=newest_run,
        change_id=change_id,
    )


def _all_records(connection: sqlite3.Connection, tables: Tables) -> Iterator[tuple[str, dict[str, bytes | None]]]:
    """Every symbol's whole records, by kind."""
    carried = {
        kind.name: dict(connection.execute(f"SELECT symbol, {bounded(kind.name)} FROM {tables.current(kind)}"))  # noqa: S608 - names of ours
        for kind in tables.recent
    }
    for symbol, *records in connection.execute(tables.read_all):
        found = dict(zip(tables.columns, records, strict=True))
        yield symbol, found | {name: values[symbol] for name, values in carried.items() if symbol in values}


def _take(connection: sqlite3.Connection, tables: Tables, taken: dict[Kind[Any], list[str]]) -> None:
    """``taken``: the symbols, by the kind of record that goes. Its parts go with it."""
    for kind, symbols in taken.items():
        gone = [(symbol,) for symbol in symbols]
        name = kind.name
        if kind in tables.kinds.of_runs:
            update = f"UPDATE records SET {name} = NULL, {name}_as_of_ms = NULL WHERE symbol = ?"  # noqa: S608 - names of ours
            connection.executemany(update, gone)
        if kind.carries_value:
            take_values(connection, tables, symbols)
        for each in tables.kinds.parts_of(kind):
            connection.executemany(f"DELETE FROM {each.plural} WHERE symbol = ?", gone)  # noqa: S608 - as above
    connection.execute(tables.drop_bare)
    connection.execute("DELETE FROM upserted WHERE symbol NOT IN (SELECT symbol FROM records)")


def _update_info(connection: sqlite3.Connection, left: _Left) -> None:
    row = connection.execute("SELECT CAST(info AS BLOB), (SELECT count(*) FROM records) FROM run").fetchone()
    try:
        info = None if row is None else msgspec.msgpack.decode(row[0], type=RunInfo)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # What cannot be read shall not keep bad data in its place. The next publication writes it anew.
        return
    if info is not None:
        connection.execute("UPDATE run SET info = ?", (msgspec.msgpack.encode(left.info(info, row[1])),))
