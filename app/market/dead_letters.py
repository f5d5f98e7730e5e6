"""Marks of dead letters, as they are stored. Plain functions on a connection, whose transaction is the caller's."""

from collections.abc import Iterable, Mapping

from app.market.connection import Connection
from app.market.marks import DeadMark, Settled

_MARK = "INSERT INTO dead_letters VALUES (?, ?, ?, '', ?) ON CONFLICT DO NOTHING"
_SETTLE = """
INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?) ON CONFLICT (topic_id, partition, message_offset) DO UPDATE SET
state = excluded.state, changed_us = excluded.changed_us
"""
_MARKS = "SELECT topic_id, partition, message_offset, nullif(state, '') FROM dead_letters"


def mark(connection: Connection, dead: Iterable[DeadMark], now_us: int) -> int:
    """Each, unless it is marked; how many were not."""
    return sum(connection.execute(_MARK, (*each, now_us)).rowcount for each in dead)


def settle(connection: Connection, dead: Iterable[DeadMark], how: Settled, now_us: int) -> None:
    """Say what became of each."""
    connection.executemany(_SETTLE, [(*each, how, now_us) for each in dead])


def marks(connection: Connection) -> Mapping[DeadMark, Settled | None]:
    """All, and what became of each."""
    return {DeadMark(*row): state for *row, state in connection.execute(_MARKS).fetchall()}
