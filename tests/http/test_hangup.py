"""Ending connections whose clients do not read."""

import asyncio
import contextlib
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from app.http.hangup import HangUps, full_ones, hang_up, keep_peer

_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: nothing else says which sockets a process has")


def _pair(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection(listener.getsockname(), timeout=10)
    served, _ = listener.accept()
    return client, served


def _read_all(client: socket.socket) -> None:
    while client.recv(65_536):
        pass


def _fill(served: socket.socket) -> None:
    served.settimeout(0.0)
    with contextlib.suppress(BlockingIOError):
        while served.send(b"x" * 65_536):
            pass


@_LINUX
def test_the_connection_to_a_peer_is_ended_and_no_other() -> None:
    """Its client meets a reset as soon as the server has let go too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        (client, served), (other, others) = _pair(listener), _pair(listener)
        _fill(served)
        assert hang_up([client.getsockname(), ("192.0.2.1", 1)]) == 1
        with pytest.raises(BrokenPipeError):
            served.sendall(b"more")
        served.close()
        others.sendall(b"fine")
        assert other.recv(10) == b"fine"
        with pytest.raises(ConnectionResetError):
            _read_all(client)
        for each in (client, other, others):
            each.close()


@_LINUX
def test_a_look_over_all_descriptors_leaves_none_behind() -> None:
    """Most of a process's are no sockets, and each look makes copies."""
    with tempfile.TemporaryFile():
        before = len(tuple(Path("/proc/self/fd").iterdir()))
        hang_up([("192.0.2.1", 1)])
        assert len(tuple(Path("/proc/self/fd").iterdir())) == before


@_LINUX
@pytest.mark.parametrize("look", [lambda: hang_up([("192.0.2.1", 1)]), full_ones], ids=["TCP", "Unix"])
def test_a_look_over_all_descriptors_leaves_sqlites_locks_alone(tmp_path: Path, look: Callable[[], object]) -> None:
    """Without them, who writes next from elsewhere removes the log under the connections of this process, which then read on from
    what nobody writes to any more.
    """
    path = tmp_path / "store.sqlite3"
    write = "import sqlite3, sys; own = sqlite3.connect(sys.argv[1]); own.execute('INSERT INTO runs VALUES (1)'); own.commit()"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("PRAGMA journal_mode = WAL")
        reader.execute("CREATE TABLE runs (number)")
        look()
        for count in (1, 2):
            subprocess.run([sys.executable, "-c", f"{write}; own.close()", path], check=True)
            assert reader.execute("SELECT count(*) FROM runs").fetchone() == (count,)


@_LINUX
def test_a_client_of_ipv4_is_found_on_a_socket_of_both_families() -> None:
    """There its address stands inside one of IPv6, in the scope as in the kernel."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("NO IPV6: this machine has no sockets of both families")

    async def work() -> None:
        hang_ups = HangUps()
        with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
            client = socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=10)
            served, peer = listener.accept()
            assert peer[0] == "::ffff:127.0.0.1"
            hang_ups.ask({"type": "http", "client": (peer[0], str(peer[1]))})
            assert await asyncio.to_thread(client.recv, 10) == b""
            client.close()
            served.close()

    asyncio.run(work())


@_LINUX
def test_behind_a_trusted_proxy_the_proxys_connection_is_ended() -> None:
    """The client is somebody else, who has none."""

    async def work() -> None:
        hang_ups = HangUps()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            proxy, served = _pair(listener)

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                del receive, send
                hang_ups.ask({**scope, "client": ("203.0.113.7", 0)})

            host, port = proxy.getsockname()
            await keep_peer(app)({"type": "http", "client": (host, port)}, _never, _never)
            assert await asyncio.to_thread(proxy.recv, 10) == b""
            proxy.close()
            served.close()

    asyncio.run(work())


async def _never(*_: object) -> Any:  # noqa: ANN401 - as ASGI has it
    raise AssertionError


@_LINUX
def test_those_asked_for_within_a_moment_are_ended_together() -> None:
    """Ports come as text from Granian; a connection without an address (of a test, of a Unix socket) is left alone."""

    async def work() -> None:
        hang_ups = HangUps()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            pairs = [_pair(listener) for _ in range(3)]
            for client, _ in pairs:
                host, port = client.getsockname()
                hang_ups.ask({"type": "http", "client": (host, str(port))})
            hang_ups.ask({"type": "http", "client": None})
            for client, served in pairs:
                assert await asyncio.to_thread(client.recv, 10) == b""
                client.close()
                served.close()

    asyncio.run(work())
