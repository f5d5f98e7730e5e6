"""GET /stream and WS /ws by ASGI: what is refused before anything is sent, and what ends a websocket."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette

from app.routes.socket import REFUSED_MAX
from app.store.protocol import Changes
from tests.kit.records import AS_OF_MS, row
from tests.kit.serving import Served, http_scope, problem_of
from tests.kit.store import FakeStore
from tests.routes.asgi import Client, Message, socket_scope


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "symbols"),
        ("?symbols=", "symbols"),
        ("?symbols=AAPL&limit=3", "limit"),
        ("?symbols=AAPL,", "symbols[1]"),
        ("?symbols=AAPL,IBM,%20", "symbols[2]"),
        ("?symbols=AAPL,IBM,MSFT,AAPL", "symbols"),
        ("?symbols=AAPL,IBM&symbols=MSFT,AAPL", "symbols"),
        ("?symbols=%C5%BF", "symbols[0]"),
        ("?symbols=*,AAPL", "symbols"),
        ("?symbols=A*", "symbols[0]"),
        ("?prices=", "symbols"),
        ("?interval_ms=9", "symbols"),
        ("?symbols=AAPL&prices=", "prices[0]"),
        ("?symbols=&prices=AAPL", "symbols[0]"),
        ("?prices=AAPL,,IBM", "prices[1]"),
        ("?prices=A,B,C,D", "prices"),
        ("?prices=A,*", "prices"),
        *((f"?prices=AAPL&interval_ms={each}", "interval_ms") for each in ("", "-1", "1.5", "60001", "%C2%B2", "9" * 90)),
        ("?prices=AAPL&interval_ms=1&interval_ms=2", "interval_ms"),
    ],
)
def test_what_is_wrong_with_a_request_for_a_stream_is_named(query: str, field: str) -> None:
    with Served(stream_max_symbols=3) as served:
        problem_of(served.get(f"/stream{query}"), 422, "invalid-request", field)


def test_where_there_are_to_be_no_streams_they_are_refused_with_a_time_to_try_again() -> None:
    with Served(stream_max_clients=0) as served:
        answer = served.get("/stream?symbols=AAPL")
        problem_of(answer, 503, "no-room-for-streams")
        assert answer.headers["retry-after"] == "5"
        head = served.request("HEAD", "/stream?symbols=AAPL")
        assert (head.status_code, head.headers["cache-control"]) == (200, "no-store")
        assert served.request("POST", "/stream?symbols=AAPL").status_code == 405


def _talk(work: Callable[[Served, Client], Any], scope: Message, **settings: object) -> Served:
    served = Served(**settings)  # type: ignore[arg-type]

    async def run() -> None:
        async with served.parts.lifespan(Starlette()):
            await served.parts.hub._wake.wait()
            client = Client(served, scope)
            await work(served, client)
            await asyncio.wait_for(client.task, 30)
            assert len(served.parts.hub) == 0

    with served:
        served.runner.run(run())
        served._logs = None
    return served


async def _accepted(client: Client) -> None:
    client.say({"type": "websocket.connect"})
    heard = await client.hear()
    assert heard["type"] == "websocket.accept"
    assert any(name == b"x-request-id" for name, _ in heard["headers"])


def test_a_socket_obeys_and_answers() -> None:
    async def work(_: Served, client: Client) -> None:
        await _accepted(client)
        client.say('{"type":"subscribe","symbols":["aapl","AAPL","IBM"]}')
        assert (await client.message())["symbols"] == ["AAPL", "IBM"]
        assert [(await client.message())["decision"]["requested"] for _ in range(2)] == ["aapl", "IBM"]
        client.say('{"type":"subscribe","symbols":["AAPL"],"after":"nonsense"}')
        assert (await client.message())["type"] == "subscribed"
        assert (await client.message())["decision"]["requested"] == "AAPL"
        client.say('{"type":"unsubscribe","symbols":["IBM","MSFT"]}')
        assert await client.message() == {"type": "unsubscribed", "symbols": ["IBM"]}
        client.say({"type": "websocket.disconnect", "code": 1000})

    _talk(work, socket_scope())


@pytest.mark.parametrize(
    ("text", "slug", "field"),
    [
        ("{", "bad-json", None),
        ('{"type":"unsubscribe","symbols":["IBM"],"symbols":["A"]}', "bad-json", "symbols"),
        ("[]", "invalid-request", None),
        ('{"type":"dance"}', "invalid-request", "type"),
        ('{"type":"ping","x":1}', "invalid-request", "x"),
        ('{"type":"subscribe","symbols":[]}', "invalid-request", "symbols"),
        ('{"type":"subscribe","symbols":["A","?"]}', "invalid-request", "symbols[1]"),
        ('{"type":"subscribe","symbols":["*","AAPL"]}', "invalid-request", "symbols"),
        ('{"type":"subscribe","symbols":["*"]}', "invalid-request", "symbols"),
        ('{"type":"subscribe","symbols":["AAPL","IBM","MSFT"]}', "invalid-request", "symbols"),
        ('{"type":"subscribe","symbols":["AAPL"],"after":7}', "invalid-request", "after"),
        ('{"type":"subscribe"}', "invalid-request", "symbols"),
        ('{"type":"unsubscribe"}', "invalid-request", "symbols"),
        ('{"type":"subscribe","symbols":[],"prices":["AAPL"]}', "invalid-request", "symbols"),
        ('{"type":"subscribe","prices":[]}', "invalid-request", "prices"),
        ('{"type":"subscribe","prices":["A","?"]}', "invalid-request", "prices[1]"),
        ('{"type":"subscribe","prices":["AAPL","IBM","MSFT"]}', "invalid-request", "prices"),
        ('{"type":"subscribe","prices":["AAPL"],"interval_ms":-1}', "invalid-request", "interval_ms"),
        ('{"type":"subscribe","prices":["AAPL"],"interval_ms":60001}', "invalid-request", "interval_ms"),
        ('{"type":"subscribe","prices":["AAPL"],"interval_ms":0.5}', "invalid-request", "interval_ms"),
        ('{"type":"unsubscribe","prices":["*","A"]}', "invalid-request", "prices"),
    ],
)
def test_a_message_that_cannot_be_obeyed_is_refused_and_the_socket_stays(text: str, slug: str, field: str | None) -> None:
    async def work(served: Served, client: Client) -> None:
        await _accepted(client)
        client.say(text)
        refused = await client.message()
        assert (refused["type"], refused["problem"]["type"]) == ("error", f"urn:decide:problem:{slug}")
        assert refused["problem"].get("field") == field
        assert served.parts.hub.symbols == 0
        client.say('{"type":"ping"}')
        assert await client.message() == {"type": "pong"}
        client.say({"type": "websocket.disconnect", "code": 1000})

    _talk(work, socket_scope(), stream_max_symbols=2)


def test_a_socket_follows_everything_and_an_unknown_symbol_is_an_event() -> None:
    async def work(_: Served, client: Client) -> None:
        await _accepted(client)
        client.say('{"type":"subscribe","symbols":["NOPE","AAPL"]}')
        assert (await client.message())["symbols"] == ["NOPE", "AAPL"]
        gone = await client.message()
        assert (gone["type"], gone["gone"]["symbol"], gone["gone"]["previous"]) == ("gone", "NOPE", None)
        assert gone["gone"]["problem"]["type"] == "urn:decide:problem:unknown-symbol"
        decision = (await client.message())["decision"]
        assert (decision["symbol"], decision["previous"]) == ("AAPL", None)
        client.say('{"type":"subscribe","symbols":["*"]}')
        assert (await client.message())["symbols"] == ["AAPL", "IBM", "MSFT"]
        decisions = [(await client.message())["decision"] for _ in range(3)]
        assert [each["symbol"] for each in decisions] == ["AAPL", "IBM", "MSFT"]
        assert [each["previous"] for each in decisions] == [decision["action"], None, None]
        client.say('{"type":"unsubscribe","symbols":["*"]}')
        assert sorted((await client.message())["symbols"]) == ["AAPL", "IBM", "MSFT", "NOPE"]
        client.say({"type": "websocket.disconnect", "code": 1000})

    _talk(work, socket_scope())


@pytest.mark.parametrize("fault", [OSError("gone"), ValueError("unforeseen"), asyncio.CancelledError()])
def test_a_socket_whose_accept_fails_gives_its_place_back(fault: BaseException) -> None:
    async def send(message: Message) -> None:
        del message
        raise fault

    async def connect() -> Message:
        return {"type": "websocket.connect"}

    async def work(served: Served) -> None:
        for _ in range(3):
            with contextlib.suppress(type(fault)):
                await served.app(socket_scope(), connect, send)
            assert len(served.parts.hub) == 0

    with Served(stream_max_clients=2) as served:
        served.runner.run(work(served))


def test_symbols_of_several_subscriptions_count_together() -> None:
    async def work(_: Served, client: Client) -> None:
        await _accepted(client)
        client.say('{"type":"subscribe","symbols":["AAPL","IBM"]}')
        assert [(await client.message())["type"] for _ in range(3)] == ["subscribed", "decision", "decision"]
        client.say('{"type":"subscribe","symbols":["MSFT"]}')
        assert "3 symbols" in (await client.message())["problem"]["detail"]
        client.say({"type": "websocket.disconnect", "code": 1000})

    _talk(work, socket_scope(), stream_max_symbols=2)


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"type": "websocket.receive", "bytes": b"{}"}], 1003),
        (["x" * 300], 1009),
        (["é" * 200], 1009),
        (["{"] * (REFUSED_MAX + 1), 1008),
    ],
)
def test_what_is_not_to_be_borne_ends_the_socket_with_a_reason(messages: list[Any], code: int) -> None:
    async def work(_: Served, client: Client) -> None:
        await _accepted(client)
        for each in messages:
            client.say(each)
        while (heard := await client.hear())["type"] != "websocket.close":
            last = json.loads(heard["text"])
        assert (last["type"], last["reason"]) == ("dropped", "refused")
        assert heard["code"] == code

    _talk(work, socket_scope(), max_body_bytes=256)


def test_a_draining_worker_ends_streams_and_sockets_and_takes_no_more() -> None:
    async def work(served: Served, client: Client) -> None:
        await _accepted(client)
        stream = Client(served, http_scope("GET", "/stream") | {"query_string": b"symbols=AAPL"})
        assert (await stream.hear())["status"] == 200
        assert b"retry: " in (await stream.hear())["body"]
        assert b"event: decision" in (await stream.hear())["body"]
        served.parts.drain.signalled()
        assert (await client.message())["reason"] == "draining"
        assert await client.hear() == {"type": "websocket.close", "code": 1001, "reason": "draining"}
        assert b"event: dropped" in (await stream.hear())["body"]
        assert (await stream.hear())["more_body"] is False
        late = Client(served, socket_scope())
        late.say({"type": "websocket.connect"})
        assert (await late.hear())["status"] == 503
        await asyncio.gather(stream.task, late.task)

    served = _talk(work, socket_scope())
    lines = [line for line in served.log_lines() if line["event"] == "request"]
    assert [(line["route"], line["status"]) for line in lines] == [("/ws", 503)]


def test_a_stream_ends_when_its_client_goes_or_sends_a_body() -> None:
    async def work(served: Served, client: Client) -> None:
        assert (await client.hear())["status"] == 200
        client.say({"type": "http.request", "body": b"", "more_body": False})
        client.say({"type": "http.disconnect"})
        other = Client(served, http_scope("GET", "/stream") | {"query_string": b"symbols=AAPL"})
        other.say({"type": "http.request", "body": b"x", "more_body": True})
        await asyncio.wait_for(other.task, 30)
        assert 'decide_stream_ended_total{reason="refused",transport="sse"} 1.0' in served.parts.meters.exposition().decode()

    _talk(work, http_scope("GET", "/stream") | {"query_string": b"symbols=AAPL"})


def test_a_socket_of_a_foreign_page_is_refused_before_it_is_accepted() -> None:
    async def work(_: Served, client: Client) -> None:
        client.say({"type": "websocket.connect"})
        heard = await client.hear()
        assert (heard["type"], heard["status"]) == ("websocket.http.response.start", 403)
        assert json.loads((await client.hear())["body"])["field"] == "Origin"

    _talk(work, socket_scope((b"origin", b"http://evil.test")))


class Stuck(Client):
    """A client that reads nothing after the beginning of the answer."""

    def __init__(self, served: Served, scope: Message) -> None:
        super().__init__(served, scope)
        self.task.cancel()
        self.began = asyncio.Event()

        async def send(message: Message) -> None:
            if message["type"] not in ("http.response.start", "websocket.accept"):
                self.began.set()
                await asyncio.Event().wait()

        self.task = asyncio.ensure_future(served.app(scope, self._incoming.get, send))


@pytest.mark.parametrize("kind", ["sse", "ws"])
def test_who_reads_nothing_is_let_go_of_within_a_bounded_time(kind: str) -> None:
    """There is no last word to somebody who does not listen, and nothing that is left behind."""
    query = {"query_string": b"symbols=AAPL&interval_ms=0", "client": None}
    scope = socket_scope() if kind == "ws" else http_scope("GET", "/stream") | query

    async def work(served: Served, client: Client) -> None:
        client.task.cancel()
        stuck = Stuck(served, scope)
        stuck.say({"type": "websocket.connect" if kind == "ws" else "http.request"})
        if kind == "ws":
            stuck.say('{"type":"subscribe","symbols":["AAPL"],"interval_ms":0}')
        await asyncio.wait_for(stuck.began.wait(), 30)
        store = served.parts.store
        assert isinstance(store, FakeStore)
        number = 0
        while not stuck.task.done():
            number += 1
            store.put(row("AAPL", AS_OF_MS + number))
            served.parts.tiers.invalidate(["AAPL"])
            served.parts.hub.on_changes(Changes("9", ("AAPL",), lost=False))
            await asyncio.sleep(0.01)
        await stuck.task
        reason = f'decide_stream_ended_total{{reason="slow",transport="{kind}"}} 1.0'
        assert reason in served.parts.meters.exposition().decode()
        client.task = stuck.task

    _talk(work, socket_scope(), stream_queue=3)


@pytest.mark.parametrize("kind", ["sse", "ws"])
def test_a_request_that_the_server_cancels_is_cancelled(kind: str) -> None:
    """It is not taken for a client that was dropped."""
    scope = socket_scope() if kind == "ws" else http_scope("GET", "/stream") | {"query_string": b"symbols=AAPL"}

    async def work(served: Served, client: Client) -> None:
        client.say({"type": "websocket.connect" if kind == "ws" else "http.request"})
        await client.hear()
        client.task.cancel()
        await asyncio.wait([client.task])
        assert client.task.cancelled()
        assert len(served.parts.hub) == 0
        client.task = asyncio.ensure_future(asyncio.sleep(0))

    _talk(work, scope)


@pytest.mark.parametrize("kind", ["sse", "ws"])
def test_a_fault_of_ours_ends_the_stream_with_a_last_word_and_is_logged(kind: str) -> None:
    scope = socket_scope() if kind == "ws" else http_scope("GET", "/stream") | {"query_string": b"symbols=AAPL"}

    async def work(_: Served, client: Client) -> None:
        client.say({"type": "websocket.connect" if kind == "ws" else "http.request"})
        await client.hear()
        # No server says this.
        client.say({})
        text = ""
        while '"failed"' not in text:
            heard = await client.hear()
            text = heard.get("text") or heard.get("body", b"").decode()
        if kind == "ws":
            assert (await client.hear())["code"] == 1011

    served = _talk(work, scope)
    assert [line["event"] for line in served.log_lines() if line["level"] == "error"]


def test_a_server_that_says_that_the_client_left_is_believed() -> None:
    """As ASGI has it since 2.4: sending to nobody is an error."""

    async def work(served: Served, client: Client) -> None:
        client.task.cancel()
        sent: list[str] = []

        async def send(message: Message) -> None:
            sent.append(message["type"])
            if message["type"] == "websocket.send":
                raise OSError("gone")

        client.say({"type": "websocket.connect"})
        client.say('{"type":"ping"}')
        client.task = asyncio.ensure_future(served.app(socket_scope(), client._incoming.get, send))
        await asyncio.wait_for(asyncio.wait([client.task]), 30)
        assert sent == ["websocket.accept", "websocket.send"]
        assert 'decide_stream_ended_total{reason="left",transport="ws"} 1.0' in served.parts.meters.exposition().decode()

    _talk(work, socket_scope())
