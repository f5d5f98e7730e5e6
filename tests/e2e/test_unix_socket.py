"""The real server on a Unix socket: all that it answers, who may call, how it ends, and that no request is lost."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.client import unix_connect

from tests.e2e.publishing import publish, publish_universe, stop_and_read_log, workers
from tests.e2e.streaming import EventSource
from tests.e2e.wire import LIVEZ, Wire, with_body
from tests.kit.keys import SECRET
from tests.kit.records import AS_OF_MS, row, run_info
from tests.kit.servers import ROOT, DecideServer, clean_environment, connect, decide_server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="WINDOWS: it has no Unix socket for the server")
_ASK = with_body("/decide", b'{"symbol": "AAPL"}')


def _settings(folder: Path, **settings: str) -> dict[str, str]:
    store = folder / "store.sqlite3"
    publish_universe(store)
    return {"HOST": f"unix:{folder / 'd.sock'}", "STORE_PATH": str(store), "CLOCK": "replay", "LOG_FORMAT": "json", **settings}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DecideServer]:
    """Warmed and ready."""
    with decide_server(tmp_path, **_settings(tmp_path)) as running:
        running.wait_ready()
        yield running


def _path(server: DecideServer) -> Path:
    assert isinstance(server.place, Path)
    return server.place


def _app(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    environment = clean_environment({"PYTHONPATH": str(ROOT), **settings})
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False
    )


def test_it_answers_as_it_does_over_tcp(server: DecideServer) -> None:
    assert stat.S_IMODE(_path(server).stat().st_mode) == 0o660
    with server.client() as client:
        assert client.post("/decide", json={"symbol": "AAPL"}).json()["symbol"] == "AAPL"
        answers = client.post("/decide/batch", json={"symbols": ["AAPL", "IBM"]}).json()["answers"]
        assert [each["decision"]["symbol"] for each in answers] == ["AAPL", "IBM"]
        for path in ("/health", "/livez", "/readyz", "/version", "/status", "/symbols", "/features/AAPL", "/", "/openapi.json"):
            assert client.get(path).status_code == 200, path
    assert server.decisions() == 3
    with Wire(server.place) as wire:
        assert wire.send(b"GET /livez HTTP/1.1\r\n\r\n").answer().status == 400
    with Wire(server.place) as wire:
        assert wire.send(LIVEZ).answer().status == 200
        assert wire.send(_ASK).answer().status == 200


def test_streams_and_websockets_tell_what_changes(server: DecideServer, tmp_path: Path) -> None:
    async def talk() -> tuple[str, str]:
        async with unix_connect(str(server.place), uri="ws://localhost/ws") as socket:
            await socket.send('{"type":"subscribe","symbols":["AAPL"]}')
            assert json.loads(await socket.recv())["type"] == "subscribed"
            first = json.loads(await socket.recv())
            store = tmp_path / "store.sqlite3"
            await asyncio.to_thread(publish, store, [row("AAPL", AS_OF_MS + 2, "run-2")], run_info("run-2", AS_OF_MS + 2))
            second = json.loads(await socket.recv())
            return first["decision"]["cache"]["run"], second["decision"]["cache"]["run"]

    with EventSource(server.place, "AAPL") as stream:
        stream.next("decision")
        assert asyncio.run(talk()) == ("run-1", "run-2")
        assert stream.next("decision").data["cache"]["run"] == "run-2"


def test_the_client_asks_over_it(server: DecideServer, tmp_path: Path) -> None:
    path = _path(server)
    for url in (f"unix:{path}", f"unix://{path}"):
        done = _app("-m", "app", "ask", "AAPL", "--json", "--url", url)
        assert (done.returncode, json.loads(done.stdout)["symbol"]) == (0, "AAPL"), done.stderr
    missing = _app("-m", "app", "ask", "AAPL", "--url", f"unix:{tmp_path}/none.sock")
    assert (missing.returncode, missing.stderr) == (
        3,
        f"decide: no answer from unix:{tmp_path}/none.sock: No such file or directory\n",
    )
    for wrong in ("unix:none.sock", "unix://run/x.sock", "unix:", "unix:/run/", "unix:/" + "x" * 200):
        refused = _app("-m", "app", "ask", "AAPL", "--url", wrong)
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr
        assert "socket's" in refused.stderr


def test_the_images_health_check_asks_over_it(server: DecideServer) -> None:
    probe = ("-I", "-S", str(ROOT / "ops" / "probe.py"))
    done = _app(*probe, HOST=f"unix:{server.place}")
    assert (done.returncode, done.stdout) == (0, "HTTP/1.1 200 OK\n")
    done = _app(*probe, HOST="unix:/nonexistent/d.sock")
    assert (done.returncode, done.stdout.partition(": ")[0]) == (1, "nobody answers at unix:/nonexistent/d.sock")
    assert _app(*probe, PORT=str(server.port)).returncode == 1


def test_a_second_server_on_it_is_refused_and_the_first_serves_on(server: DecideServer) -> None:
    for host, says in (
        (f"unix:{server.place}", "a server listens there already"),
        (f"unix:{ROOT / 'README.md'}", "there is a file that is no socket, which is left alone"),
        ("unix:/nonexistent/d.sock", "its folder /nonexistent cannot be opened (No such file or directory)"),
    ):
        done = _app("-m", "app", HOST=host)
        assert (done.returncode, done.stderr) == (4, f"settings: HOST is {host!r}; cannot listen there: {says}\n")
    assert server.status_of("/livez") == 200


def _listens(path: Path) -> bool:
    try:
        connect(path).close()
    except ConnectionRefusedError:
        return False
    return True


def test_what_a_killed_server_left_does_not_stop_the_next(tmp_path: Path) -> None:
    """Its file is still there, and nobody answers at it."""
    settings = _settings(tmp_path)
    first = DecideServer(tmp_path, **settings)
    first.wait_ready()
    for pid in (first.process.pid, *workers(first)):
        os.kill(pid, signal.SIGKILL)
    first.process.wait(20)
    # Until its worker is gone too it is a server that listens.
    deadline = time.monotonic() + 20
    while _listens(_path(first)):
        assert time.monotonic() < deadline, "a worker outlives SIGKILL"
        time.sleep(0.05)
    assert _path(first).is_socket()
    with decide_server(tmp_path, **settings) as second:
        second.wait_ready()
        code, _ = stop_and_read_log(second)
    assert code == 0
    assert not _path(second).exists()


def test_keys_and_limits_hold_over_it(tmp_path: Path) -> None:
    """Where keys are wanted; and without keys all callers are one, but for whom a trusted proxy names."""
    (tmp_path / "keys").mkdir()
    with decide_server(tmp_path / "keys", **_settings(tmp_path / "keys", ACCESS="keys", API_KEY_SECRET=SECRET)) as server:
        server.wait_ready()
        with server.client() as client:
            assert client.post("/decide", json={"symbol": "AAPL"}).status_code == 401
    limited = {"RATE_LIMIT_PER_S": "0.001", "RATE_LIMIT_BURST": "2"}
    for name, proxies, expected in (("one", "", [200, 200, 429, 429]), ("many", "unix", [200] * 4)):
        (tmp_path / name).mkdir()
        with decide_server(tmp_path / name, **_settings(tmp_path / name, TRUSTED_PROXIES=proxies, **limited)) as server:
            server.wait_ready()
            found = []
            for caller in range(4):
                with server.client() as client:
                    headers = {"X-Forwarded-For": f"203.0.113.{caller}"}
                    found.append(client.post("/decide", json={"symbol": "AAPL"}, headers=headers).status_code)
            assert found == expected


class _Caller(threading.Thread):
    """Asks until it is told to stop; connects anew when the server ends a connection with its answer."""

    def __init__(self, path: Path, over: threading.Event) -> None:
        super().__init__()
        self._path = path
        self._over = over
        self.answers = 0
        self.lost: list[str] = []
        self.refused: list[float] = []

    def run(self) -> None:
        """Between two servers there is no file, or for a moment one that nobody listens at yet: nothing is sent then."""
        while not self._over.is_set():
            began = time.monotonic()
            try:
                with Wire(self._path) as wire:
                    self._ask(wire)
            except FileNotFoundError:
                time.sleep(0.01)
            except ConnectionRefusedError:
                self.refused.append(began)
            except OSError as error:
                self.lost.append(repr(error))

    def _ask(self, wire: Wire) -> None:
        while not self._over.is_set():
            answer = wire.send(_ASK).answer()
            self.answers += 1
            if answer.status != 200:
                self.lost.append(str(answer.status))
            if answer.headers.get("connection") == "close":
                return


@pytest.mark.parametrize("count", ["1", "2"])
def test_callers_lose_no_request_through_the_stop_and_find_the_successor(tmp_path: Path, count: str) -> None:
    over = threading.Event()
    settings = _settings(tmp_path, DRAIN_S="1", WORKERS=count)
    (tmp_path / "next").mkdir()
    with decide_server(tmp_path, **settings) as old:
        old.wait_ready()
        path = _path(old)
        callers = [_Caller(path, over) for _ in range(8)]
        for caller in callers:
            caller.start()
        time.sleep(0.5)
        old.process.send_signal(signal.SIGTERM)
        while path.exists():
            time.sleep(0.005)
        # The old one is deaf and not yet gone; its end must not take the successor's file away.
        gone = time.monotonic()
        with decide_server(tmp_path / "next", **settings) as successor:
            listens = time.monotonic()
            successor.wait_ready()
            assert old.process.wait(20) == 0
            assert path.is_socket()
            before = [caller.answers for caller in callers]
            deadline = time.monotonic() + 20
            while not all(caller.answers > known for caller, known in zip(callers, before, strict=True)):
                assert time.monotonic() < deadline, "the successor does not answer"
                time.sleep(0.05)
            over.set()
            for caller in callers:
                caller.join(30)
            assert successor.status_of("/readyz") == 200
    assert [each for caller in callers for each in caller.lost] == []
    assert [moment for caller in callers for moment in caller.refused if not gone < moment < listens] == []
    assert min(caller.answers for caller in callers) > 0


def test_when_the_file_is_gone_who_is_connected_is_still_served(tmp_path: Path) -> None:
    """Callers go elsewhere before the server stops, not with it."""
    with decide_server(tmp_path, **_settings(tmp_path, DRAIN_S="1")) as server:
        server.wait_ready()
        with Wire(server.place) as wire:
            assert wire.send(_ASK).answer().status == 200
            server.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 20
            while _path(server).exists():
                assert time.monotonic() < deadline, "the file stays"
                time.sleep(0.005)
            answer = wire.send(_ASK).answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert server.process.wait(20) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: elsewhere nothing ends a connection that is not read")
@pytest.mark.parametrize("stop", ["slow", "SIGTERM", "SIGINT"])
def test_who_does_not_read_is_hung_up_on_and_does_not_hold_up_the_stop(tmp_path: Path, stop: str) -> None:
    """It has no address to be found by, but it is the one that takes nothing; as it falls behind, and when the server ends."""
    symbols = [f"S{number:03}" for number in range(300)]
    queue = {"stream_queue": "400", "STREAM_MAX_SYMBOLS": "400"} if stop == "slow" else {"stream_queue": "100000"}
    settings = _settings(tmp_path, **queue, SHUTDOWN_GRACE_S="30", DRAIN_S="1")
    store = tmp_path / "store.sqlite3"
    publish_universe(store, symbols)
    with decide_server(tmp_path, **settings) as server:
        server.wait_ready()
        with EventSource(server.place, ",".join(symbols)) as slow, EventSource(server.place, "S007") as other:
            slow.opened()
            other.next("decision")
            for run in range(2, 12):
                at = AS_OF_MS + run
                publish(store, [row(each, at, f"run-{run}") for each in symbols], run_info(f"run-{run}", at))
                while other.next("decision").data["cache"]["run"] != f"run-{run}":
                    pass
            if stop == "slow":
                deadline = time.monotonic() + 20
                while _ended(server) == 0:
                    assert time.monotonic() < deadline, "nobody was dropped"
                    time.sleep(0.05)
                while not slow.is_cut():
                    assert time.monotonic() < deadline, "nobody was hung up on"
                    time.sleep(0.2)
                at = AS_OF_MS + 99
                publish(store, [row("S007", at, "run-99")], run_info("run-99", at))
                while other.next("decision").data["cache"]["run"] != "run-99":
                    pass
                return
            server.process.send_signal(signal.SIGTERM if stop == "SIGTERM" else signal.SIGINT)
            assert other.next("dropped").data["reason"] == "draining"
            # Which is less than the grace.
            assert server.process.wait(25) == 0


def _ended(server: DecideServer) -> float:
    return server.metric('decide_stream_ended_total{reason="slow",transport="sse"}')


def test_a_websocket_of_a_foreign_page_is_refused(server: DecideServer) -> None:
    """A proxy may lead browsers here."""

    async def talk() -> int:
        origin = {"origin": "http://evil.test"}
        with pytest.raises(websockets.InvalidStatus) as refused:
            await unix_connect(str(server.place), uri="ws://localhost/ws", additional_headers=origin)
        return refused.value.response.status_code

    assert asyncio.run(talk()) == 403
