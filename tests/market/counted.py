"""A connection to a store that counts what it is asked and gives."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from app.market.connection import Connection, Cursor


class Counted:
    """``statements`` that it was given, and ``rows`` that were read of their answers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.statements = self.rows = 0

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """One more."""
        self.statements += 1
        return _Rows(self, self._connection.execute(statement, parameters))

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> None:
        """None that reads."""
        raise NotImplementedError


class _Rows:
    def __init__(self, counted: Counted, cursor: Cursor) -> None:
        self._counted, self._cursor = counted, cursor

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def __iter__(self) -> Iterator[Any]:
        for row in self._cursor:
            self._counted.rows += 1
            yield row

    def fetchone(self) -> Any:  # noqa: ANN401 - a row
        return next(iter(self), None)

    def fetchall(self) -> list[Any]:
        return list(self)
