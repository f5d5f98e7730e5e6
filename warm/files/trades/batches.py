"""What reading a file of trades gives: batches of trades, refused rows with their places, and where to go on."""

from typing import NamedTuple

import msgspec

from app.domain.trades import Trade
from warm.files.rejects import Example, Rejects


class Position(msgspec.Struct, frozen=True):
    """How far a file was read. ``offset`` is in bytes of its text, unpacked and in UTF-8; in rows where it is no text.
    ``row`` counts its lines or rows. ``counted`` is whether a trade so far got its id from what it is: then what lies before is
    read again where reading goes on, for the numbers of equal trades.
    """

    offset: int = 0
    row: int = 0
    counted: bool = False


START = Position()


class Batch(NamedTuple):
    """Some trades in the file's order. ``refused`` are rows that are no trades, each with its reason; ``others`` counts messages
    of other kinds, as heartbeats are. Reading goes on at ``position``.
    """

    trades: list[Trade]
    refused: list[tuple[str, Example]]
    others: int
    position: Position

    def add_to(self, rejects: Rejects) -> None:
        """Count the refused rows in ``rejects``."""
        for reason, example in self.refused:
            rejects.add(reason, 1, [example])


class BadRow(ValueError):
    """A row that is no trade: the reason, the column and what stands there."""

    def __init__(self, reason: str, column: str, value: object) -> None:
        super().__init__(reason)
        self.reason, self.column, self.value = reason, column, value
