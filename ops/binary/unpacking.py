"""What of the one file is unpacked only when it is wanted.

PyInstaller's bootloader unpacks all shared libraries and data into a temporary folder at every start. That folder is memory on
many systems, and a server has no use for Polars, NumPy and fonts. So `decide.spec` marks what belongs to `LAZY` as archives,
which the bootloader leaves where they are, and this finder, first in `sys.meta_path`, unpacks a package's files into the same
folder right before the first of its submodules is imported. (Not before the package itself: Polars looks whether there is a
NumPy, which imports nothing.) The bootloader removes the folder in the end, with all that is in it.

Several processes share the folder, `decide demo` and the server that it starts, say: each file is put there whole, or not at all.
"""

import importlib
import os
import re
import select
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import BinaryIO, NamedTuple

LAZY = frozenset(
    {
        *("polars", "tzdata", "warm", "watchfiles"),
        *("numpy", "matplotlib", "PIL", "contourpy", "kiwisolver", "fontTools", "hdrh", "httptools"),
        *("google", "certifi", "charset_normalizer", "psycopg_binary", "confluent_kafka", "websockets"),
    }
)
"""Top-level packages whose libraries and data wait until they are wanted."""
PREFIX = "lazy"
"""What waits stands in the archive as lazy/PACKAGE/PLACE."""

_MAGIC = b"MEI\014\013\012\013\016"
# As PyInstaller writes them (PyInstaller.archive.writers): the cookie is magic, length of the archive, place and length of its
# table, Python's version, its library's name; an entry of the table is its own length, place, length, length unpacked, whether
# it is compressed, its kind, and its name, filled up with zeros.
_COOKIE = struct.Struct("!8sIIII64s")
_ENTRY = struct.Struct("!IIIIBc")
_KIND = b"a"
_FOLDER = re.compile(r"_MEI([0-9a-f]{8})")
"""How the bootloader calls the folder: its process id is part of the name."""
_TAIL_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 20


class Entry(NamedTuple):
    """A file in the archive."""

    name: str
    at: int
    stored_bytes: int
    compressed: bool


def entries(file: BinaryIO) -> Iterator[Entry]:
    """What waits in the executable ``file``.

    Raises:
        ValueError: it holds no archive of PyInstaller's.
    """
    end = file.seek(0, os.SEEK_END)
    tail_at = file.seek(max(0, end - _TAIL_BYTES))
    tail = file.read()
    found = tail.rfind(_MAGIC)
    if found < 0 or found + _COOKIE.size > len(tail):
        raise ValueError(f"{file.name} holds no archive")
    _, archive_bytes, table_at, table_bytes, _, _ = _COOKIE.unpack_from(tail, found)
    begin = tail_at + found + _COOKIE.size - archive_bytes
    file.seek(begin + table_at)
    table = file.read(table_bytes)
    at = 0
    while at < len(table):
        entry_bytes, place, stored_bytes, _, compressed, kind = _ENTRY.unpack_from(table, at)
        if kind == _KIND:
            name = table[at + _ENTRY.size : at + entry_bytes].rstrip(b"\0").decode()
            yield Entry(name, begin + place, stored_bytes, bool(compressed))
        at += entry_bytes


def unpack(package: str, executable: Path, folder: Path) -> None:
    """Put the files of ``package`` into ``folder``; those that are there stay."""
    prefix = f"{PREFIX}/{package}/"
    with executable.open("rb") as file:
        for entry in entries(file):
            path = folder / entry.name.removeprefix(prefix)
            if entry.name.startswith(prefix) and not path.exists():
                _put(file, entry, path)


def _put(file: BinaryIO, entry: Entry, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    file.seek(entry.at)
    left_bytes = entry.stored_bytes
    inflate = zlib.decompressobj() if entry.compressed else None
    try:
        with beside.open("wb") as out:
            while left_bytes:
                block = file.read(min(left_bytes, _BLOCK_BYTES))
                if not block:
                    raise EOFError(f"{file.name} ends within {entry.name}")
                left_bytes -= len(block)
                out.write(block if inflate is None else inflate.decompress(block))
            if inflate is not None:
                out.write(inflate.flush())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


class LazyFinder(MetaPathFinder):
    """Finds nothing by itself: it sees to it that those after it do."""

    def __init__(self, executable: Path, folder: Path) -> None:
        self._executable = executable
        self._folder = folder
        self._waiting = set(LAZY)

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: object = None) -> None:
        """Called for every import."""
        del path, target
        package, dot, _ = fullname.partition(".")
        if dot and package in self._waiting:
            try:
                unpack(package, self._executable, self._folder)
            except OSError as error:
                advice = "set TMPDIR to a folder that has room and may be written to"
                raise SystemExit(
                    f"decide: {package} cannot be unpacked into {self._folder}: {error.strerror}; {advice}"
                ) from error
            self._waiting.discard(package)
            # Python remembers what is in a folder, and times of folders are coarse.
            importlib.invalidate_caches()


def install() -> Path | None:
    """In the one file, and nowhere else; the folder that it was unpacked into."""
    unpacked = getattr(sys, "_MEIPASS", None)
    if unpacked is None:
        return None
    folder = Path(unpacked)
    # What runs, even if another file was put in its place meanwhile.
    running = Path("/proc/self/exe")
    sys.meta_path.insert(0, LazyFinder(running if running.exists() else Path(sys.executable), folder))
    return folder


def is_abandoned(folder: Path) -> bool:
    """Whether the bootloader that made ``folder``, and would remove it, has ended; False where that cannot be told."""
    named = _FOLDER.match(folder.name)
    # 0 is a parent in another namespace, where ids are others.
    if named is None or os.getppid() in (0, bootloader := int(named[1], 16)):
        return False
    # Its own child has lost it. What that child has started never had it for a parent: then it may well be there.
    try:
        ended = os.pidfd_open(bootloader)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    try:
        # Also of one whose end nobody has asked for yet.
        return bool(select.select([ended], [], [], 0)[0])
    finally:
        os.close(ended)
