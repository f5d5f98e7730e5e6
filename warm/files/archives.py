"""Zip archives, kept open while their members are read, and archives that are members themselves."""

import io
import zipfile
from functools import lru_cache
from pathlib import Path

from app.domain.text import harmless
from warm.files.memory import memory


def open_archive(path: Path, member: str | None = None) -> zipfile.ZipFile:
    """An archive, or the one that is a ``member`` of it, which is unpacked into memory. The last one stays open: its directory,
    which names all members, is read once.

    Raises:
        InputRefused: it takes more memory than the run may.
    """
    written_ns = path.stat().st_mtime_ns
    return archive(path, written_ns) if member is None else _nested(path, written_ns, member)


@lru_cache(maxsize=1)
def archive(path: Path, written_ns: int) -> zipfile.ZipFile:
    """The archive as it was written then."""
    del written_ns
    return zipfile.ZipFile(path)


@lru_cache(maxsize=1)
def _nested(path: Path, written_ns: int, member: str) -> zipfile.ZipFile:
    outer = archive(path, written_ns)
    memory().claim(outer.getinfo(member).file_size, harmless(f"{path}/{member}"))
    return zipfile.ZipFile(io.BytesIO(outer.read(member)))
