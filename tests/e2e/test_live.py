"""GET /live of the real server: it moves, and it never holds up a stop."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import msgspec
import pytest

from app.messages import LiveStats
from tests.e2e.publishing import publish_universe
from tests.kit.servers import DecideServer, decide_server


def _events(answer: httpx.Response) -> Iterator[LiveStats]:
    for line in answer.iter_lines():
        if line:
            yield msgspec.json.decode(line.removeprefix("data: "), type=LiveStats)


def test_the_numbers_are_those_of_the_requests_made(server: DecideServer) -> None:
    with httpx.Client(base_url=server.url, timeout=20) as client, client.stream("GET", "/live") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        events = _events(answer)
        first = next(events)
        assert (first.window_s, first.p50_ms, first.run, first.feed_connected) == (0.0, None, "run-1", True)
        client.post("/decide", json={"symbol": "AAPL"})
        slowest_s = 0.0
        for _ in range(50):
            started = time.perf_counter()
            assert client.post("/decide", json={"symbol": "AAPL"}).status_code == 200
            slowest_s = max(slowest_s, time.perf_counter() - started)
        found = next(each for each in events if each.window_s * each.requests_per_s >= 50)
        assert found.worker == first.worker
        assert found.hit_rate is not None
        assert found.hit_rate >= 50 / 51
        assert found.p50_ms is not None
        assert found.p99_ms is not None
        assert 0 < found.p50_ms <= found.p99_ms
        assert found.in_flight == 0
        # Between the bounds of one bucket, which are at most 2.5 apart.
        assert found.p50_ms <= 2.5 * slowest_s * 1000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("drain_s", ["0", "0.5"])
def test_a_stop_does_not_wait_for_those_who_look(number: signal.Signals, drain_s: str, tmp_path: Path) -> None:
    """Streams end properly, long before the worker would be killed."""
    publish_universe(tmp_path / "store.sqlite3")
    settings = {"STORE_PATH": str(tmp_path / "store.sqlite3"), "DRAIN_S": drain_s, "SHUTDOWN_GRACE_S": "30", "CLOCK": "replay"}
    with decide_server(tmp_path, **settings) as server, ExitStack() as stack:
        server.wait_ready()
        streams = []
        for _ in range(3):
            answer = stack.enter_context(httpx.stream("GET", server.url + "/live", timeout=20))
            streams.append(_events(answer))
            next(streams[-1])
        server.process.send_signal(number)
        for events in streams:
            # One event a second. A stream that was cut off instead of ended would raise.
            assert len(list(events)) < 15
        assert server.process.wait(20) == 0
        assert "Killing" not in server.log_path.read_text(encoding="utf-8")
