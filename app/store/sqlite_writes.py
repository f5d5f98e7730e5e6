"""What is written into SQLite: publications, withdrawals, and the change feed's entries of them. Plain functions on a connection,
whose transaction is the caller's.

A withdrawal looks at the header of every record, since what a run wrote is found no other way, and neither is what is the newest
of those that are left.
"""

import sqlite3
import time
from collections.abc import Sequence

import msgspec

from app.domain.vector import AS_OF_MAX_MS, RecordHeader
from app.store.codec import header_of
from app.store.protocol import CHANGES_KEPT, RECORD_MAX_BYTES, SYMBOLS_A_CHANGE, Published, Row, RunInfo, Withdrawn

CHANGE_IDS_END = 10**18
"""Ids of changes are below it; what stands at one above was not written here, and counts for nothing."""
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


_NEWEST = f"""
SELECT max(as_of_ms), (SELECT count(*) FROM records) FROM
    (SELECT price_as_of_ms AS as_of_ms FROM records UNION ALL SELECT agents_as_of_ms FROM records)
WHERE typeof(as_of_ms) = 'integer' AND as_of_ms BETWEEN 0 AND {AS_OF_MAX_MS - 1}
"""  # noqa: S608 - a number of ours
_WRITE = """
INSERT INTO records (symbol, price_as_of_ms, price, agents_as_of_ms, agents) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (symbol) DO UPDATE SET
    price_as_of_ms = coalesce(excluded.price_as_of_ms, price_as_of_ms), price = coalesce(excluded.price, price),
    agents_as_of_ms = coalesce(excluded.agents_as_of_ms, agents_as_of_ms), agents = coalesce(excluded.agents, agents)
"""
_READ_ALL = f"SELECT symbol, {bounded('price')}, {bounded('agents')} FROM records WHERE typeof(symbol) = 'text' ORDER BY symbol"  # noqa: S608 - columns of ours
_FEED_TABLES = ("changes", "change_times", "change_withdrawals")
_KINDS = ("price", "agents")


def _as_of(value: object) -> int | None:
    """A stored time; one that no record can have counts as none, or it would be the newest for ever."""
    return value if isinstance(value, int) and 0 <= value < AS_OF_MAX_MS else None


def newest_change(connection: sqlite3.Connection) -> int:
    """Id of the newest that there ever was, 0 without one."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
    given = 0 if row is None or not isinstance(row[0], int) or not 0 <= row[0] < CHANGE_IDS_END else row[0]
    row = connection.execute("SELECT max(id) FROM changes WHERE id BETWEEN 0 AND ?", (CHANGE_IDS_END - 1,)).fetchone()
    return max(given, row[0] or 0)


def publish_rows(connection: sqlite3.Connection, rows: Sequence[Row], info: RunInfo, *, prune: bool) -> Published:
    """As `app.store.protocol.Store.publish`; the caller's is the transaction."""
    connection.execute(f"DELETE FROM records WHERE NOT ({IS_SYMBOL})")  # noqa: S608 - as below
    stored = {
        row[0]: (_as_of(row[1]), _as_of(row[2]))
        for row in connection.execute("SELECT symbol, price_as_of_ms, agents_as_of_ms FROM records")
    }
    written, kept_newer, changed = 0, 0, []
    histories: dict[str, bytes | None] = {}
    writes: list[tuple[str, int | None, bytes | None, int | None, bytes | None]] = []
    for row in rows:
        price_then, agents_then = stored.get(row.symbol, (None, None))
        new_price = row.price is not None and (price_then is None or (row.price_as_of_ms or 0) >= price_then)
        new_agents = row.agents is not None and (agents_then is None or (row.agents_as_of_ms or 0) >= agents_then)
        kept_newer += (row.price is not None and not new_price) + (row.agents is not None and not new_agents)
        if new_price or new_agents:
            written += new_price + new_agents
            changed.append(row.symbol)
            price = (row.price_as_of_ms, row.price) if new_price else (None, None)
            agents = (row.agents_as_of_ms, row.agents) if new_agents else (None, None)
            writes.append((row.symbol, *price, *agents))
            if new_price:
                histories[row.symbol] = row.history
            # A symbol may be named twice, and the second row must not go back behind the first.
            stored[row.symbol] = (price[0] if new_price else price_then, agents[0] if new_agents else agents_then)
    named = {row.symbol for row in rows if row.price is not None or row.agents is not None}
    gone = [symbol for symbol in stored if symbol not in named] if prune else []
    if not writes and not gone:
        return Published(written=0, kept_newer=kept_newer, pruned=0, change_id=str(newest_change(connection)))
    connection.executemany(_WRITE, writes)
    for table in ("records", "histories"):
        connection.executemany(f"DELETE FROM {table} WHERE symbol = ?", ((symbol,) for symbol in gone))  # noqa: S608 - as below
    _write_histories(connection, histories)
    change_id = 0
    if changed:
        change_id = _add_changes(connection, info.run, changed, withdrawn=False)
    if gone:
        change_id = _add_changes(connection, info.run, gone, withdrawn=True)
    newest_ms, count = connection.execute(_NEWEST).fetchone()
    info = msgspec.structs.replace(info, newest_as_of_ms=newest_ms or info.newest_as_of_ms, symbols=count)
    connection.execute("INSERT OR REPLACE INTO run (only_one, info) VALUES (1, ?)", (msgspec.msgpack.encode(info),))
    return Published(written=written, kept_newer=kept_newer, pruned=len(gone), change_id=str(change_id))


def _write_histories(connection: sqlite3.Connection, histories: dict[str, bytes | None]) -> None:
    """Each in the place of what stood there, None too."""
    connection.executemany(
        "INSERT OR REPLACE INTO histories (symbol, history) VALUES (?, ?)",
        (each for each in histories.items() if each[1] is not None),
    )
    bare = ((symbol,) for symbol, history in histories.items() if history is None)
    connection.executemany("DELETE FROM histories WHERE symbol = ?", bare)


def _add_changes(connection: sqlite3.Connection, run: str, symbols: Sequence[str], *, withdrawn: bool) -> int:
    """Entries of the feed, for at least one symbol; the last one's id."""
    at_ms = time.time_ns() // 1_000_000
    # Not AUTOINCREMENT's own: it has none to give behind an id that is the last there can be.
    change_id = newest_change(connection)
    if change_id + len(symbols) >= CHANGE_IDS_END:
        change_id = _begin_anew(connection, at_ms)
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


def _begin_anew(connection: sqlite3.Connection, at_ms: int) -> int:
    """Empty a feed whose ids come to their end, which nobody has counted up to. They go on behind ``at_ms``: ahead of all that
    were counted, so that every reader finds that it has lost something.
    """
    for table in _FEED_TABLES:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - three names of ours
    connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'changes'", (at_ms,))
    return at_ms


class _Left:
    """What no withdrawal took: the newest of it, and what was loaded last."""

    def __init__(self) -> None:
        self.newest: tuple[int, str, str] = (0, "", "")
        self._last: tuple[int, str] = (-1, "")
        self._runs: set[str] = set()

    def note(self, symbol: str, header: RecordHeader | None) -> None:
        """One record; one without a header is of no run and no time."""
        if header is not None:
            self._runs.add(header.run)
            self.newest = max(self.newest, (header.as_of_ms, symbol, header.run))
            self._last = max(self._last, (header.loaded_at_ms, header.run))

    def info(self, before: RunInfo, symbols: int) -> RunInfo:
        """The run's info, which was ``before``. If nothing is left of that run, it is of the one that was loaded last."""
        info = msgspec.structs.replace(before, newest_as_of_ms=self.newest[0], symbols=symbols)
        if before.run in self._runs or not self._runs:
            return info
        return msgspec.structs.replace(info, run=self._last[1], warmed_at_ms=self._last[0], bars=0, bytes=0)


def take_back(connection: sqlite3.Connection, named: Sequence[str], run: str) -> Withdrawn:
    """Remove all of the symbols ``named``, and all records of ``run`` (empty: none); the caller's is the transaction."""
    # A symbol that is no text is nobody's, and must not stop this.
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    wanted, left, runs = frozenset(named), _Left(), set[str]()
    taken: dict[str, list[str]] = {}
    for symbol, *records in connection.execute(_READ_ALL):
        if symbol in wanted:
            taken[symbol] = []
        for kind, raw in zip(_KINDS, records, strict=True):
            header = None if raw is None else header_of(raw)
            if raw is not None and (symbol in wanted or (run and header is not None and header.run == run)):
                taken.setdefault(symbol, []).append(kind)
                runs.update(() if header is None else (header.run,))
            elif raw is not None:
                left.note(symbol, header)
    change_id = ""
    if taken:
        _take(connection, {kind: [symbol for symbol, kinds in taken.items() if kind in kinds] for kind in _KINDS}, left)
        change_id = str(_add_changes(connection, run, tuple(taken), withdrawn=True))
    (symbols_left,) = connection.execute("SELECT count(*) FROM records").fetchone()
    price_records, agent_records = (sum(kind in kinds for kinds in taken.values()) for kind in _KINDS)
    newest_as_of_ms, newest_symbol, newest_run = left.newest
    return Withdrawn(
        symbols=tuple(taken),
        price_records=price_records,
        agent_records=agent_records,
        runs=tuple(sorted(runs)),
        unknown=tuple(symbol for symbol in dict.fromkeys(named) if symbol not in taken),
        symbols_left=symbols_left,
        newest_as_of_ms=newest_as_of_ms,
        newest_symbol=newest_symbol,
        newest_run=newest_run,
        change_id=change_id,
    )


def _take(connection: sqlite3.Connection, taken: dict[str, list[str]], left: _Left) -> None:
    """``taken``: the symbols, by the kind of record that goes. A history goes with its price record."""
    for kind, symbols in taken.items():
        update = f"UPDATE records SET {kind} = NULL, {kind}_as_of_ms = NULL WHERE symbol = ?"  # noqa: S608 - two names of ours
        connection.executemany(update, ((symbol,) for symbol in symbols))
    connection.executemany("DELETE FROM histories WHERE symbol = ?", ((symbol,) for symbol in taken["price"]))
    connection.execute("DELETE FROM records WHERE price IS NULL AND agents IS NULL")
    row = connection.execute("SELECT CAST(info AS BLOB), (SELECT count(*) FROM records) FROM run").fetchone()
    try:
        info = None if row is None else msgspec.msgpack.decode(row[0], type=RunInfo)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # What cannot be read shall not keep bad data in its place. The next publication writes it anew.
        return
    if info is not None:
        connection.execute("UPDATE run SET info = ?", (msgspec.msgpack.encode(left.info(info, row[1])),))
