"""The client over a Unix socket, where the kernel does not try again by itself."""

import runpy
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.commands.client import Refused, Unanswered, address_of, ask
from tests.kit.servers import ROOT, connect

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: elsewhere a full queue refuses")
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
_NO_BODY = b"GET /readyz HTTP/1.1\r\n\r\n"
_REFUSAL = b'{"type":"urn:decide:problem:body-too-large","title":"Body too large","status":413,"detail":"at most 1 byte"}'
_MOMENT_S = 0.2


@pytest.fixture
def full(tmp_path: Path) -> Iterator[socket.socket]:
    """A server with one caller in its queue, and no room for another."""
    path = tmp_path / "decide.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        with connect(path):
            with pytest.raises(BlockingIOError):
                connect(path, 10)
            yield listener


def _serve_later(listener: socket.socket) -> threading.Thread:
    def serve() -> None:
        time.sleep(_MOMENT_S)
        listener.accept()[0].close()
        accepted, _ = listener.accept()
        with accepted:
            # All of it: head and body may come one after the other.
            asked = b""
            while not asked.endswith((b"{}", _NO_BODY)):
                said = accepted.recv(65_536)
                if not said:
                    return
                asked += said
            accepted.sendall(_ANSWER)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_full_queue_is_waited_for(full: socket.socket) -> None:
    server = _serve_later(full)
    assert ask(address_of(f"unix:{full.getsockname()}"), "/decide", b"{}", None, 20) == b"{}"
    server.join()


def test_a_refusal_before_all_was_read_is_heard(tmp_path: Path) -> None:
    """A server that does not want the rest of a body answers and closes; what it said is not lost over that."""
    path = tmp_path / "decide.sock"

    def refuse() -> None:
        accepted, _ = listener.accept()
        with accepted:
            accepted.recv(1)
            accepted.sendall(b"HTTP/1.1 413 No\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(_REFUSAL) + _REFUSAL)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        server = threading.Thread(target=refuse)
        server.start()
        with pytest.raises(Refused) as refused:
            ask(address_of(f"unix:{path}"), "/decide", bytes(10_000_000), None, 20)
        server.join()
    assert refused.value.problem.status == 413


def test_who_hangs_up_before_a_connection_stands_is_said_to_have() -> None:
    def hang_up() -> None:
        accepted, _ = listener.accept()
        with accepted:
            accepted.recv(1)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=hang_up)
        server.start()
        with pytest.raises(Unanswered, match="Connection reset by peer"):
            ask(address_of(f"https://127.0.0.1:{listener.getsockname()[1]}"), "/decide", b"{}", None, 20)
        server.join()


def test_a_queue_that_stays_full_is_given_up(full: socket.socket) -> None:
    with pytest.raises(Unanswered, match=r"no answer within|its queue is full"):
        ask(address_of(f"unix:{full.getsockname()}"), "/decide", b"{}", None, _MOMENT_S)


def test_the_health_check_waits_for_a_full_queue(full: socket.socket) -> None:
    """A busy server is not a dead one."""
    server = _serve_later(full)
    probe = runpy.run_path(str(ROOT / "ops" / "probe.py"))
    with probe["connect"](f"unix:{full.getsockname()}", "") as connection:
        connection.sendall(_NO_BODY)
        assert connection.recv(64).startswith(b"HTTP/1.1 200 ")
    server.join()
