"""A port that is one server's alone; a Unix socket's file: whose it is, who may use it, and that nobody else's is taken away."""

import contextlib
import fcntl
import itertools
import os
import re
import select
import shutil
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path, PosixPath

import pytest

from app.commands.listening import TcpListener, UnixListener
from tests.kit.servers import connect, free_port


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the socket is to be."""
    return tmp_path / "decide.sock"


def _listener(path: Path, mode: int = 0o660) -> UnixListener:
    return UnixListener(path, mode, 16)


def _leave_a_stale_one(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


@pytest.fixture
def listener(path: Path) -> Iterator[UnixListener]:
    """One that listens."""
    made = _listener(path)
    yield made
    made.remove()
    made.socket.close()


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_the_file_has_the_permissions_that_were_asked_for(path: Path, mode: int) -> None:
    """Whatever the umask is; and it listens at once, before there are workers."""
    before = os.umask(0o077)
    try:
        made = _listener(path, mode)
    finally:
        os.umask(before)
    with made.socket, connect(path):
        assert stat.S_IMODE(path.stat().st_mode) == mode


class _WatchedPath(PosixPath):
    """Tries to connect in the moment in which the permissions are set."""

    refused = 0

    def chmod(self, mode: int, *, follow_symlinks: bool = True) -> None:
        """By now the file is there, with what the umask left it."""
        with pytest.raises(ConnectionRefusedError):
            connect(Path(self))
        self.refused += 1
        super().chmod(mode, follow_symlinks=follow_symlinks)


def test_nobody_can_connect_before_the_permissions_are_set(path: Path) -> None:
    """A bound socket that does not listen yet refuses everybody: that is the moment in which its permissions are set."""
    watched = _WatchedPath(path)
    with _listener(watched).socket, connect(path):
        assert watched.refused == 1


def test_a_socket_that_a_dead_server_left_is_replaced(path: Path) -> None:
    _leave_a_stale_one(path)
    with _listener(path).socket, connect(path):
        pass


@pytest.mark.usefixtures("listener")
def test_a_socket_where_somebody_listens_is_in_use(path: Path) -> None:
    """Also if that one has not accepted anybody yet."""
    with pytest.raises(OSError, match="a server listens there already"):
        _listener(path)
    connect(path).close()


def test_a_listener_with_a_full_queue_is_in_use(path: Path) -> None:
    """It is the busiest server that must not lose its socket."""
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        with connect(path), pytest.raises(OSError, match="a server listens there already"):
            _listener(path)


@pytest.mark.parametrize("kind", ["file", "folder", "link", "pipe"])
def test_what_is_no_socket_is_refused_and_left_alone(path: Path, kind: str) -> None:
    """Not even a link to a stale socket is followed."""
    if kind == "file":
        path.write_text("precious", encoding="utf-8")
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        _leave_a_stale_one(path.with_name("other.sock"))
        path.symlink_to(path.with_name("other.sock"))
    else:
        os.mkfifo(path)
    before = path.lstat()
    with pytest.raises(OSError, match="no socket, which is left alone"):
        _listener(path)
    assert path.lstat() == before
    assert not path.with_name(".decide.sock.lock").exists()


def test_a_socket_of_another_kind_is_refused_and_left_alone(path: Path) -> None:
    """Somebody has it open for datagrams: a log, say."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(OSError, match="a socket of somebody else's"):
            _listener(path)
        assert path.is_socket()


def test_a_folder_that_is_not_there_is_named(path: Path) -> None:
    """It is not made: whose it should be, and who may enter, is not known here."""
    with pytest.raises(OSError, match=re.escape(f"its folder {path.parent / 'missing'} cannot be opened (No such file")):
        _listener(path.parent / "missing" / "decide.sock")


@pytest.mark.skipif(os.geteuid() == 0, reason="ROOT: no folder is closed to it")
def test_a_folder_that_must_not_be_written_to_is_refused(path: Path) -> None:
    path.parent.chmod(0o500)
    with pytest.raises(PermissionError):
        _listener(path)


def test_a_folder_that_somebody_keeps_locked_does_not_matter(path: Path) -> None:
    """Whoever may read a folder can lock it, for ever: neither the start nor the end of a server waits for that."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        made = _listener(path)
        made.remove()
        made.socket.close()
    finally:
        os.close(descriptor)
    assert not path.exists()


def test_the_lock_is_its_users_alone(listener: UnixListener) -> None:
    """Nobody else can open it, so that nobody else can keep it; and it stays when the socket goes."""
    lock = listener.path.with_name(".decide.sock.lock")
    assert stat.S_IMODE(lock.lstat().st_mode) == 0o600
    listener.remove()
    assert lock.exists()


def test_a_lock_that_its_user_keeps_is_waited_for_and_given_up(path: Path) -> None:
    """Not for ever at the start; and the end of a server does not need it."""
    made = _listener(path)
    descriptor = os.open(path.with_name(".decide.sock.lock"), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(OSError, match=r"another program keeps \.decide\.sock\.lock beside it locked"):
            _listener(path)
        made.remove()
    finally:
        os.close(descriptor)
        made.socket.close()
    assert not path.exists()


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "open to all"])
def test_what_has_the_locks_name_and_is_no_such_file_is_left_alone(path: Path, kind: str) -> None:
    """It is done without: a name that somebody took first keeps no server from starting, and nothing is written through it."""
    lock = path.with_name(".decide.sock.lock")
    if kind == "folder":
        lock.mkdir()
    elif kind == "link":
        lock.symlink_to(path.with_name("elsewhere"))
    elif kind == "pipe":
        os.mkfifo(lock)
    else:
        lock.touch()
        lock.chmod(0o666)
    descriptor = None if kind in ("link", "pipe") else os.open(lock, os.O_RDONLY)
    if descriptor is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    before = lock.lstat()
    with _listener(path).socket, connect(path):
        pass
    assert lock.lstat() == before
    assert not path.with_name("elsewhere").exists()
    if descriptor is not None:
        os.close(descriptor)


def test_of_many_that_start_at_once_one_listens(path: Path) -> None:
    """A stale file is there for each to remove, and none takes the file of another."""
    _leave_a_stale_one(path)
    started = threading.Barrier(8)
    made: list[UnixListener] = []
    refused: list[OSError] = []

    def start() -> None:
        started.wait()
        try:
            made.append(_listener(path))
        except OSError as error:
            refused.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = made
    assert len(refused) == 7
    with winner.socket, connect(path):
        accepted, _ = winner.socket.accept()
        accepted.close()


def test_callers_in_the_queue_are_still_there_when_the_file_is_gone(listener: UnixListener, path: Path) -> None:
    """That is how it goes deaf: a new caller finds nothing, at once, and nobody is lost."""
    with connect(path) as early:
        listener.remove()
        with pytest.raises(FileNotFoundError):
            connect(path)
        accepted, _ = listener.socket.accept()
        with accepted:
            early.sendall(b"hello")
            assert accepted.recv(5) == b"hello"


def test_a_successors_socket_is_never_removed(path: Path) -> None:
    first = _listener(path)
    first.remove()
    second = _listener(path)
    # The number of a file that is gone may be given to the next; the first one must not take it for its own.
    first.socket.close()
    first.remove()
    assert path.is_socket()
    path.unlink()
    third = _listener(path)
    second.remove()
    assert path.is_socket()
    third.remove()
    assert not path.exists()
    second.socket.close()
    third.socket.close()


def test_a_folder_that_is_gone_is_no_fault_at_the_end(tmp_path: Path) -> None:
    """The supervisor may remove it first."""
    folder = tmp_path / "run"
    folder.mkdir()
    made = _listener(folder / "decide.sock")
    shutil.rmtree(folder)
    made.remove()
    made.socket.close()


_HOSTS = ["127.0.0.1", "0.0.0.0", "127.0.0.2", *(["::", "::1"] if socket.has_dualstack_ipv6() else [])]  # noqa: S104
_APART = [{"127.0.0.1", "::1"}, {"127.0.0.1", "127.0.0.2"}, {"::1", "127.0.0.2"}, {"0.0.0.0", "::1"}]  # noqa: S104


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("first", "second"), list(itertools.product(_HOSTS, repeat=2)))
def test_two_servers_never_listen_on_one_port(first: str, second: str, workers: int) -> None:
    """Not on the same address, and not on all of them while another has one; on two that have nothing in common they do."""
    port = free_port()
    with contextlib.closing(TcpListener(first, port, 16, workers)):
        if {first, second} in _APART:
            TcpListener(second, port, 16, workers).close()
        else:
            with pytest.raises(OSError, match="in use"):
                TcpListener(second, port, 16, workers)


def test_of_many_servers_that_start_at_once_on_one_port_one_listens() -> None:
    port = free_port()
    started = threading.Barrier(8)
    made: list[TcpListener] = []
    refused: list[OSError] = []

    def start() -> None:
        started.wait()
        try:
            made.append(TcpListener("127.0.0.1", port, 16, 2))
        except OSError as error:
            refused.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = made
    winner.close()
    assert len(refused) == 7


def test_a_port_whose_connections_are_winding_down_is_free() -> None:
    """The side that closes first keeps them for a minute; a server that is started anew must not wait for that."""
    port = free_port()
    first = TcpListener("127.0.0.1", port, 16, 2)
    with contextlib.closing(first), connect(port) as caller:
        ready, _, _ = select.select([first.socket_of(0), first.socket_of(1)], [], [], 10)
        accepted, _ = ready[0].accept()
        accepted.close()
        assert caller.recv(1) == b""
    TcpListener("127.0.0.1", port, 16, 2).close()


@pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: all workers have one socket")
def test_every_worker_has_its_share_of_the_callers_unless_it_rests() -> None:
    """Of 200 on an idle machine, too: one socket would give all of them to whoever is quickest."""
    with contextlib.closing(TcpListener("127.0.0.1", free_port(), 256, 2)) as listener:
        port = listener.socket_of(0).getsockname()[1]

        def shares() -> list[int]:
            with contextlib.ExitStack() as stack:
                for _ in range(200):
                    stack.enter_context(connect(port, 10))
                return [_accept_all(listener.socket_of(worker)) for worker in range(2)]

        assert min(shares()) > 20
        listener.rest(1)
        assert shares() == [200, 0]
        listener.resume(1)
        assert min(shares()) > 20


def _accept_all(listening: socket.socket) -> int:
    count = 0
    listening.settimeout(0)
    with contextlib.suppress(OSError):
        while True:
            listening.accept()[0].close()
            count += 1
    return count
