"""Where the server listens: an address with a free port, or a Unix socket whose file is this server's alone."""

import contextlib
import errno
import os
import socket
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

_ANSWER_S = 1.0
_TURN_S = 2.0
_LOOK_AGAIN_S = 0.02
_SHARES = sys.platform == "linux"
"""Whether the kernel shares callers out among sockets of one port. Others give them to one of these."""


class Listener(Protocol):
    """What listens before there are workers, which inherit it."""

    backlog: int
    is_unix: bool

    def socket_of(self, worker: int) -> socket.socket:
        """Where that worker takes its callers from."""

    def rest(self, worker: int) -> None:
        """It is not there for a while: callers go to others, if there are any."""

    def resume(self, worker: int) -> None:
        """It will be there again."""

    def remove(self) -> None:
        """Let no new caller find it, where that can be."""

    def close(self) -> None:
        """Give it back, as far as this process has it."""


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """The family and the address of ``host`` and ``port``. Raises OSError: it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # A name with addresses of both kinds (localhost, on many machines) means the one that callers try for certain.
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, address


def free_address(host: str, port: int) -> str:
    """The IP address of ``host`` (Granian takes no names), on which ``port`` is free: for Windows, where Granian listens.

    Raises:
        OSError: nobody can listen there.
    """
    family, address = _resolved(host, port)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind(address)
    return str(address[0])


class TcpListener:
    """A port that is this server's alone, from the start until the last process closes it.

    Granian would listen in each worker, with SO_REUSEPORT from the start: any other server of the user's that does so would get a
    share of the callers. Here the first socket is bound without it, which fails where anybody listens, on this address or on all;
    only then do others join it, one for each worker. Of one socket for all of them, Linux gives nearly all callers to one worker.
    A worker that is started anew goes on with the socket, and the queue, of the one before.

    Raises:
        OSError: somebody listens there, or nobody can.
    """

    is_unix = False

    def __init__(self, host: str, port: int, backlog: int, workers: int = 1) -> None:
        self._family, self._where = _resolved(host, port)
        self.address = str(self._where[0])
        self.backlog = backlog
        self._sockets = [self._listening(shared=False)]
        if workers > 1 and _SHARES:
            try:
                self._sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                self._sockets += [self._listening(shared=True) for _ in range(1, workers)]
            except OSError:
                self.close()
                raise

    def _listening(self, *, shared: bool) -> socket.socket:
        made = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            # A port whose last connections are still winding down is free. Of two that bind it at once, one cannot listen.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            made.bind(self._where)
            made.listen(self.backlog)
        except OSError:
            made.close()
            raise
        return made

    def socket_of(self, worker: int) -> socket.socket:
        """Its own; elsewhere than on Linux the one of all of them."""
        return self._sockets[worker % len(self._sockets)]

    def rest(self, worker: int) -> None:
        """The kernel gives its callers to the others."""
        if len(self._sockets) > 1:
            self._sockets[worker].shutdown(socket.SHUT_RDWR)

    def resume(self, worker: int) -> None:
        """It has its share again."""
        if len(self._sockets) > 1:
            self._sockets[worker].listen(self.backlog)

    def remove(self) -> None:
        """Nothing to take away: a port goes deaf otherwise (`app.http.drain`)."""

    def close(self) -> None:
        """All of them."""
        for each in self._sockets:
            each.close()


class UnixListener:
    """A Unix socket that listens at ``path`` from the start, until its file is removed and the last process closes it.

    It is not left to Granian (2.8 has `uds` and `uds_permissions`). That does not replace the file that a dead server left, it
    removes at the end whatever is there, a successor's too, and its workers begin to listen when they are ready: until then
    nobody could tell a server that starts from a dead one's file. Nobody can connect to what does not listen, so it has its
    permissions before.

    Raises:
        OSError: it cannot be there; a file that is no forsaken socket is left alone.
    """

    is_unix = True

    def __init__(self, path: Path, mode: int, backlog: int) -> None:
        self.path = path
        self.backlog = backlog
        # Before anything is made beside it.
        _is_there(path)
        with _alone_at(path):
            _clear(path)
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self.socket.bind(str(path))
                path.chmod(mode)
                self.socket.listen(backlog)
                found = path.lstat()
            except OSError:
                if self.socket.getsockname():
                    path.unlink(missing_ok=True)
                self.socket.close()
                raise
        self._file: tuple[int, int] | None = (found.st_dev, found.st_ino)

    def socket_of(self, _: int) -> socket.socket:
        """The one of all workers."""
        return self.socket

    def rest(self, _: int) -> None:
        """Nothing to do: whoever is there takes the callers."""

    resume = rest

    def close(self) -> None:
        """The socket, not the file."""
        self.socket.close()

    def remove(self) -> None:
        """Take its file away, if it is still this one's: callers then find nothing, those in the queue are still served.

        Once only: as long as the socket is open its file's number is no other file's, afterwards it may be the successor's. And
        as long as it is open no successor takes its place: this needs no lock, so nobody who holds one can keep it from it.
        """
        ours, self._file = self._file, None
        if ours is None:
            return
        # A folder that is gone, or no longer to be written to, has nothing that could be taken away.
        with contextlib.suppress(OSError):
            found = self.path.lstat()
            if (found.st_dev, found.st_ino) == ours:
                self.path.unlink()


@contextlib.contextmanager
def _alone_at(path: Path) -> Iterator[None]:
    """Of this user's servers that look at ``path``, and then do something about it, one does so at a time.

    By a lock on a file beside it that only this user can open, since whoever can open a file can lock it, for ever. It stays:
    were it removed, two could each have a lock on a file of that name. Where there can be no such file, because its name is taken
    or the folder is closed, it goes without: what is lost is the order among those that start in the same moment.

    Raises:
        OSError: the folder is not there, or a program of this user's keeps the lock.
    """
    import fcntl  # noqa: PLC0415 - there is none on Windows, nor a Unix socket for Granian

    descriptor = _own_file(path.with_name(f".{path.name}.lock"))
    if descriptor is None:
        yield
        return
    try:
        deadline = time.monotonic() + _TURN_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise OSError(errno.EBUSY, f"another program keeps .{path.name}.lock beside it locked") from None
                time.sleep(_LOOK_AGAIN_S)
        yield
    finally:
        os.close(descriptor)


def _own_file(path: Path) -> int | None:
    """A descriptor of the file there, made if need be; None if what is there is not this user's, or nothing can be there."""
    try:
        # Not waiting: it may be somebody's pipe.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise OSError(error.errno, f"its folder {path.parent} cannot be opened ({error.strerror})") from error
    except OSError:
        return None
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
        return descriptor
    os.close(descriptor)
    return None


def _is_there(path: Path) -> bool:
    """Whether there is a socket.

    Raises:
        OSError: what is there is something else.
    """
    try:
        found = path.lstat()
    except OSError:
        # Why nothing can be there is said when it is tried.
        return False
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "there is a file that is no socket, which is left alone")
    return True


def _clear(path: Path) -> None:
    """Remove the socket's file that a server left that did not end by itself.

    Raises:
        OSError: what is there is something else, or somebody answers.
    """
    if not _is_there(path):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            # Nobody has it open any more.
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except (BlockingIOError, TimeoutError):
            # There is somebody, with a full queue.
            pass
        except OSError as error:
            raise OSError(error.errno, f"there is a socket of somebody else's ({error.strerror})") from error
    raise OSError(errno.EADDRINUSE, "a server listens there already")
