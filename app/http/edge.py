"""The outermost layer around Starlette: request id, strictness, metrics, log line, and a 500 for what nobody foresaw.

Websockets are bracketed as requests are; their status is that of the answer to their handshake. An answer without an end of its
own (a stream of events, an accepted websocket) counts with the time until it began: how long somebody listens is no latency.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import Problem
from app.http.arrival import Arrival, arrive, refuse_ambiguous
from app.http.drain import CLOSE, Drain
from app.http.problems import internal_error, response_of
from app.http.security import secured
from app.observe.requests import Requests

CLIENT_GONE = 499
"""The status a request is counted under that was never answered, because its caller left (as nginx has it)."""

_METHOD_MAX = 32
"""Letters of a method that are logged; a caller can send hundreds of thousands."""

_SWITCHING, _FORBIDDEN = 101, 403
_FAULT = 1011
"""A websocket's code for a fault of the server's."""
_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")

Message = MutableMapping[str, Any]


class Edge:
    """Pure ASGI: no task groups, nothing buffered."""

    def __init__(
        self, app: ASGIApp, requests: Requests, drain: Drain, clock: Callable[[], float], make_id: Callable[[], str]
    ) -> None:
        self._app = app
        self._drain = drain
        self._requests = requests
        self._clock = clock
        self._make_id = make_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Bracket one request; lifespan passes through."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        arrival = arrive(scope, self._clock(), self._make_id)
        scope["arrival"] = arrival
        answer = _Answer(send, arrival, self._drain, self._clock)
        self._requests.begin()
        try:
            await self._answer(scope, receive, answer, arrival)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope.get("method", "GET")[:_METHOD_MAX]
            ended = arrival.started, arrival.request_id, arrival.trace_id
            self._requests.end(method, route, answer.status, *ended, begun=answer.begun)

    async def _answer(self, scope: Scope, receive: Receive, answer: "_Answer", arrival: Arrival) -> None:
        try:
            refuse_ambiguous(scope, arrival.headers)
            await self._app(scope, receive, answer)
        except Problem as problem:
            await response_of(problem, arrival.request_id)(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - the last stop: whatever it is, the caller gets a 500 and the log the error
            self._requests.failed(error, arrival.request_id)
            if answer.status == _SWITCHING:
                await answer({"type": "websocket.close", "code": _FAULT})
            elif answer.status == CLIENT_GONE:
                await response_of(internal_error(), arrival.request_id)(scope, receive, answer)


class _Answer:
    """``send``, with request id and security headers added (and, while draining, the connection's end) and the status noted."""

    def __init__(
        self, send: Callable[[Message], Awaitable[None]], arrival: Arrival, drain: Drain, clock: Callable[[], float]
    ) -> None:
        self._send = send
        self._drain = drain
        self._clock = clock
        self.begun: float | None = None
        self._request_id = (b"x-request-id", arrival.request_id.encode("ascii"))
        self.status = CLIENT_GONE

    async def __call__(self, message: Message) -> None:
        if message["type"] in _STARTS:
            self.status = message.get("status", _SWITCHING)
            headers = secured([*message.get("headers", ()), self._request_id])
            if self.status == _SWITCHING or _is_events(headers):
                self.begun = self._clock()
            elif self._drain.on:
                headers = [each for each in headers if each[0] != CLOSE[0]] + [CLOSE]
            message["headers"] = headers
        elif message["type"] == "websocket.close" and self.status == CLIENT_GONE:
            self.status = _FORBIDDEN
        await self._send(message)


def _is_events(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)
