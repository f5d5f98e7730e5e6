"""How far files of trades were read, kept in the market store with what was read.

A file is known by its content (unpacked) and by how it is read: under another name, or packed, it is the same, with another
symbol or time zone it is not. Where it is known, reading goes on; where its beginning is known, it has grown, and reading goes on
where that ended.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from app.domain.trades import Trade
from app.market.protocol import Move, Partition
from warm.files.read import Source
from warm.files.trades.batches import START, Position
from warm.files.trades.names import Options

LOG = "files"
"""The log that positions of files stand under."""
_PART_BYTES = 1024**2
_APPENDED = ("csv", "lines")
"""Kinds of files that grow at their end."""


class Reached(NamedTuple):
    """How far a file was read; ``done``: to its end, and all that follows from it was written. Of a replay: so many trades behind
    the position were ``taken``, too, and it began at ``began_us`` (0: that does not matter).
    """

    position: Position = START
    done: bool = False
    taken: int = 0
    began_us: int = 0

    @classmethod
    def of_numbers(cls, numbers: Mapping[int, int]) -> "Reached":
        """As it was kept."""
        offset, row, counted, done, taken, began_us = (numbers.get(each, 0) for each in range(6))
        return cls(Position(offset, row, bool(counted)), bool(done), taken, began_us)

    def numbers(self) -> dict[int, int]:
        """As it is kept, each under its number."""
        position, done, taken, began_us = self
        return dict(enumerate((position.offset, position.row, int(position.counted), int(done), taken, began_us)))


class Place:
    """A file's, of ``size`` bytes, of which so much is ``kept``; ``reached`` is where reading goes on."""

    def __init__(self, size: int, digest: str, kept: Mapping[int, int], begin: Reached) -> None:
        self.size, self._digest, self._kept, self.reached = size, digest, dict(kept), begin

    def moves(self, reached: Reached) -> list[Move]:
        """What keeps that it was read so far, to be written with what was read; `moved` once it is."""
        return [
            Move(Partition(LOG, str(self.size), self._digest, number), self._kept.get(number), after)
            for number, after in reached.numbers().items()
            if self._kept.get(number, 0) != after
        ]

    def moved(self, reached: Reached) -> None:
        """It was written."""
        for move in self.moves(reached):
            self._kept[move.partition.partition] = move.next
        self.reached = reached


class Places:
    """Those of all files that were ever read; ``kept`` are the offsets of `LOG`. A file that is there twice has one place."""

    def __init__(self, kept: Mapping[Partition, int]) -> None:
        numbers: defaultdict[tuple[int, str], dict[int, int]] = defaultdict(dict)
        for partition, following in kept.items():
            numbers[int(partition.topic), partition.topic_id][partition.partition] = following
        self._known: dict[tuple[int, str], Place] = {}
        for (size, digest), each in numbers.items():
            self._known[size, digest] = Place(size, digest, each, Reached.of_numbers(each))

    def find(self, source: Source, reading: str) -> Place:
        """That of a file whose rows are read as ``reading`` says.

        Raises:
            InputRefused: it cannot be read.
        """
        # Only text is written on.
        sizes = sorted({size for size, _ in self._known}) if source.kind in _APPENDED else []
        size, digests = _digests(source, reading, sizes)
        digest, _ = digests[size]
        if (size, digest) not in self._known:
            begin = Reached()
            if source.kind in _APPENDED and source.encoding is None:
                for shorter, (part, ends_line) in sorted(digests.items()):
                    if ends_line and shorter < size and (known := self._known.get((shorter, part))) is not None:
                        begin = Reached(known.reached.position)
            self._known[size, digest] = Place(size, digest, {}, begin)
        return self._known[size, digest]


def reading_of(name: str, source: Source, options: Options, first: Trade | None) -> str:
    """What a file's content means: its format, what the caller says, and what its name tells, as the ``first`` trade has it."""
    told: tuple[Any, ...] = () if first is None else (first.venue, first.symbol, first.time_us, first.source)
    return repr((name, source.symbol, options.venue, str(options.zone), *told))


def _digests(source: Source, reading: str, sizes: Iterable[int]) -> tuple[int, dict[int, tuple[str, bool]]]:
    """How many bytes a file has; and the digest of its first bytes of each of ``sizes`` (ascending) and of the whole, with
    whether a line ends there.
    """
    digest, size = hashlib.sha256(f"{reading}\n".encode()), 0
    found: dict[int, tuple[str, bool]] = {}
    waiting = [each for each in sizes if each > 0][::-1]
    with source.opened() as file:
        last = b""
        for block in iter(lambda: file.read(_PART_BYTES), b""):
            at = 0
            while waiting and waiting[-1] <= size + len(block):
                end = waiting.pop() - size
                digest.update(block[at:end])
                found[size + end], at = (digest.hexdigest(), block[end - 1 : end] == b"\n"), end
            digest.update(block[at:])
            size, last = size + len(block), block[-1:]
    found[size] = digest.hexdigest(), last == b"\n"
    return size, found
