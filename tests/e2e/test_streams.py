"""Live decisions from the real server: SQLite and Redis, both transports, resuming, slow readers, the end."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.publishing import publish, publish_universe, workers
from tests.e2e.streaming import EventSource
from tests.kit.records import AS_OF_MS, row, run_info
from tests.kit.servers import DecideServer, decide_server, until


class Place(NamedTuple):
    """A server on a store, and where to publish."""

    server: DecideServer
    target: Path | str

    def publish(self, run: str, *symbols: str) -> None:
        """A new run of these symbols."""
        number = int(run.rpartition("-")[2])
        publish(self.target, [row(each, AS_OF_MS + number, run) for each in symbols], run_info(run, AS_OF_MS + number))


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Warmed, ready, with short heartbeats."""
    target: Path | str = tmp_path / "store.sqlite3"
    settings = {"STORE_PATH": str(target), "CLOCK": "replay", "LOG_FORMAT": "json", "stream_heartbeat_s": "0.5"}
    if request.param == "redis":
        target = settings["REDIS_URL"] = request.getfixturevalue("redis_url")
    publish_universe(target)
    with decide_server(tmp_path, **settings) as server:
        server.wait_ready()
        yield Place(server, target)


def test_a_publication_comes_to_all_who_follow_its_symbols(place: Place) -> None:
    with EventSource(place.server.port, "AAPL,ibm") as both, EventSource(place.server.port, "MSFT") as other:
        first, second = both.next("decision"), both.next("decision")
        assert [each.data["requested"] for each in (first, second)] == ["AAPL", "ibm"]
        assert [each.data["symbol"] for each in (first, second)] == ["AAPL", "IBM"]
        assert (first.event_id is None, second.event_id is None) == (True, False)
        assert b"text/event-stream" in both.head
        assert b"x-request-id" in both.head
        other.next("decision")
        place.publish("run-2", "IBM")
        told = both.next("decision")
        assert (told.data["symbol"], told.data["cache"]["run"], told.data["fallback"]["used"]) == ("IBM", "run-2", False)
        assert told.event_id not in (None, second.event_id)
        place.publish("run-3", "MSFT")
        assert other.next("decision").data["cache"]["run"] == "run-3"


def test_everything_is_followed_and_only_real_changes_are_told(place: Place) -> None:
    """The same records published again by another run are none; the action before, and what is new, are told."""
    with EventSource(place.server.port, "*") as everything, EventSource(place.server.port, "NOPE,AAPL") as some:
        first = [everything.next("decision").data for _ in range(3)]
        assert [each["symbol"] for each in first] == ["AAPL", "IBM", "MSFT"]
        assert {each["previous"] for each in first} == {None}
        assert some.next("gone").data["problem"]["type"] == "urn:decide:problem:unknown-symbol"
        assert some.next("decision").data["symbol"] == "AAPL"
        publish(place.target, [row(each, run="run-2") for each in ("AAPL", "IBM", "MSFT")], run_info("run-2"))
        place.publish("run-3", "NEW", "AAPL", "NOPE")
        told = [everything.next("decision").data for _ in range(3)]
        assert {each["symbol"]: each["previous"] for each in told} == {"NEW": None, "AAPL": first[0]["action"], "NOPE": None}
        assert {some.next("decision").data["symbol"] for _ in range(2)} == {"AAPL", "NOPE"}


def test_who_comes_back_is_told_what_changed_meanwhile_and_nothing_else(place: Place) -> None:
    """With an id that no store can have given, everything is told."""
    with EventSource(place.server.port, "AAPL,IBM,MSFT") as stream:
        for _ in range(3):
            last_id = stream.next("decision").event_id
    place.publish("run-2", "IBM")
    place.publish("run-3", "MSFT", "IBM")
    with EventSource(place.server.port, "AAPL,IBM,MSFT", last_id) as stream:
        # The server may not have seen all of it when it is asked: then the rest comes live.
        runs: dict[str, str] = {}
        while runs != {"IBM": "run-3", "MSFT": "run-3"}:
            told = stream.next("decision").data
            assert told["symbol"] != "AAPL"
            runs[told["symbol"]] = told["cache"]["run"]
        place.publish("run-4", "AAPL")
        assert stream.next("decision").data["symbol"] == "AAPL"
        assert stream.last_id is not None
    with EventSource(place.server.port, "AAPL,IBM,MSFT", stream.last_id) as stream:
        told_nothing = stream.event()
        while told_nothing is not None and told_nothing.event_id is None:
            told_nothing = stream.event()
        assert told_nothing is not None
        assert told_nothing.name == ""
    for unknown in ("77-0", "99999", "nonsense", "1" * 40, "-1", "1362171600000-99999999999999999999"):
        with EventSource(place.server.port, "AAPL,IBM", unknown) as stream:
            assert [stream.next("decision").data["symbol"] for _ in range(2)] == ["AAPL", "IBM"]


def test_a_server_started_anew_resumes_from_what_the_store_still_has(place: Place, tmp_path: Path) -> None:
    """It remembers nothing itself; what was published while nobody served is told too."""
    with EventSource(place.server.port, "AAPL,IBM,MSFT") as stream:
        for _ in range(3):
            last_id = stream.next("decision").event_id
    place.server.stop()
    place.publish("run-2", "IBM")
    settings = {"CLOCK": "replay", "stream_heartbeat_s": "0.5"}
    settings |= {"REDIS_URL": place.target} if isinstance(place.target, str) else {"STORE_PATH": str(place.target)}
    (tmp_path / "again").mkdir()
    with decide_server(tmp_path / "again", **settings) as server:
        server.wait_ready()
        with EventSource(server.port, "AAPL,IBM,MSFT", last_id) as stream:
            told = stream.next("decision")
            assert (told.data["symbol"], told.data["cache"]["run"]) == ("IBM", "run-2")
            assert told.event_id not in (None, last_id)
            place.publish("run-3", "MSFT")
            assert stream.next("decision").data["symbol"] == "MSFT"


def _settings(folder: Path, **settings: str) -> dict[str, str]:
    publish_universe(folder / "store.sqlite3")
    return {"STORE_PATH": str(folder / "store.sqlite3"), "CLOCK": "replay", "LOG_FORMAT": "json", **settings}


async def _receive(socket: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(await asyncio.wait_for(socket.recv(), 20)))


async def _until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while (message := await _receive(socket))["type"] != kind:
        pass
    return message


def test_a_websocket_subscribes_unsubscribes_and_resumes(place: Place) -> None:
    async def talk() -> None:
        url = f"ws://127.0.0.1:{place.server.port}/ws"
        async with connect(url) as socket:
            await socket.send('{"type":"ping"}')
            assert await _receive(socket) == {"type": "pong"}
            await socket.send('{"type":"subscribe","symbols":["aapl","IBM"]}')
            assert await _receive(socket) == {"type": "subscribed", "symbols": ["AAPL", "IBM"]}
            assert [(await _receive(socket))["decision"]["requested"] for _ in range(2)] == ["aapl", "IBM"]
            await asyncio.to_thread(place.publish, "run-2", "AAPL")
            told = await _until(socket, "decision")
            assert (told["decision"]["symbol"], told["decision"]["cache"]["run"]) == ("AAPL", "run-2")
            await socket.send('{"type":"unsubscribe","symbols":["AAPL","MSFT"]}')
            assert (await _until(socket, "unsubscribed"))["symbols"] == ["AAPL"]
            await asyncio.to_thread(place.publish, "run-3", "AAPL", "IBM")
            told = await _until(socket, "decision")
            assert told["decision"]["symbol"] == "IBM"
            assert (await _until(socket, "heartbeat"))["id"] == told["id"]
        await asyncio.to_thread(place.publish, "run-4", "IBM")
        async with connect(url) as socket:
            await socket.send(json.dumps({"type": "subscribe", "symbols": ["AAPL", "IBM"], "after": told["id"]}))
            assert (await _until(socket, "decision"))["decision"]["symbol"] == "IBM"
            assert (await _receive(socket))["type"] == "heartbeat"

    asyncio.run(talk())


def test_a_websocket_of_a_foreign_page_is_refused_and_one_of_our_own_is_not(tmp_path: Path) -> None:
    """Browsers let any page open one to anywhere, with all that they know of the user."""

    async def talk(port: int) -> None:
        url = f"ws://127.0.0.1:{port}/ws"
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(url, origin="http://evil.test")  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
        assert json.loads(refused.value.response.body or b"")["type"] == "urn:decide:problem:foreign-origin"
        assert "x-request-id" in refused.value.response.headers
        async with connect(url, origin=f"http://127.0.0.1:{port}") as socket:  # type: ignore[arg-type]
            await socket.send('{"type":"ping"}')
            assert await _receive(socket) == {"type": "pong"}
        with pytest.raises(websockets.InvalidStatus) as missing:
            await connect(f"ws://127.0.0.1:{port}/nowhere")
        assert missing.value.response.status_code == 403

    with decide_server(tmp_path, **_settings(tmp_path)) as server:
        server.wait_ready()
        asyncio.run(talk(server.port))
        text = httpx.get(server.url + "/metrics").text
        assert 'decide_request_duration_seconds_count{route="/ws",slo_class="decisions",status="101"} 1.0' in text
        assert 'decide_request_duration_seconds_count{route="/ws",slo_class="decisions",status="403"} 1.0' in text


@pytest.mark.skipif(sys.platform != "linux", reason="NO LINUX: elsewhere nothing ends a connection that is not read")
def test_who_does_not_read_is_hung_up_on_and_others_are_told_all(tmp_path: Path) -> None:
    """One of them would else hold its buffers, and the server's stop, for as long as it likes."""
    symbols = [f"S{number:03}" for number in range(300)]
    store = tmp_path / "store.sqlite3"
    publish_universe(store, symbols)
    settings = {
        "STORE_PATH": str(store),
        "CLOCK": "replay",
        "stream_queue": "400",
        "STREAM_MAX_SYMBOLS": "400",
        "LOG_FORMAT": "json",
        "SHUTDOWN_GRACE_S": "60",
    }
    with decide_server(tmp_path, **settings) as server:
        server.wait_ready()
        with EventSource(server.port, ",".join(symbols), read_bytes=4096) as slow, EventSource(server.port, "S007") as other:
            slow.opened()
            other.next("decision")
            ended = 0.0
            run = 1
            while not ended:
                run += 1
                assert run < 200, "nobody was dropped"
                publish(
                    store, [row(each, AS_OF_MS + run, f"run-{run}") for each in symbols], run_info(f"run-{run}", AS_OF_MS + run)
                )
                while other.next("decision").data["cache"]["run"] != f"run-{run}":
                    pass
                ended = _metric(server, 'decide_stream_ended_total{reason="slow",transport="sse"}')
            slow.wait_for_reset()
            with pytest.raises(ConnectionResetError):
                slow.read_on()
            # Who hangs up looks through all that the server has open, the store's files too: those are as they were.
            for number in (run + 1, run + 2):
                publish(store, [row("S007", AS_OF_MS + number, f"run-{number}")], run_info(f"run-{number}", AS_OF_MS + number))
                while other.next("decision").data["cache"]["run"] != f"run-{number}":
                    pass
        until(lambda: _metric(server, 'decide_stream_subscribers{transport="sse"}') == 0, 20, "nobody is left")
        # It waits for less than the grace.
        assert server.stop() == 0


def _metric(server: DecideServer, series: str) -> float:
    for line in httpx.get(server.url + "/metrics").text.splitlines():
        if line.startswith(series + " "):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no {series}")


def _at_a_terminal(server: DecideServer) -> None:
    for pid in (*workers(server), server.process.pid):
        os.kill(pid, signal.SIGINT)


@pytest.mark.parametrize(
    "stop",
    [lambda server: server.process.terminate(), lambda server: server.process.send_signal(signal.SIGINT), _at_a_terminal],
    ids=["SIGTERM", "SIGINT", "Ctrl-C"],
)
def test_the_end_of_the_server_ends_streams_with_a_last_word(tmp_path: Path, stop: Callable[[DecideServer], None]) -> None:
    """So that clients connect elsewhere, and the server need not be killed. A terminal's Ctrl-C reaches workers, too."""

    async def talk(server: DecideServer) -> tuple[int | None, str]:
        async with connect(f"ws://127.0.0.1:{server.port}/ws") as socket:
            await socket.send('{"type":"subscribe","symbols":["AAPL"]}')
            await _until(socket, "decision")
            stop(server)
            last = await _until(socket, "dropped")
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
            return socket.close_code, last["reason"]

    with decide_server(tmp_path, **_settings(tmp_path, DRAIN_S="1", SHUTDOWN_GRACE_S="30")) as server:
        server.wait_ready()
        with EventSource(server.port, "AAPL") as stream:
            stream.next("decision")
            assert asyncio.run(talk(server)) == (1001, "draining")
            assert stream.next("dropped").data["reason"] == "draining"
            assert stream.event() is None
        # Which is less than the grace.
        assert server.process.wait(20) == 0


def test_a_stream_outlives_the_time_for_idle_connections(tmp_path: Path) -> None:
    """It is not idle: it listens. Heartbeats come all the while."""
    with decide_server(tmp_path, **_settings(tmp_path, KEEP_ALIVE_S="1", stream_heartbeat_s="0.2")) as server:
        server.wait_ready()
        with EventSource(server.port, "AAPL") as stream:
            stream.next("decision")
            over = time.monotonic() + 2.5
            beats = 0
            while beats < 5 or time.monotonic() < over:
                told = stream.event()
                assert told is not None
                beats += 1
