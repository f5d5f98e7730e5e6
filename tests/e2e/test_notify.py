"""What the real server tells systemd, and when."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.store.sqlite import EmbeddedStore
from tests.e2e.publishing import publish_universe
from tests.kit.records import tick
from tests.kit.servers import ROOT, clean_environment, connect, free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: there is no systemd")
_UNIT = {"STATE_DIRECTORY": "/var/lib/decide"}
_EMPTY = "STATUS=Waiting for data: the store is empty, and `systemctl start decide-warm` fills it."


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """Where systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(20)
        yield listening


def _until(systemd: socket.socket, words: str) -> str:
    while words not in (said := systemd.recv(4096).decode()):
        pass
    return said


@contextmanager
def _started(folder: Path, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """As systemd does, which looks at nothing but what it is told."""
    store = {"NOTIFY_SOCKET": str(folder / "notify"), "STORE_PATH": str(folder / "store.sqlite3"), "PYTHONPATH": str(ROOT)}
    environment = clean_environment({**store, "DRAIN_S": "1", **settings})
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "app"], cwd=folder, env=environment, stdout=log)
    try:
        yield process
    finally:
        # Killed, it would leave its workers behind.
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("kind", ["port", "socket"])
def test_ready_means_that_callers_are_served(tmp_path: Path, systemd: socket.socket, kind: str, workers: str) -> None:
    """Connected to in that very moment; then the status follows the data, and the end is told as it begins."""
    place: int | Path = free_port() if kind == "port" else tmp_path / "d.sock"
    where = {"PORT": str(place)} if kind == "port" else {"HOST": f"unix:{place}"}
    with _started(tmp_path, WORKERS=workers, **where) as process:
        assert systemd.recv(4096).decode().startswith("READY=1\nSTATUS=Waiting for ")
        connect(place, 5).close()
        publish_universe(tmp_path / "store.sqlite3")
        _until(systemd, "STATUS=Serving 3 symbols of run run-1.")
        process.send_signal(signal.SIGTERM)
        assert _until(systemd, "STOPPING=1").endswith("STATUS=Draining: those under way are served to their end.")
        assert process.wait(20) == 0


def test_an_empty_store_is_said_with_what_fills_it(tmp_path: Path, systemd: socket.socket) -> None:
    """Also if it did not answer yet when callers were first served; the log says the same."""
    with _started(tmp_path, PORT=str(free_port()), **_UNIT) as process:
        _until(systemd, _EMPTY)
        assert ": none yet; next: systemctl start decide-warm" in (tmp_path / "log").read_text(encoding="utf-8")
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize("place", ["", "/home/me/.local/state/decide", "/var/lib/decide-too"])
def test_under_another_unit_nobody_is_sent_to_ours(tmp_path: Path, systemd: socket.socket, place: str) -> None:
    """It would load another store; the log has the command that loads this one."""
    with _started(tmp_path, PORT=str(free_port()), STATE_DIRECTORY=place) as process:
        _until(systemd, "STATUS=Waiting for data: the store is empty.")
        assert ": none yet; next: decide warm --store-path=" in (tmp_path / "log").read_text(encoding="utf-8")
        process.terminate()
        assert process.wait(20) == 0


def test_what_no_run_brought_is_served_without_one(tmp_path: Path, systemd: socket.socket) -> None:
    async def upsert() -> None:
        store = EmbeddedStore(tmp_path / "store.sqlite3")
        await store.upsert([tick("AAPL")])
        await store.close()

    with _started(tmp_path, PORT=str(free_port())):
        _until(systemd, "READY=1")
        asyncio.run(upsert())
        _until(systemd, "STATUS=Serving 1 symbols.")
