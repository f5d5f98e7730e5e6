"""Prices as they change from the real server, on SQLite and Redis: trades that another process writes, over both transports."""

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.e2e.publishing import publish_universe, upsert
from tests.e2e.streaming import EventSource, Told
from tests.kit.records import AS_OF_MS, tick
from tests.kit.servers import DecideServer, decide_server

Place = tuple[DecideServer, Path | str]


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A server, ready, and the store that it is on."""
    target: Path | str = tmp_path / "store.sqlite3"
    settings = {"STORE_PATH": str(target), "CLOCK": "replay", "stream_heartbeat_s": "0.5"}
    if request.param == "redis":
        target = settings["REDIS_URL"] = request.getfixturevalue("redis_url")
    publish_universe(target)
    with decide_server(tmp_path, **settings) as server:
        server.wait_ready()
        yield server, target


def _trade(place: Place, number: int, price: str, *symbols: str) -> None:
    upsert(place[1], [tick(each, AS_OF_MS + number, price) for each in symbols])


def _prices_until(stream: EventSource, last: float) -> list[Told]:
    """The next prices, up to that one."""
    found = [stream.next("price")]
    while found[-1].data["price"] != last:
        found.append(stream.next("price"))
    return found


def test_a_trade_that_another_process_wrote_moves_prices_and_decisions(place: Place) -> None:
    server = place[0]
    with EventSource(server.port, "symbols=AAPL&prices=AAPL,ibm&interval_ms=0") as stream:
        first = {told.data["requested"]: told for told in (stream.next("price"), stream.next("price"))}
        assert {each: told.data["price"] for each, told in first.items()} == {"AAPL": 100, "ibm": 100}
        _trade(place, 1, "101.250", "AAPL", "IBM")
        second = {told.data["symbol"]: told.data for told in (stream.next("price"), stream.next("price"))}
        assert {each: data["price"] for each, data in second.items()} == {"AAPL": 101.25, "IBM": 101.25}
        asked = httpx.get(f"{server.url}/price/latest?symbol=AAPL").json()
        passing = ("age_s", "cache")
        assert {name: value for name, value in asked.items() if name not in passing} == {
            name: value for name, value in second["AAPL"].items() if name not in passing
        }
        assert second["AAPL"]["sequence"] > first["AAPL"].data["sequence"]
    with EventSource(server.port, "symbols=AAPL&prices=AAPL") as stream:
        stream.next("decision")
        _trade(place, 2, "102", "AAPL")
        told = stream.next("decision")
        assert (told.data["inputs"]["tick"]["price"], told.event_id is None) == (102, False)


def test_many_trades_are_conflated_and_the_last_one_comes_to_all(place: Place) -> None:
    server = place[0]
    with EventSource(server.port, "prices=AAPL&interval_ms=60000") as slow, EventSource(server.port, "prices=AAPL") as usual:
        assert (slow.next("price").data["price"], usual.next("price").data["price"]) == (100, 100)
        for number in range(1, 41):
            _trade(place, number, str(100 + number), "AAPL")
        told = [each.data["price"] for each in _prices_until(usual, 140)]
        assert told == sorted(set(told))
        with EventSource(server.port, "prices=AAPL") as late:
            assert late.next("price").data["price"] == 140
        text = httpx.get(f"{server.url}/metrics").text
        passed_over = float(text.split('decide_stream_conflated_total{transport="sse"} ')[1].split("\n")[0])
        assert passed_over >= 38


def test_decisions_are_conflated_as_prices_are_and_the_last_one_has_an_id(place: Place) -> None:
    server = place[0]
    with EventSource(server.port, "symbols=AAPL") as usual, EventSource(server.port, "symbols=AAPL&interval_ms=0") as eager:
        usual.next("decision")
        eager.next("decision")
        for number in range(1, 31):
            _trade(place, number, str(100 + number / 10), "AAPL")
        told: dict[EventSource, list[Told]] = {}
        for stream in (eager, usual):
            told[stream] = [stream.next("decision")]
            while told[stream][-1].data["inputs"]["tick"]["price"] != 103:
                told[stream].append(stream.next("decision"))
            prices = [each.data["inputs"]["tick"]["price"] for each in told[stream]]
            assert prices == sorted(set(prices))
        assert len(told[usual]) < len(told[eager])
        while usual.last_id != eager.last_id:
            usual.event()


def test_who_comes_back_is_told_the_newest_price_whatever_its_id(place: Place) -> None:
    server = place[0]
    with EventSource(server.port, "prices=AAPL") as stream:
        assert stream.next("price").event_id is None
        while stream.last_id is None:
            stream.event()
    _trade(place, 1, "101.25", "AAPL")
    with EventSource(server.port, "prices=AAPL", stream.last_id) as stream:
        assert _prices_until(stream, 101.25)


def test_a_websocket_follows_prices_with_the_digits_of_their_venue(place: Place) -> None:
    async def talk() -> None:
        async def receive() -> dict[str, Any]:
            while True:
                message = json.loads(await asyncio.wait_for(socket.recv(), 20), parse_float=Decimal)
                if message["type"] != "heartbeat":
                    return dict(message)

        async with connect(f"ws://127.0.0.1:{place[0].port}/ws") as socket:
            await socket.send('{"type":"subscribe","prices":["aapl"],"interval_ms":0}')
            assert await receive() == {"type": "subscribed", "symbols": [], "prices": ["AAPL"]}
            assert (await receive())["price"]["requested"] == "aapl"
            await asyncio.to_thread(_trade, place, 1, "101.123456789012345678", "AAPL", "IBM")
            told = await receive()
            assert (told["type"], told["id"], told["price"]["price"]) == ("price", None, Decimal("101.123456789012345678"))
            await socket.send('{"type":"unsubscribe","prices":["*"]}')
            assert (await receive())["prices"] == ["AAPL"]

    asyncio.run(talk())
