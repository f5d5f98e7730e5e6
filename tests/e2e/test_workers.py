"""Workers of the real server that die, or stand still: another takes their place, and whoever else serves goes on."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.publishing import is_alive, publish_universe, workers
from tests.kit.servers import ROOT, DecideServer, decide_server, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="WINDOWS: one worker, and no such signals")
_PATIENCE_S = 40.0


@contextmanager
def _server(folder: Path, workers_wanted: int = 2, **settings: str) -> Iterator[DecideServer]:
    store = folder / "store.sqlite3"
    publish_universe(store)
    more = {"STORE_PATH": str(store), "CLOCK": "replay", "WORKERS": str(workers_wanted), "SHUTDOWN_GRACE_S": "3", **settings}
    with decide_server(folder, **more) as server:
        server.wait_ready()
        _wait_for_started(server, workers_wanted)
        yield server


def _wait_for_started(server: DecideServer, count: int) -> None:
    until(lambda: server.log_path.read_text(encoding="utf-8").count("Started worker-") >= count, _PATIENCE_S, "all start", 0.05)


def _restarts(server: DecideServer) -> tuple[float, float]:
    return (
        server.metric('decide_worker_restarts_total{reason="died"}'),
        server.metric('decide_worker_restarts_total{reason="stuck"}'),
    )


def _unanswered(server: DecideServer, over: threading.Event) -> list[str]:
    """Ask on new connections until it is over; what had no answer of 200."""
    wrong = []
    while not over.is_set():
        try:
            status = httpx.post(server.url + "/decide", json={"symbol": "AAPL"}, timeout=20).status_code
        except httpx.TransportError as error:
            wrong.append(repr(error))
        else:
            if status != 200:
                wrong.append(str(status))
    return wrong


@pytest.mark.parametrize("sent", ["SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_dead_worker_is_started_anew(tmp_path: Path, count: int, sent: str) -> None:
    with _server(tmp_path, count) as server:
        victim = workers(server)[0]
        os.kill(victim, getattr(signal, sent))
        _wait_for_started(server, count + 1)
        assert server.status_of("/readyz") == 200
        assert _restarts(server) == (1.0, 0.0)
        assert not is_alive(victim)
        assert sum(map(is_alive, workers(server))) == count
        assert server.stop() == 0
    assert not any(map(is_alive, workers(server)))


def test_while_one_worker_is_dead_nobody_loses_more_than_what_was_in_it(tmp_path: Path) -> None:
    """Who asks for one thing at a time loses one at most: the other serves, and the next goes on with the queue of the dead one.
    What it had counted stays counted.
    """
    with _server(tmp_path) as server:
        wrong: list[str] = []
        over = threading.Event()
        asker = threading.Thread(target=lambda: wrong.extend(_unanswered(server, over)))
        victim, other = workers(server)
        asker.start()
        try:
            server.wait_for_load(50)
            os.kill(victim, signal.SIGKILL)
            before = server.decisions()
            assert before >= 50
            _wait_for_started(server, 3)
            server.wait_for_load(50)
        finally:
            over.set()
            asker.join(60)
        assert len(wrong) <= 1, wrong
        assert is_alive(other)
        assert server.decisions() >= before


def test_a_worker_that_stands_still_is_found_and_replaced(tmp_path: Path) -> None:
    """Also where it is the only one: whoever waits for it has an answer from the next."""
    with _server(tmp_path, 1) as server:
        (stuck,) = workers(server)
        os.kill(stuck, signal.SIGSTOP)
        until(lambda: not is_alive(stuck), _PATIENCE_S, "it is ended", 0.1)
        _wait_for_started(server, 2)
        assert server.status_of("/readyz") == 200
        assert _restarts(server) == (0.0, 1.0)
        assert "worker-1 is stuck" in server.log_path.read_text(encoding="utf-8")
        assert server.stop() == 0


def test_a_worker_that_dies_while_the_server_drains_is_not_started_anew(tmp_path: Path) -> None:
    """Its end was near."""
    with _server(tmp_path, DRAIN_S="60") as server:
        victim, other = workers(server)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.status_of("/readyz") == 503, _PATIENCE_S, "it drains", 0.05)
        os.kill(victim, signal.SIGKILL)
        until(lambda: not is_alive(victim), _PATIENCE_S, "it has ended", 0.05)
        until(lambda: server.status_of("/readyz") == 503, _PATIENCE_S, "the other one answers", 0.05)
        assert is_alive(other)
        assert len(workers(server)) == 2
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)
        assert len(workers(server)) == 2


def test_a_server_whose_workers_cannot_start_ends(tmp_path: Path) -> None:
    """With an error, and not again and again: it has never served."""
    # A library that workers alone import.
    (tmp_path / "uuid_utils.py").write_text("raise SystemExit(3)", encoding="utf-8")
    with pytest.raises(RuntimeError, match="ended with 1 before"):
        DecideServer(tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}", WORKERS="2")
