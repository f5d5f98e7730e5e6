"""A flood of what anybody may ask, and what those with keys notice of it. Bounds are generous: without queues none is near."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.store.opening import open_store
from tests.e2e.flood import Flood
from tests.e2e.publishing import publish_universe
from tests.kit.keys import SECRET, FakeKeys, key_id
from tests.kit.servers import DecideServer, decide_server, until

pytestmark = pytest.mark.alone

_BODY = {"symbol": "AAPL"}
_FLOOD_S = 3.0
_METRICS = ("/metrics",)


class _Guarded:
    """A server that wants keys, and one that is good."""

    def __init__(self, server: DecideServer, redis_url: str, keys: FakeKeys) -> None:
        self.server = server
        self._redis_url = redis_url
        self._keys = keys
        self.key = keys.make("decide")
        self.write_keys()

    def write_keys(self) -> None:
        """Into Redis; those that were removed, out of it."""

        async def write() -> None:
            store = open_store(redis_url=self._redis_url, store_path=Path(), key_prefix="decide:1")
            for known in await store.keys():
                await store.remove_key(known)
            for known, record in self._keys.records.items():
                await store.put_key(known, record)
            await store.close()

        asyncio.run(write())

    def revoke(self) -> None:
        """The good one."""
        del self._keys.records[key_id(self.key)]
        self.write_keys()

    def ask(self, client: httpx.Client) -> httpx.Response:
        """A decision, with the key."""
        return client.post("/decide", json=_BODY, headers={"X-API-Key": self.key})


@contextmanager
def _house(folder: Path, redis_url: str, **settings: str) -> Iterator[_Guarded]:
    publish_universe(redis_url)
    settings |= {"REDIS_URL": redis_url, "CLOCK": "replay", "ACCESS": "keys", "API_KEY_SECRET": SECRET, "L1_LEASE_S": "2"}
    with decide_server(folder, **settings) as server:
        server.wait_ready()
        house = _Guarded(server, redis_url, FakeKeys())
        with server.client() as client:
            until(lambda: house.ask(client).status_code == 200, 5, "the key is known")
        yield house


def test_decisions_stay_fresh_and_quick_under_a_flood_of_open_routes(tmp_path: Path, redis_url: str) -> None:
    """Half of all of them are there within 0.1 s; hardly any falls back, which a pause of the machine can make it do."""
    with _house(tmp_path, redis_url, L1_TTL_S="0.5") as house, house.server.client() as client:
        took_s, levels = [], []
        with Flood(house.server.port, 64) as flood:
            began = time.monotonic()
            while time.monotonic() - began < _FLOOD_S:
                asked = time.monotonic()
                answer = house.ask(client)
                took_s.append(time.monotonic() - asked)
                assert answer.status_code == 200, answer.text
                levels.append(answer.json()["fallback"]["level"])
        assert levels.count("none") >= 0.9 * len(levels)
        assert statistics.median(took_s) < 0.1
        assert flood.statuses.keys() == {200, 401}


def test_probes_are_answered_under_a_flood_from_the_same_address(tmp_path: Path, redis_url: str) -> None:
    """An orchestrator that hears nothing restarts the worker."""
    with _house(tmp_path, redis_url) as house, house.server.client(2) as client, Flood(house.server.port, 600, _METRICS):
        began = time.monotonic()
        while time.monotonic() - began < _FLOOD_S:
            assert client.get("/livez").status_code == client.get("/readyz").status_code == 200
            time.sleep(0.1)


def test_a_revoked_key_ends_within_the_lease_whatever_strangers_do(tmp_path: Path, redis_url: str) -> None:
    """The task that reads the keys has its turns. A second more is for the test's own requests."""
    with _house(tmp_path, redis_url) as house, house.server.client() as client, Flood(house.server.port, 600, _METRICS):
        assert house.ask(client).status_code == 200
        house.revoke()
        until(lambda: house.ask(client).status_code == 401, 3, "the key is refused", 0.05)


def test_a_body_that_is_sent_whole_is_never_too_late(tmp_path: Path, redis_url: str) -> None:
    """However many strangers ask: no 408, though a body has a fraction of a second."""
    with _house(tmp_path, redis_url, body_timeout_s="0.2") as house, Flood(house.server.port, 600, _METRICS):
        began, statuses = time.monotonic(), set()
        while time.monotonic() - began < _FLOOD_S:
            with house.server.client() as client:
                statuses.add(house.ask(client).status_code)
        assert statuses == {200}
