"""A flood of what anybody may ask: how much of it one turn of the event loop does, in the whole application."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from tests.kit.keys import SECRET, FakeKeys
from tests.kit.serving import Served, http_scope, part, talk
from tests.kit.store import UNIVERSE, FakeStore

_MANY = 40
_JSON_TYPE = ((b"host", b"x"), (b"content-type", b"application/json"))


class _CountedStore(FakeStore):
    """Counts how many pings there are at once at most."""

    _now = most = 0

    async def ping(self) -> None:
        """Answers after a few turns."""
        await super().ping()
        self._now += 1
        self.most = max(self.most, self._now)
        for _ in range(5):
            await asyncio.sleep(0)
        self._now -= 1


async def _flood(served: Served, method: str, path: str, texts: set[bytes] | None = None) -> list[tuple[int, int]]:
    """Ask `_MANY` times at once: of each answer the turn of the loop in which it began, and its status."""
    turn, begun = 0, []
    texts = set() if texts is None else texts

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            begun.append((turn, message["status"]))
        else:
            texts.add(message["body"])

    async def receive() -> MutableMapping[str, Any]:
        return part(b"{}")

    counting = asyncio.create_task(count())
    one = http_scope(method, path, _JSON_TYPE)
    await asyncio.gather(*(served.app(dict(one), receive, send) for _ in range(_MANY)))
    counting.cancel()
    return begun


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/version", 200),
        ("GET", "/", 200),
        ("GET", "/console/console.js", 200),
        ("GET", "/docs", 200),
        ("GET", "/docs/swagger-ui-bundle.js", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/nothing/here", 404),
        ("GET", "/console/none", 404),
        ("GET", "/decide", 405),
        ("DELETE", "/decide/batch", 405),
        ("POST", "/metrics", 405),
    ],
)
def test_one_stranger_is_answered_a_turn(method: str, path: str, status: int, served: Served) -> None:
    """Whatever else is due has its turn between two of them."""
    begun = served.runner.run(_flood(served, method, path))
    assert {each for _, each in begun} == {status}
    assert len({turn for turn, _ in begun}) == len(begun) == _MANY


@pytest.mark.parametrize(("method", "path"), [("POST", "/decide"), ("POST", "/decide/batch"), ("GET", "/stream"), ("GET", "/x")])
def test_one_refusal_for_want_of_a_key_is_told_a_turn(method: str, path: str) -> None:
    """Of routes that decide too: what is no good key costs its caller a place in the queue."""
    with Served(keys=FakeKeys(), access="keys", api_key_secret=SECRET) as served:
        begun = served.runner.run(_flood(served, method, path))
    assert {each for _, each in begun} == {401}
    assert len({turn for turn, _ in begun}) == _MANY


def test_one_refusal_for_the_rate_limit_is_told_a_turn() -> None:
    """Who has no tokens left is refused for less than a decision costs, and not many at once."""
    with Served(rate_limit_per_s=1.0, rate_limit_burst=1) as served:
        begun = served.runner.run(_flood(served, "POST", "/decide"))
    refused = [turn for turn, status in begun if status == 429]
    assert len(refused) >= _MANY - 1
    assert len(set(refused)) == len(refused)


def test_probes_are_answered_in_the_middle_of_a_flood_from_the_same_address(served: Served) -> None:
    """All behind a proxy have one address."""

    async def work() -> int:
        flood = asyncio.create_task(_flood(served, "GET", "/docs"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (await talk(served.app, http_scope("GET", "/livez"))).status == 200
        # The server counts those who wait as under way.
        assert served.parts.requests.in_flight > _MANY / 2
        return len(await flood)

    assert served.runner.run(work()) == _MANY


def test_a_flood_is_bounded_and_told_so() -> None:
    with Served(max_connections=16) as served:

        async def work() -> tuple[list[tuple[int, int]], int]:
            flood = asyncio.create_task(_flood(served, "GET", "/livez"))
            await asyncio.sleep(0)
            probe = http_scope("GET", "/livez") | {"client": ("10.0.0.9", 1)}
            heard = await talk(served.app, probe)
            return await flood, heard.status

        begun, probe = served.runner.run(work())
        statuses = [status for _, status in begun]
        assert (statuses.count(200), statuses.count(503)) == (16, _MANY - 16)
        assert probe == 200
        assert 'status="503"' in served.get("/metrics").text


def test_good_keys_wait_for_no_stranger() -> None:
    keys = FakeKeys()
    key = keys.make("read")
    with Served(keys=keys, access="keys", api_key_secret=SECRET) as served:

        async def work() -> bool:
            flood = asyncio.create_task(_flood(served, "GET", "/nothing"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            scope = http_scope("GET", "/version", ((b"host", b"x"), (b"x-api-key", key.encode())))
            answer = asyncio.create_task(talk(served.app, scope))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not flood.done()
            return answer.done() and answer.result().status == 200

        assert served.runner.run(work())


def test_a_flood_of_metrics_is_rendered_few_times(served: Served) -> None:
    """Each rendering counts the requests before it, so there are as many renderings as there are texts."""
    texts: set[bytes] = set()
    begun = served.runner.run(_flood(served, "GET", "/metrics", texts))
    assert {status for _, status in begun} == {200}
    assert len(begun) == _MANY
    assert len(texts) < _MANY / 2


def test_a_flood_of_health_looks_at_the_store_once_at_a_time() -> None:
    """Strangers must not fill the connections that decisions are read over."""
    store = _CountedStore(*UNIVERSE)
    with Served(store) as served:
        begun = served.runner.run(_flood(served, "GET", "/health"))
        assert {status for _, status in begun} == {200}
        assert store.most == 1
        assert store.calls["ping"] < _MANY / 2
        before = store.calls["ping"]
        assert served.get("/health").status_code == 200
        assert store.calls["ping"] == before + 1
