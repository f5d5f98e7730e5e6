"""From SIGTERM to the end of the real server, as its callers see it."""

import signal
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.publishing import publish_universe, workers
from tests.e2e.wire import HEAD, LIVEZ, Wire, with_body
from tests.servers import DecideServer, decide_server

_DRAIN_S = 2.0
_ASK = with_body("/decide", b'{"symbol": "AAPL"}')


def _settings(folder: Path, **settings: str) -> dict[str, str]:
    publish_universe(folder / "store.sqlite3")
    return {"STORE_PATH": str(folder / "store.sqlite3"), "CLOCK": "replay", "DRAIN_S": str(_DRAIN_S), **settings}


def _terminate_and_wait_for_503(server: DecideServer) -> None:
    server.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + _DRAIN_S
    while server.status_of("/readyz") != 503:
        assert time.monotonic() < deadline, "/readyz did not turn to 503"
        time.sleep(0.02)


def test_sigterm_turns_readyz_to_503_and_ends_connections_with_their_answers(tmp_path: Path) -> None:
    """While it drains the server answers as ever, on connections it had and on new ones, and closes each after its answer."""
    with decide_server(tmp_path, **_settings(tmp_path)) as server:
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
        assert server.process.wait(20) == 0


def test_workers_all_drain(tmp_path: Path) -> None:
    """With two of them, neither says that it is ready once the signal has come."""
    with decide_server(tmp_path, **_settings(tmp_path, WORKERS="2")) as server:
        server.wait_ready()
        time.sleep(1.0)
        assert len(workers(server)) == 2
        _terminate_and_wait_for_503(server)
        time.sleep(0.2)
        assert {server.status_of("/readyz") for _ in range(20)} == {503}
        assert server.process.wait(20) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: elsewhere a listening socket cannot be made deaf")
def test_callers_under_way_lose_no_request_through_the_stop(tmp_path: Path) -> None:
    """Eight callers, each opening connections as it must: every request on an accepted connection has its answer."""
    lost: list[str] = []
    answers = [0] * 8

    def call(number: int, port: int) -> None:
        with httpx.Client(timeout=5) as client:
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
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        for caller in callers:
            caller.join(30)
        assert server.process.wait(20) == 0
    assert lost == []
    assert min(answers) > 0


def test_a_second_signal_ends_the_drain(tmp_path: Path) -> None:
    """Whoever is in a hurry need not wait."""
    with decide_server(tmp_path, **_settings(tmp_path, DRAIN_S="60")) as server:
        server.wait_ready()
        _terminate_and_wait_for_503(server)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


def test_ctrl_c_does_not_drain(tmp_path: Path) -> None:
    """A person at the terminal wants it to stop now."""
    with decide_server(tmp_path, **_settings(tmp_path, DRAIN_S="60")) as server:
        server.wait_ready()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0


def test_a_signal_before_the_workers_are_up_ends_the_server(tmp_path: Path) -> None:
    """A worker that is not listening for the drain yet is not ended by it in a way that counts as a fault."""
    for delay_s in (0.15, 0.3, 0.45):
        with decide_server(tmp_path, **_settings(tmp_path, DRAIN_S="0.2")) as server:
            time.sleep(delay_s)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(20) == 0


def test_an_unfinished_upload_outlives_neither_drain_nor_grace(tmp_path: Path) -> None:
    """The server ends within both, whatever a caller has not finished."""
    settings = _settings(tmp_path, DRAIN_S="1", SHUTDOWN_GRACE_S="2", BODY_TIMEOUT_S="60")
    with decide_server(tmp_path, **settings) as server:
        server.wait_ready()
        with Wire(server.port) as upload:
            upload.send(HEAD % b"/decide" + b"Content-Length: 100\r\n\r\n{")
            time.sleep(0.3)
            started = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(20)
            assert time.monotonic() - started < 1 + 2 + 4


def test_an_idle_connection_lives_as_long_as_the_setting_says(tmp_path: Path) -> None:
    """One that was used, and one that has sent half a head, are ended after it and not before."""
    with decide_server(tmp_path, **_settings(tmp_path, KEEP_ALIVE_S="2")) as server:
        server.wait_ready()
        with Wire(server.port) as used, Wire(server.port) as slow:
            used.send(LIVEZ).answer()
            slow.send(b"POST /decide HTTP/1.1\r\nHost: x\r\n")
            time.sleep(1.0)
            used.send(LIVEZ).answer()
            started = time.monotonic()
            assert used.is_closed()
            assert 1.0 < time.monotonic() - started < 6.0
            assert slow.is_closed()
