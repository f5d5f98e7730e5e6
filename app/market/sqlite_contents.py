"""All that the embedded market store holds, for whoever checks it; it is never made or migrated here."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from app.errors import MarketError
from app.market.contents import Contents
from app.market.sqlite_opening import connect

_BUSY_S = 10.0


@contextmanager
def contents_of(path: Path) -> Iterator[Contents]:
    """At ``path``, as it is now.

    Raises:
        MarketError: there is none, it is damaged, or cannot be read.
    """
    if not path.is_file():
        raise MarketError("market_error", f"there is no market store at {path}")
    try:
        with closing(connect(path, _BUSY_S, migrates=False)) as connection:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            yield Contents(connection)
    except (sqlite3.Error, OSError) as error:
        raise MarketError("market_error", f"SQLite at {path}: {error}") from error


def damage_of(path: Path) -> list[str]:
    """What SQLite finds wrong with the file, by its own pages; a few lines."""
    with contents_of(path), closing(sqlite3.connect(path)) as connection:
        return [row for (row,) in connection.execute("PRAGMA quick_check(3)").fetchall() if row != "ok"]
