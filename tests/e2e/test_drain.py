"""From SIGTERM to the end of the real server, as its callers see it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.e2e.publishing import is_alive, publish_universe, workers
from tests.e2e.wire import HEAD, LIVEZ, Wire, with_body
from tests.kit.servers import ROOT, DecideServer, clean_environment, decide_server, free_port, until

_LONG_S = "60"
"""A drain that outlasts whatever a slow machine takes to look at it; a second signal ends it."""
_NOTICED_S = 30.0
_IN_A_SESSION = (sys.executable, "-c", "import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])")
"""A launcher: what it becomes leads a process group, as what is started in a terminal does."""
_ASK = with_body("/decide", b'{"symbol": "AAPL"}')


def _settings(folder: Path, **settings: str) -> dict[str, str]:
    publish_universe(folder / "store.sqlite3")
    return {"STORE_PATH": str(folder / "store.sqlite3"), "CLOCK": "replay", "DRAIN_S": "2", **settings}


def _terminate_and_wait_for_503(server: DecideServer) -> None:
    server.process.send_signal(signal.SIGTERM)
    _wait_for_503(server)


def _wait_for_503(server: DecideServer) -> None:
    until(lambda: server.status_of("/readyz") == 503, _NOTICED_S, "/readyz turns to 503", 0.02)


def test_sigterm_turns_readyz_to_503_and_ends_connections_with_their_answers(tmp_path: Path) -> None:
    """While it drains the server answers as ever, on connections it had and on new ones, and closes each after its answer."""
    with decide_server(tmp_path, **_settings(tmp_path, DRAIN_S=_LONG_S)) as server:
        server.wait_ready()
        with Wire(server.port) as held:
            assert "connection" not in held.send(_ASK).answer().headers
            _terminate_and_wait_for_503(server)
            answer = held.send(_ASK).answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert held.is_closed()
        with Wire(server.port) as fresh:
            answer = fresh.send(LIVEZ).answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


def _wait_for_both_workers(server: DecideServer) -> None:
    server.wait_ready()
    until(lambda: server.log_path.read_text(encoding="utf-8").count("Started worker-") >= 2, _NOTICED_S, "both start", 0.02)
    assert len(workers(server)) == 2


def _wait_for_both_to_drain(server: DecideServer) -> None:
    """Each is told in the same moment, but hears it when it has its turn on the machine; from then on it says nothing but 503."""
    until(lambda: server.log_path.read_text(encoding="utf-8").count('"draining"') >= 2, _NOTICED_S, "both have heard", 0.02)


def test_workers_all_drain(tmp_path: Path) -> None:
    with decide_server(tmp_path, **_settings(tmp_path, WORKERS="2", DRAIN_S=_LONG_S)) as server:
        _wait_for_both_workers(server)
        server.process.send_signal(signal.SIGTERM)
        _wait_for_both_to_drain(server)
        assert {server.status_of("/readyz") for _ in range(20)} == {503}
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: elsewhere a listening socket cannot be made deaf")
def test_callers_under_way_lose_no_request_through_the_stop(tmp_path: Path) -> None:
    lost: list[str] = []
    answers = [0] * 8

    def call(number: int, port: int) -> None:
        with httpx.Client(timeout=httpx.Timeout(30, connect=5)) as client:
            while True:
                try:
                    status = client.post(f"http://127.0.0.1:{port}/decide", json={"symbol": "IBM"}).status_code
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    return
                except httpx.TransportError as error:
                    lost.append(repr(error))
                    return
                if status != 200:
                    lost.append(str(status))
                answers[number] += 1

    with decide_server(tmp_path, **_settings(tmp_path, DRAIN_S="1")) as server:
        server.wait_ready()
        callers = [threading.Thread(target=call, args=(number, server.port)) for number in range(8)]
        for caller in callers:
            caller.start()
        until(lambda: min(answers) > 0, _NOTICED_S, "all are answered")
        server.process.send_signal(signal.SIGTERM)
        for caller in callers:
            caller.join(30)
        assert server.process.wait(20) == 0
    assert lost == []


def test_a_second_signal_ends_the_drain(tmp_path: Path) -> None:
    """Whoever is in a hurry need not wait."""
    with decide_server(tmp_path, **_settings(tmp_path, DRAIN_S=_LONG_S)) as server:
        server.wait_ready()
        _terminate_and_wait_for_503(server)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


def test_ctrl_c_does_not_drain(tmp_path: Path) -> None:
    """A person at the terminal wants it to stop now."""
    with decide_server(tmp_path, **_settings(tmp_path, DRAIN_S=_LONG_S)) as server:
        server.wait_ready()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0


_not_windows = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="WINDOWS: there is no such signal")


def _hang_up(server: DecideServer) -> None:
    """As a terminal that is closed: every process that was started in it is told, by the kernel and by the shell."""
    for _ in range(2):
        os.killpg(server.process.pid, signal.SIGHUP)
        time.sleep(0.1)


@_not_windows
def test_a_terminal_that_is_closed_drains_the_server(tmp_path: Path) -> None:
    """No worker ends of it, and that it says so twice is no hurry; SIGTERM then is."""
    settings = _settings(tmp_path, WORKERS="2", DRAIN_S=_LONG_S)
    with decide_server(tmp_path, launcher=_IN_A_SESSION, **settings) as server:
        _wait_for_both_workers(server)
        _hang_up(server)
        _wait_for_both_to_drain(server)
        _hang_up(server)
        assert {server.status_of("/readyz") for _ in range(20)} == {503}
        assert all(map(is_alive, workers(server)))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    assert len(workers(server)) == 2


@_not_windows
def test_a_terminal_that_is_closed_ends_the_server(tmp_path: Path) -> None:
    """Once it has drained, with nobody to tell it more; and at once where there is no drain."""
    for drain_s in ("0.5", "0"):
        with decide_server(tmp_path, launcher=_IN_A_SESSION, **_settings(tmp_path, DRAIN_S=drain_s)) as server:
            server.wait_ready()
            _hang_up(server)
            assert server.process.wait(20) == 0


@_not_windows
def test_nohup_keeps_a_server_when_its_terminal_is_closed(tmp_path: Path) -> None:
    """What ignores SIGHUP as it starts goes on ignoring it, workers too."""
    with decide_server(tmp_path, launcher=[*_IN_A_SESSION, "nohup"], **_settings(tmp_path)) as server:
        server.wait_ready()
        _hang_up(server)
        time.sleep(0.5)
        assert server.status_of("/readyz") == 200
        started = workers(server)
        assert all(map(is_alive, started))
        assert server.stop() == 0
    assert len(started) == 1


@contextmanager
def _starting(folder: Path, **settings: str) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """A server with two workers, the first of which is a process now, but for long no server; and its log."""
    log_path = folder / "server.log"
    environment = clean_environment({"PYTHONPATH": str(ROOT), "PORT": str(free_port()), "WORKERS": "2", **settings})
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*_IN_A_SESSION, sys.executable, "-m", "app", "serve"], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        until(lambda: "Spawning worker-1" in log_path.read_text(encoding="utf-8"), _NOTICED_S, "a worker is started", 0.005)
        yield process, log_path
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@_not_windows
@pytest.mark.parametrize("drain_s", ["0", "0.2"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_before_the_workers_are_up_ends_the_server(name: str, drain_s: str, tmp_path: Path) -> None:
    """No worker misses it, so that it would have to be killed, and none that ends of it is a fault; whoever else is told."""
    settings = _settings(tmp_path, DRAIN_S=drain_s, SHUTDOWN_GRACE_S="15")
    for delay_s in (0.0, 0.05, 0.15, 0.3):
        with _starting(tmp_path, **settings) as (process, log_path):
            time.sleep(delay_s)
            if name == "SIGTERM":
                process.terminate()
            else:
                # At a terminal all of its processes are told.
                os.killpg(process.pid, getattr(signal, name))
            assert process.wait(30) == 0, log_path.read_text(encoding="utf-8")
            assert "Killing" not in log_path.read_text(encoding="utf-8")


def test_an_unfinished_upload_outlives_neither_drain_nor_grace(tmp_path: Path) -> None:
    settings = _settings(tmp_path, DRAIN_S="1", SHUTDOWN_GRACE_S="2", body_timeout_s="60")
    with decide_server(tmp_path, **settings) as server:
        server.wait_ready()
        with Wire(server.port) as upload:
            upload.send(HEAD % b"/decide" + b"Content-Length: 100\r\n\r\n{")
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            # Which is long before the body's time is over.
            server.process.wait(30)


def test_an_idle_connection_lives_as_long_as_the_setting_says(tmp_path: Path) -> None:
    """One that was used, and one that has sent half a head, are ended after it and not before."""
    with decide_server(tmp_path, **_settings(tmp_path, KEEP_ALIVE_S="2")) as server:
        server.wait_ready()
        with Wire(server.port) as used, Wire(server.port) as slow:
            used.send(LIVEZ).answer()
            slow.send(b"POST /decide HTTP/1.1\r\nHost: x\r\n")
            time.sleep(1.0)
            started = time.monotonic()
            used.send(LIVEZ).answer()
            assert used.is_closed()
            assert time.monotonic() - started > 1.0
            assert slow.is_closed()
