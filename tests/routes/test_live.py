"""GET /live: numbers once a second, for a bounded number of clients, until the worker drains."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from app.errors import Problem
from app.messages import LiveStats
from app.routes.live import MAX_CLIENTS, WINDOW_TICKS, LiveRoute
from tests.kit.serving import Served, http_scope, problem_of
from tests.kit.settle import settle
from tests.kit.store import down


class Seconds:
    """A sleep that passes when a test says so, and moves the server's clock."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._passed = asyncio.Condition()
        self.left = 0

    async def sleep(self, seconds: float) -> None:
        """Until the next quarter is let pass."""
        async with self._passed:
            await self._passed.wait_for(lambda: self.left > 0)
            self.left -= 1
        self._served.clock.now += seconds

    async def tick(self) -> None:
        """One second."""
        async with self._passed:
            self.left += 4
            self._passed.notify_all()
        for _ in range(40):
            await asyncio.sleep(0)


class Client:
    """One that reads what it is sent, unless it is ``stuck``."""

    def __init__(self, route: LiveRoute) -> None:
        self.bodies: list[bytes] = []
        self.ended = False
        self.reads = asyncio.Event()
        self.reads.set()
        self._gone = asyncio.Event()
        self.task = asyncio.ensure_future(self._run(route))

    async def _run(self, route: LiveRoute) -> None:
        response = await route.live(Request(http_scope("GET", "/live")))
        await response({}, self._receive, self._send)

    async def _receive(self) -> MutableMapping[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            assert message["status"] == 200
            assert (b"content-type", b"text/event-stream") in message["headers"]
            assert (b"cache-control", b"no-store") in message["headers"]
        elif message["more_body"]:
            self.bodies.append(message["body"])
        else:
            self.ended = True

    def leave(self) -> None:
        """Close the connection."""
        self._gone.set()

    @property
    def stats(self) -> list[LiveStats]:
        """What came, each event held against the contract."""
        found = []
        for body in self.bodies:
            assert body.startswith(b"data: ")
            assert body.endswith(b"\n\n")
            found.append(msgspec.json.decode(body[6:-2], type=LiveStats))
        return found


def _watch(served: Served, work: Callable[[LiveRoute, Seconds], Awaitable[None]]) -> None:
    async def run() -> None:
        seconds, parts = Seconds(served), served.parts
        route = LiveRoute(
            decider=parts.decider,
            feed=parts.feed,
            meters=parts.meters,
            requests=parts.requests,
            drain=parts.drain,
            gate=parts.gate,
            sleep=seconds.sleep,
        )
        await work(route, seconds)

    served.runner.run(run())


def test_the_first_event_comes_at_once_and_the_next_a_second_later(served: Served) -> None:
    for symbol in ("AAPL", "AAPL", "AAPL", "IBM"):
        served.decide(symbol)

    async def work(route: LiveRoute, seconds: Seconds) -> None:
        client = Client(route)
        await settle()
        (first,) = client.stats
        assert (first.window_s, first.hit_rate, first.p99_ms, first.requests_per_s) == (0.0, None, None, 0.0)
        assert (first.hit_rate_since_start, first.l1_entries, first.run) == (0.5, 2, "run-1")
        assert first.feed_connected
        meters = served.parts.meters
        meters.l1_hits.count += 9
        meters.cache_get("l1", "miss")
        for _ in range(100):
            meters.requests.of("/decide", 200).observe(150e-6)
        await seconds.tick()
        second = client.stats[-1]
        assert len(client.stats) == 2
        assert (second.window_s, second.hit_rate, second.requests_per_s) == (1.0, 0.9, 100.0)
        assert (second.p50_ms, second.p95_ms, second.p99_ms) == (0.15, 0.195, 0.199)
        client.leave()
        await client.task

    _watch(served, work)


def test_the_window_is_ten_seconds(served: Served) -> None:
    async def work(route: LiveRoute, seconds: Seconds) -> None:
        client = Client(route)
        await settle()
        served.parts.meters.l1_hits.count += 8
        for _ in range(WINDOW_TICKS):
            await seconds.tick()
        assert (client.stats[-1].window_s, client.stats[-1].hit_rate) == (10.0, 1.0)
        await seconds.tick()
        last = client.stats[-1]
        assert (last.window_s, last.hit_rate, last.hit_rate_since_start) == (10.0, None, 1.0)
        client.leave()
        await client.task

    _watch(served, work)


def test_numbers_are_computed_once_for_all_and_only_while_somebody_looks(served: Served) -> None:
    async def work(route: LiveRoute, seconds: Seconds) -> None:
        clients = [Client(route) for _ in range(5)]
        await settle()
        await seconds.tick()
        assert len({tuple(map(id, client.bodies)) for client in clients}) == 1
        assert [len(client.bodies) for client in clients] == [2] * 5
        for client in clients:
            client.leave()
        await asyncio.gather(*(client.task for client in clients))
        assert route.clients == 0
        await seconds.tick()
        await seconds.tick()
        assert seconds.left == 4
        seconds.left = 0
        late = Client(route)
        await settle()
        assert late.stats[0].window_s == 0.0
        await seconds.tick()
        assert late.stats[-1].window_s == 1.0
        late.leave()
        await late.task

    _watch(served, work)


def test_a_slow_client_skips_events_and_holds_up_nobody(served: Served) -> None:
    async def work(route: LiveRoute, seconds: Seconds) -> None:
        slow, quick = Client(route), Client(route)
        await settle()
        slow.reads.clear()
        for _ in range(5):
            await seconds.tick()
        assert (len(slow.bodies), len(quick.bodies)) == (1, 6)
        slow.reads.set()
        await settle()
        # The one that was on its way, and then the newest.
        assert slow.bodies[1:] == [quick.bodies[1], quick.bodies[5]]
        for client in (slow, quick):
            client.leave()
            await client.task

    _watch(served, work)


def test_more_clients_than_there_may_be_get_503_and_a_place_that_is_left_is_free(served: Served) -> None:
    async def work(route: LiveRoute, seconds: Seconds) -> None:
        clients = [Client(route) for _ in range(MAX_CLIENTS)]
        await settle()
        with pytest.raises(Problem) as refused:
            await route.live(Request(http_scope("GET", "/live")))
        assert (refused.value.status, dict(refused.value.headers)) == (503, {"Retry-After": "5"})
        clients[0].leave()
        await clients[0].task
        newcomer = Client(route)
        await seconds.tick()
        assert all(client.bodies for client in (*clients, newcomer))
        for client in (*clients, newcomer):
            client.leave()
        await asyncio.gather(*(client.task for client in (*clients, newcomer)))
        assert route.clients == 0

    _watch(served, work)


def test_a_drain_ends_all_streams_also_of_who_takes_nothing(served: Served) -> None:
    async def work(route: LiveRoute, seconds: Seconds) -> None:
        reading, stuck = Client(route), Client(route)
        await settle()
        stuck.reads.clear()
        await seconds.tick()
        served.parts.drain.on = True
        await seconds.tick()
        await asyncio.wait_for(asyncio.gather(reading.task, stuck.task), 30)
        assert (reading.ended, stuck.ended, route.clients) == (True, False, 0)
        with pytest.raises(Problem, match="about to stop"):
            await route.live(Request(http_scope("GET", "/live")))

    _watch(served, work)


def test_numbers_that_cannot_be_had_end_the_streams_and_are_told() -> None:
    """Nobody is left waiting for events that will not come."""
    with Served() as served:

        async def work(route: LiveRoute, seconds: Seconds) -> None:
            told: list[str] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
            client = Client(route)
            await settle()
            del served.parts.meters.l1_hits
            await seconds.tick()
            await asyncio.wait_for(client.task, 30)
            await settle()
            assert (client.ended, told) == (True, ["GET /live failed"])

        _watch(served, work)


def test_numbers_that_cannot_be_had_at_first_fail_that_request_alone(served: Served) -> None:
    async def work(route: LiveRoute, seconds: Seconds) -> None:
        meters = served.parts.meters
        hits = meters.l1_hits
        del meters.l1_hits
        client = Client(route)
        with pytest.raises(AttributeError):
            await client.task
        assert route.clients == 0
        meters.l1_hits = hits
        later = Client(route)
        await seconds.tick()
        assert len(later.stats) == 2
        later.leave()
        await later.task

    _watch(served, work)


def test_the_streams_themselves_are_not_counted_as_in_flight(served: Served) -> None:
    """As a request they would be there for as long as somebody looks."""

    async def work(route: LiveRoute, seconds: Seconds) -> None:
        served.parts.requests.begin()
        client = Client(route)
        await settle()
        served.parts.requests.begin()
        served.store.fault = down()
        await seconds.tick()
        assert [each.in_flight for each in client.stats] == [0, 1]
        client.leave()
        await client.task

    _watch(served, work)


def test_only_the_head_of_a_stream_can_be_asked_for(served: Served) -> None:
    head = served.request("HEAD", "/live")
    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream")
    problem_of(served.request("POST", "/live"), 405, "method-not-allowed")
