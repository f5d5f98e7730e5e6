"""A process that, from a line that it gets until it is killed, writes numbered batches into a log, and says which it has."""

import sys
from pathlib import Path

from tests.stream.places import TOPIC
from warm.stream.log import Outgoing
from warm.stream.sqlite_log import EmbeddedLog

BATCH = 30
"""Messages of one batch, each of another key."""


def batch_of(writer: str, number: int) -> list[Outgoing]:
    """Its messages say of which batch they are."""
    return [Outgoing(f"{writer}{key}".encode(), f"{writer} {number}".encode()) for key in range(BATCH)]


if __name__ == "__main__":
    path, name, first, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    log = EmbeddedLog(path)
    log.create(TOPIC, 3)
    sys.stdin.readline()
    for each in range(first, last):
        log.append(TOPIC, batch_of(name, each))
        sys.stdout.write(f"{each}\n")
        sys.stdout.flush()
