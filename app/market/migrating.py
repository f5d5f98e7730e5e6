"""Migrations: numbered files of plain SQL, one folder a database, each applied once and in order, and never changed afterwards.

What is of no database stands here. Each store takes its own lock, and keeps what was applied in a table of its own.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from app.errors import MigrationRefused

_FOLDERS = Path(__file__).parent / "migrations"
_name = re.compile(r"(\d{4})_\w+\.sql").fullmatch


class Migration(NamedTuple):
    """A file: its number, its name, its statements, and the checksum of its bytes."""

    number: int
    name: str
    sql: str
    sha256: str


class Done(NamedTuple):
    """What a database says that was applied to it."""

    number: int
    name: str
    sha256: str


def now_us() -> int:
    """The wall clock, in epoch microseconds."""
    return time.time_ns() // 1000


def migrations(folder: Path | str) -> list[Migration]:
    """Those of ``folder`` (a database's name: of Decide's own), in order.

    Raises:
        MigrationRefused: a file's name is none, or a number is missing or there twice.
    """
    folder = _FOLDERS / folder
    found = list[Migration]()
    for path in sorted(folder.glob("*.sql")):
        match = _name(path.name)
        if match is None or int(match[1]) != len(found) + 1:
            raise MigrationRefused(f"{path} is out of order; allowed: the name {len(found) + 1:04}_….sql")
        content = path.read_bytes()
        found.append(Migration(int(match[1]), path.name, content.decode(), hashlib.sha256(content).hexdigest()))
    return found


def pending(ours: Sequence[Migration], done: Sequence[Done], place: str) -> list[Migration]:
    """Those of ``ours`` that are not ``done`` (by number) in the database at ``place``.

    Raises:
        MigrationRefused: what was done is not what we have; says which file, and what to do.
    """
    for number, each in enumerate(sorted(done), 1):
        if each.number > len(ours):
            raise MigrationRefused(
                f"{place}: {each.name} was applied to it, which this version of Decide does not know. "
                "Run the version that applied it or a later one, or restore a backup from before"
            )
        here = ours[each.number - 1]
        if each.number != number:
            raise MigrationRefused(
                f"{place}: {each.name} was applied to it, and {ours[number - 1].name} was not. Restore a backup"
            )
        if (here.name, here.sha256) != (each.name, each.sha256):
            raise MigrationRefused(
                f"{place}: {here.name} is not the file that was applied to it: SHA-256 {here.sha256}, applied {each.name} with "
                f"{each.sha256}. Put back the file as it was, and make the change in a new one"
            )
    return list(ours[len(done) :])
