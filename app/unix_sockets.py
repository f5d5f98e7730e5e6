"""How settings and command lines name a Unix socket: ``unix:/path``, read alike by the server, its client and the bench."""

import os
import socket

UNIX = "unix"
"""What stands before the colon. Also what TRUSTED_PROXIES calls whoever comes over such a socket."""
PATH_MAX_BYTES = 107
"""What Linux has room for, without the zero at the end. macOS has four less, and says so itself."""


class NoSocket(ValueError):
    """There can be none at such a path; the message says why."""


def socket_path(text: str, *, there_are_any: bool = hasattr(socket, "AF_UNIX")) -> str | None:
    """The absolute path that ``text`` names a socket by; None if it names none. ``unix:///path`` is ``unix:/path``.

    Not every system has any: Windows does not, as far as Python goes.

    Raises:
        NoSocket: it begins as if it did, but no socket can be there.
    """
    scheme, colon, path = text.partition(":")
    if not colon or scheme != UNIX:
        return None
    # unix://folder/file would name a machine, as in a URL.
    plain = path.removeprefix("//") if path.startswith("///") else path
    if not plain.startswith("/") or plain.startswith("//") or plain.endswith(("/", "/.", "/..")) or not plain.isprintable():
        raise NoSocket(f"behind {UNIX}: there must be a socket's absolute path, as in {UNIX}:/run/decide/decide.sock")
    if len(os.fsencode(plain)) > PATH_MAX_BYTES:
        raise NoSocket(f"a socket's path has {PATH_MAX_BYTES} bytes at most")
    if not there_are_any:
        raise NoSocket("Python has no Unix sockets on this system")
    return plain
