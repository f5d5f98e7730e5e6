"""How settings and command lines name a Unix socket: ``unix:/path``, read alike by the server, its client and the bench."""

import os
import socket
import sys

UNIX = "unix"
"""What stands before the colon. Also what TRUSTED_PROXIES calls whoever comes over such a socket."""
_THERE_ARE_ANY = hasattr(socket, "AF_UNIX") and sys.platform != "win32"
PATH_MAX_BYTES = 107
"""What Linux has room for, without the zero at the end. macOS has four less, and says so itself."""


class NoSocket(ValueError):
    """There can be none at such a path; the message says why."""


def socket_path(text: str, *, there_are_any: bool = _THERE_ARE_ANY) -> str | None:
    """The absolute path that ``text`` names a socket by; None if it names none. ``unix:///path`` is ``unix:/path``.

    Windows has none that Python's event loop or Granian could use.

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
        raise NoSocket("there are no Unix sockets on this system")
    return plain
