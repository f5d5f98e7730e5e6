"""The layer around Starlette, with an application of the test's own inside."""

import asyncio
from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send

from app.errors import Problem
from app.http.drain import Drain
from app.http.edge import Edge
from tests.kit.clock import Clock
from tests.kit.serving import Heard, Served, http_scope, talk


@pytest.fixture
def served() -> Iterator[Served]:
    """For its counters and its log."""
    with Served(log_sample_every=1) as running:
        yield running


def _around(served: Served, inner: object) -> Edge:
    return Edge(inner, served.parts.requests, Drain(), Clock(), lambda: "made-id")  # type: ignore[arg-type]


def _talk(edge: Edge) -> Heard:
    return asyncio.run(talk(edge, http_scope("GET", "/x")))


async def _begin(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})


def test_the_request_id_joins_the_headers_of_the_answer(served: Served) -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        assert scope["arrival"].request_id == "made-id"
        await _begin(send)
        await send({"type": "http.response.body", "body": b"ok"})

    heard = _talk(_around(served, inner))
    assert (heard.status, heard.body) == (200, b"ok")
    assert heard.headers.items() >= {"x-own": "1", "x-request-id": "made-id"}.items()


def test_an_error_before_the_answer_is_a_500(served: Served) -> None:
    async def inner(*_: object) -> None:
        raise RuntimeError("nobody foresaw this")

    heard = _talk(_around(served, inner))
    assert (heard.status, heard.problem.type, heard.problem.request_id) == (500, "urn:decide:problem:internal", "made-id")
    lines = served.log_lines()
    assert "nobody foresaw this" in lines[0]["exception"]
    assert (lines[1]["status"], lines[1]["level"]) == (500, "error")


def test_an_error_in_the_middle_of_the_answer_does_not_begin_another(served: Served) -> None:
    """Two beginnings are one broken answer; the log still has the error."""

    async def inner(_: Scope, __: Receive, send: Send) -> None:
        await _begin(send)
        raise RuntimeError("half way")

    heard = _talk(_around(served, inner))
    assert [message["type"] for message in heard.messages] == ["http.response.start"]
    assert "half way" in served.log_lines()[0]["exception"]


def test_a_problem_raised_inside_is_answered_as_one(served: Served) -> None:
    """Also where Starlette's handlers have not seen it."""

    async def inner(*_: object) -> None:
        raise Problem(418, "teapot", "Teapot", "short and stout")

    heard = _talk(_around(served, inner))
    assert (heard.status, heard.problem.detail) == (418, "short and stout")


def test_a_request_whose_caller_left_counts_as_499(served: Served) -> None:
    async def inner(*_: object) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        _talk(_around(served, inner))
    assert served.parts.requests.in_flight == 0
    assert served.log_lines()[0]["status"] == 499


def test_a_client_that_leaves_the_lane_counts_as_499(served: Served) -> None:
    async def leave() -> None:
        task = asyncio.ensure_future(talk(served.app, http_scope()))
        await asyncio.sleep(0.02)
        assert served.parts.requests.in_flight == 1
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    served.runner.run(leave())
    assert served.parts.requests.in_flight == 0
    assert [line["status"] for line in served.log_lines()] == [499]


@pytest.mark.parametrize("every", [1, 3])
def test_successes_are_sampled_and_errors_are_not(every: int) -> None:
    with Served(log_sample_every=every) as served:
        for _ in range(6):
            served.get("/livez")
            served.get("/nothing")
            served.request("DELETE", "/livez")
        lines = [line for line in served.log_lines() if line["event"] == "request"]
    refused = [line for line in lines if line["status"] == 404]
    # Whoever is refused can ask again at once: a line each would be theirs to fill the log with. The first is always there.
    assert len(refused) == -(-6 // every)
    assert [line["status"] for line in lines].count(405) == 6
    successes = [line for line in lines if line["status"] == 200]
    assert len(successes) == 6 // every
    assert all(line["sampled_one_in"] == every for line in successes)


def test_a_method_is_logged_no_longer_than_methods_are(served: Served) -> None:
    """A made-up method of 300,000 letters neither fills the log nor keeps the log's writer busy."""
    served.asgi(http_scope("A" * 300_000, "/decide"))
    served.asgi(http_scope("B" * 300_000, "/nothing"))
    assert [line["method"] for line in served.log_lines()] == ["A" * 32, "B" * 32]
