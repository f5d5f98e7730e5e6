"""Prices on GET /stream and WS /ws by ASGI: who may follow them, what it costs, and how they are told."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette

from app.domain.keys import Scope
from app.market_payloads import LatestPrice
from app.store.protocol import Changes
from tests.kit.keys import SECRET, FakeKeys
from tests.kit.records import AS_OF_MS, tick
from tests.kit.serving import Served, http_scope, problem_of
from tests.kit.settle import until
from tests.routes.asgi import Client, Message, socket_scope


def _serve(work: Callable[[Served], Any], **settings: object) -> Served:
    served = Served(**settings)  # type: ignore[arg-type]

    async def run() -> None:
        async with served.parts.lifespan(Starlette()):
            await until(lambda: served.parts.hub._settled is not None)
            await work(served)

    with served:
        served.runner.run(run())
        served._logs = None
    return served


def _trade(served: Served, number: int, price: str) -> None:
    values = (tick("AAPL", AS_OF_MS + number, price),)
    served.parts.tiers.apply(values)
    served.parts.hub.on_changes(Changes(f"9{number}", ("AAPL",), lost=False, values=values))


class Stream(Client):
    """GET /stream, with this query."""

    def __init__(self, served: Served, query: str) -> None:
        super().__init__(served, http_scope("GET", "/stream") | {"query_string": query.encode(), "client": None})
        self._blocks: list[str] = []

    async def event(self) -> tuple[str, dict[str, Any]]:
        """The next server-sent event: its name and its data."""
        while True:
            while not self._blocks:
                self._blocks = (await self.hear()).get("body", b"").decode().split("\n\n")
            fields = dict(line.split(": ", 1) for line in self._blocks.pop(0).split("\n") if ": " in line)
            if "event" in fields:
                assert "id" not in fields or fields["event"] == "decision"
                return fields["event"], json.loads(fields["data"])


async def _leave(client: Client, **message: object) -> None:
    client.say({"type": "http.disconnect"} | message)
    await asyncio.wait_for(client.task, 30)


def test_a_stream_of_prices_tells_each_price_as_price_latest_does() -> None:
    async def work(served: Served) -> None:
        client = Stream(served, "prices=aapl&interval_ms=0")
        name, first = await client.event()
        assert (name, first["requested"], first["price"], first["source"]) == ("price", "aapl", 100, "close")
        _trade(served, 1, "101.25")
        name, told = await client.event()
        assert (name, told["price"], told["timestamp"]) == ("price", 101.25, "2013-03-01T21:00:00.001Z")
        assert set(told) == set(LatestPrice.__struct_fields__)
        await _leave(client)
        assert (len(served.parts.hub), served.parts.hub.prices.symbols) == (0, 0)

    served = _serve(work)
    text = served.parts.meters.exposition().decode()
    assert 'decide_stream_events_total{transport="sse"} 2.0' in text
    assert 'decide_stream_conflated_total{transport="sse"} 0.0' in text
    assert "decide_stream_price_delay_seconds_count" in text


def test_a_stream_may_have_decisions_and_prices_and_a_trade_moves_both() -> None:
    async def work(served: Served) -> None:
        client = Stream(served, "symbols=AAPL&prices=AAPL&interval_ms=0")
        first = dict([await client.event(), await client.event()])
        assert (first["decision"]["symbol"], first["price"]["symbol"]) == ("AAPL", "AAPL")
        _trade(served, 1, "101.25")
        second = dict([await client.event(), await client.event()])
        assert second["decision"]["inputs"]["tick"]["price"] == second["price"]["price"] == 101.25
        assert second["decision"]["score"] != first["decision"]["score"]
        await _leave(client)

    _serve(work)


def test_a_socket_follows_prices_and_leaves_them() -> None:
    async def work(served: Served) -> None:
        client = Client(served, socket_scope())
        client.say({"type": "websocket.connect"})
        await client.hear()
        client.say('{"type":"subscribe","prices":["aapl","IBM"],"interval_ms":0}')
        assert await client.message() == {"type": "subscribed", "symbols": [], "prices": ["AAPL", "IBM"]}
        told = [await client.message() for _ in range(2)]
        assert [(each["type"], each["id"], each["price"]["requested"]) for each in told] == [
            ("price", None, "aapl"),
            ("price", None, "IBM"),
        ]
        _trade(served, 1, "101.25")
        assert (await client.message())["price"]["price"] == 101.25
        client.say('{"type":"unsubscribe","prices":["AAPL","MSFT"]}')
        assert await client.message() == {"type": "unsubscribed", "symbols": [], "prices": ["AAPL"]}
        client.say('{"type":"subscribe","prices":["*"],"symbols":["IBM"]}')
        assert await client.message() == {"type": "subscribed", "symbols": ["IBM"], "prices": ["AAPL", "IBM", "MSFT"]}
        kinds = sorted([(await client.message())["type"] for _ in range(4)])
        assert kinds == ["decision", "price", "price", "price"]
        client.say('{"type":"unsubscribe","prices":["*"]}')
        assert sorted((await client.message())["prices"]) == ["AAPL", "IBM", "MSFT"]
        await _leave(client, type="websocket.disconnect", code=1000)
        assert served.parts.hub.prices.symbols == 0

    _serve(work)


def test_prices_of_several_subscriptions_count_together_and_apart_from_decisions() -> None:
    async def work(served: Served) -> None:
        client = Client(served, socket_scope())
        client.say({"type": "websocket.connect"})
        await client.hear()
        client.say('{"type":"subscribe","symbols":["AAPL","IBM"],"prices":["AAPL","IBM"]}')
        assert {(await client.message())["type"] for _ in range(5)} == {"subscribed", "decision", "price"}
        client.say('{"type":"subscribe","prices":["MSFT"]}')
        problem = (await client.message())["problem"]
        assert (problem["field"], "3 prices would be followed" in problem["detail"]) == ("prices", True)
        await _leave(client, type="websocket.disconnect", code=1000)

    _serve(work, stream_max_symbols=2)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("decide", {"symbols"}), ("market:read", {"prices"}), ("read", {"prices"}), ("admin", {"symbols", "prices"})],
)
def test_decisions_and_prices_each_need_a_scope_of_their_own(scope: Scope, allowed: set[str]) -> None:
    keys = FakeKeys()
    headers = {"X-API-Key": keys.make(scope)}
    with Served(keys=keys, access="keys", api_key_secret=SECRET) as served:
        for query in ("symbols=AAPL", "prices=AAPL", "symbols=AAPL&prices=AAPL", "prices=*"):
            wanted = {each.partition("=")[0] for each in query.split("&")}
            answer = served.request("HEAD", f"/stream?{query}", headers=headers)
            assert answer.status_code == (200 if wanted <= allowed else 403), query
        for each, need in (("symbols", "decide"), ("prices", "market:read")):
            if each not in allowed:
                refused = problem_of(served.get(f"/stream?{each}=AAPL", **headers), 403, "forbidden")
                assert refused.detail == f"the API key is not for this, which needs {need}"


def test_a_socket_refuses_what_its_key_is_not_for_and_stays() -> None:
    keys = FakeKeys()
    key = keys.make("market:read")

    async def work(served: Served) -> None:
        client = Client(served, socket_scope((b"x-api-key", key.encode())))
        client.say({"type": "websocket.connect"})
        assert (await client.hear())["type"] == "websocket.accept"
        client.say('{"type":"subscribe","symbols":["AAPL"],"prices":["AAPL"]}')
        problem = (await client.message())["problem"]
        assert (problem["status"], served.parts.hub.prices.symbols) == (403, 0)
        client.say('{"type":"subscribe","prices":["AAPL"]}')
        assert [(await client.message())["type"] for _ in range(2)] == ["subscribed", "price"]
        await _leave(client, type="websocket.disconnect", code=1000)

    served = _serve(work, keys=keys, access="keys", api_key_secret=SECRET)
    assert 'decide_access_refused_total{reason="scope"} 1.0' in served.parts.meters.exposition().decode()


def test_a_stream_costs_a_decision_for_each_symbol_and_each_price() -> None:
    async def work(served: Served) -> None:
        client = Stream(served, "symbols=AAPL,IBM&prices=AAPL,IBM,MSFT")
        head = await client.hear()
        headers = dict(head["headers"])
        assert headers[b"ratelimit"].startswith(b'"default";r=2;'), headers
        await _leave(client)
        refused: Message = await Stream(served, "prices=AAPL,IBM,MSFT").hear()
        assert refused["status"] == 429

    _serve(work, rate_limit_per_s=0.001, rate_limit_burst=7)


def test_more_symbols_than_may_be_followed_are_no_prices_of_all_of_them() -> None:
    with Served(stream_max_symbols=2) as served:
        problem = problem_of(served.get("/stream?prices=*"), 422, "invalid-request", "prices")
        assert "3 symbols are loaded; allowed: up to 2 (STREAM_MAX_SYMBOLS)" in problem.detail


def test_the_contract_of_a_price_is_that_of_price_latest() -> None:
    with Served() as served:
        paths = served.get("/openapi.json").json()["paths"]
        content = paths["/stream"]["get"]["responses"]["200"]["content"]["text/event-stream"]
        latest = paths["/price/latest"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert {"$ref": "#/components/schemas/LatestPrice"} in latest["oneOf"]
        assert "#/components/schemas/LatestPrice" in msgspec.json.encode(content).decode()
