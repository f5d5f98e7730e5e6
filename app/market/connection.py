"""A connection to a market store's database, as far as the statements need it that both databases understand.

Parameters are written ``?``. Decimals, days and flags come out as they are stored: digits, ISO dates, true or false.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol


class Cursor(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """Of how many rows it was that were written."""
        ...

    def fetchone(self) -> Any:  # noqa: ANN401 - a row, or None
        """The next row."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Its transaction is the caller's."""

    def execute(self, statement: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """One statement."""
        ...

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> object:
        """One for each of ``rows``."""
        ...
