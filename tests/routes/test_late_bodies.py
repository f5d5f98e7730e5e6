"""What is true when the head of a request comes need not be so any more when its body has come."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import pytest

from app.payloads import BatchResponse, DecideResponse
from tests.kit.keys import SECRET, FakeKeys, key_id
from tests.kit.serving import Served, http_scope, part

_JSON = (b"content-type", b"application/json")


def _late(
    served: Served, path: str, body: object, *headers: tuple[bytes, bytes], meanwhile: Callable[[], Awaitable[None]]
) -> tuple[int, bytes]:
    """The answer to a request whose body comes after ``meanwhile``."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        await meanwhile()
        return part(json.dumps(body).encode())

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def ask() -> None:
        await served.app(http_scope(path=path, headers=[(b"host", b"x"), _JSON, *headers]), receive, send)

    served.runner.run(ask())
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def _hung() -> Served:
    """A server that has all of its symbols in memory, and whose L2 hangs from now on."""
    served = Served(l2_timeout_ms=10.0, l1_lease_s=1.0, feed_wait_ms=100.0)
    for symbol in ("AAPL", "IBM"):
        assert not served.decide(symbol).fallback.used
    served.store.hangs = True
    return served


def test_a_decision_is_stale_if_the_lease_ended_while_its_body_came() -> None:
    """As the same request is that is sent whole at that moment."""
    with _hung() as served:

        async def six_seconds() -> None:
            served.clock.now += 6.0

        status, answer = _late(served, "/decide", {"symbol": "AAPL"}, meanwhile=six_seconds)
        late = msgspec.json.decode(answer, type=DecideResponse)
        whole = served.decide("AAPL")
        assert status == 200
        for decision in (late, whole):
            assert (decision.cache.hit, decision.fallback.level) == (False, "stale")
            assert decision.fallback.reason in ("price_l2_timeout", "price_l2_open")


def test_a_batch_is_stale_if_the_lease_ended_while_its_body_came() -> None:
    with _hung() as served:

        async def six_seconds() -> None:
            served.clock.now += 6.0

        _, answer = _late(served, "/decide/batch", {"symbols": ["AAPL", "IBM"]}, meanwhile=six_seconds)
        decisions = [item.decision for item in msgspec.json.decode(answer, type=BatchResponse).answers]
        assert [decision and decision.fallback.level for decision in decisions] == ["stale", "stale"]


def test_a_batch_is_stale_if_the_lease_ended_while_it_waited_for_l2() -> None:
    """One symbol is not in memory and L2 does not answer for it; those that were in memory are no hits by then."""
    with _hung() as served:
        fetch = served.parts.decider.tiers.finish_many

        async def slowly(begun: Any, budget_s: float) -> Any:  # noqa: ANN401 - as the method
            served.clock.now += 6.0
            return await fetch(begun, budget_s)

        served.parts.decider.tiers.finish_many = slowly  # type: ignore[method-assign]
        batch = served.post("/decide/batch", {"symbols": ["AAPL", "MSFT", "IBM"]}).json()
        assert [item["decision"]["fallback"]["level"] for item in batch["answers"]] == ["stale", "neutral", "stale"]


@pytest.mark.parametrize(("path", "body"), [("/decide", {"symbol": "AAPL"}), ("/decide/batch", {"symbols": ["AAPL"]})])
def test_a_key_that_is_revoked_while_the_body_comes_gets_no_answer(path: str, body: object) -> None:
    keys = FakeKeys()
    key = keys.make("decide")
    with Served(keys=keys, access="keys", api_key_secret=SECRET) as served:
        ring = served.parts.gate.ring
        assert ring is not None

        async def revoke() -> None:
            await keys.remove_key(key_id(key))
            await ring.read()

        async def nothing() -> None:
            pass

        header = (b"x-api-key", key.encode())
        assert _late(served, path, body, header, meanwhile=nothing)[0] == 200
        assert _late(served, path, body, header, meanwhile=revoke)[0] == 401
