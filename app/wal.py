"""SQLite's write-ahead log: readers go on while somebody writes."""

import sqlite3
import time

_BUSY_AGAIN_S = 0.005


def begin_wal(connection: sqlite3.Connection, busy_s: float) -> None:
    """Have the file of ``connection`` written by way of a log, whose commits survive a killed process.

    Of two that open a new file at once, a server and its first load say, SQLite has one fail here instead of waiting. Where it
    does wait, ``busy_s`` for somebody else's lock, that is tried once more.
    """
    deadline = time.monotonic() + 2 * busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_AGAIN_S)
        else:
            break
    connection.execute("PRAGMA synchronous = NORMAL")
