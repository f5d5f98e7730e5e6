"""Where the logs of the tests are: each implementation makes empty ones, and opens them as often as a test likes."""

from collections.abc import Sequence
from pathlib import Path

from warm.stream.log import Begin, Log, Outgoing, Reader
from warm.stream.sqlite_log import EmbeddedLog

TOPIC = "decide.trades"


class Place:
    """A log in a SQLite file; ``path`` is the file's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: list[Log | Reader] = []

    def log(self) -> Log:
        """Open it, as another process would."""
        log = EmbeddedLog(self.path)
        self._opened.append(log)
        return log

    def reader(self, *topics: str, begin: Begin = lambda _: None) -> Reader:
        """One of `TOPIC`, or of ``topics``."""
        reader = self.log().reader(topics or [TOPIC], begin)
        self._opened.append(reader)
        return reader

    def close(self) -> None:
        """All that was opened."""
        for each in self._opened:
            each.close()


def values(*numbers: int | str, key: bytes | None = b"A") -> list[Outgoing]:
    """Messages of one key."""
    return [Outgoing(key, str(number).encode()) for number in numbers]


def drain(reader: Reader, most: int = 1_000) -> list[bytes | None]:
    """The values of all that is there."""
    found: list[bytes | None] = []
    while messages := reader.poll(most, 0):
        found += [each.value for each in messages]
    return found


def offsets_of(reader: Reader) -> Sequence[int]:
    """Where it is, partition by partition."""
    return [offset for _, offset in sorted(reader.positions.items())]
