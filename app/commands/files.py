"""How many connections a worker may take, by the files that a process may have open."""

import contextlib

LEAST_CONNECTIONS = 16
"""As few as MAX_CONNECTIONS may be."""
_OWN_FILES = 64
"""Of a worker without Redis: standard ones, pipes and event loops (16), SQLite's (12), metrics' (6), spans' and streams of the
moment; the rest is what nobody thought of.
"""
_MORE_REDIS_CONNECTIONS = 16
"""Besides the pool's: the feed's, keys' and limits'."""


def open_files() -> int | None:
    """Let this process, and its workers, have as many files open as the system allows, and how many that are; None: any number.

    Many systems start processes with 1,024, and let them have more.
    """
    try:
        import resource  # noqa: PLC0415 - there is none on Windows, nor such a limit
    except ImportError:
        return None
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS says there is no limit and takes none above its own.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if allowed == resource.RLIM_INFINITY else int(allowed)


def files_kept(redis_connections: int) -> int:
    """How many files of a worker are not for callers; ``redis_connections`` is 0 where there is no Redis."""
    return _OWN_FILES + (redis_connections + _MORE_REDIS_CONNECTIONS if redis_connections else 0)


def connections_within(wanted: int, files: int | None, kept: int) -> int | None:
    """How many of ``wanted`` connections a worker may take, which may have ``files`` open and needs ``kept`` of them itself; None
    if there are too few for any server.

    Whoever comes beyond them waits in the kernel's queue. A worker that would take them, and has no file left, tries without end.
    """
    found = wanted if files is None else min(wanted, files - kept)
    return found if found >= LEAST_CONNECTIONS else None
