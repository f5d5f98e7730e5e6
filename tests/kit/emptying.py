"""Stores that are emptied behind the back of whoever uses them."""

from pathlib import Path

import redis


def remove_file(path: Path) -> None:
    """SQLite's file, with what stands beside it."""
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)


def empty_store(url: str, path: Path) -> None:
    """FLUSHALL, or the file deleted where there is no ``url``."""
    if not url:
        remove_file(path)
        return
    with redis.Redis.from_url(url) as client:
        client.flushall()
