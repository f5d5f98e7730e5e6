"""WS /ws: live decisions and prices over a websocket, with symbols that may change. Messages are JSON text (`app.messages`)."""

import asyncio
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.errors import Problem, invalid
from app.http.access import Gate
from app.http.arrival import Arrival
from app.http.decoding import StrictDecoder
from app.http.hangup import HangUps
from app.http.problems import response_of
from app.messages import Ping, Pong, Refused, SocketRequest, Subscribe, Subscribed, Unsubscribe, Unsubscribed, body_of
from app.observe.streams import Reason
from app.push.hub import Hub
from app.push.subscriber import Subscriber
from app.routes.asked import Asked

REFUSED_MAX = 10
"""So many messages may be refused before the connection ends."""
_CODES: dict[Reason, int] = {
    "slow": 1013,
    "draining": 1001,
    "idle": 1008,
    "refused": 1008,
    "revoked": 1008,
    "failed": 1011,
    "left": 1000,
}
_TOO_LARGE, _NO_TEXT = 1009, 1003
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

_encode = msgspec.json.Encoder().encode


def is_own_origin(origin: bytes, host: bytes) -> bool:
    """Whether a page of ``origin`` is of the server that was asked as ``host``: browsers let any page connect to anywhere."""
    try:
        parts = urlsplit(origin.decode("ascii"))
        asked = host.decode("ascii").lower()
    except (UnicodeDecodeError, ValueError):
        return False
    default = _DEFAULT_PORTS.get(parts.scheme)
    if default is None:
        return False
    return parts.netloc.lower().removesuffix(default) == asked.removesuffix(default)


class SocketRoute:
    """The endpoint."""

    def __init__(self, hub: Hub, hang_ups: HangUps, gate: Gate, *, max_bytes: int) -> None:
        self._hub = hub
        self._hang_ups = hang_ups
        self._gate = gate
        self._max_bytes = max_bytes

    async def connect(self, websocket: WebSocket) -> None:
        """Refuse it by an answer of HTTP, or talk until there is a reason not to."""
        scope, receive, send = websocket.scope, websocket.receive, websocket.send
        await receive()
        try:
            arrival: Arrival = scope["arrival"]
            origin = arrival.headers.get(b"origin")
            if origin is not None and not is_own_origin(origin, arrival.headers.get(b"host", b"")):
                shown = origin[:60].decode("latin-1")
                raise Problem(403, "foreign-origin", "Foreign origin", f"a page of {shown!r} may not connect", "Origin")
            subscriber = self._hub.enter("ws")
        except Problem as problem:
            await response_of(problem, scope["arrival"].request_id)(scope, receive, send)
            return
        talk = _Talk(self._hub, self._gate, subscriber, scope, receive, send, self._max_bytes)
        with self._gate.hold(scope, lambda: subscriber.end("revoked")):
            await talk.run(self._hang_ups)


class _Talk:
    """One connection."""

    def __init__(
        self, hub: Hub, gate: Gate, subscriber: Subscriber, scope: Scope, receive: Receive, send: Send, max_bytes: int
    ) -> None:
        self._hub = hub
        self._gate = gate
        self._subscriber = subscriber
        self._scope = scope
        self._receive = receive
        self._send = send
        self._max_bytes = max_bytes
        self._refused = 0
        self._code: int | None = None
        self._decode = StrictDecoder[SocketRequest](SocketRequest).decode  # type: ignore[arg-type]

    async def run(self, hang_ups: HangUps) -> None:
        """Send until there is a reason not to."""
        subscriber = self._subscriber
        subscriber.begin()
        listening: asyncio.Task[None] | None = None
        try:
            await self._send({"type": "websocket.accept"})
            listening = asyncio.create_task(self._listen())
            while events := await subscriber.next():
                for event in events:
                    await self._say(event)
                self._hub.meters.sent("ws", len(events))
            # The server closes only when nobody waits for a message.
            listening.cancel()
            await asyncio.wait((listening,))
            assert subscriber.reason is not None
            if subscriber.reason != "left":
                await self._say(subscriber.last_word().decode())
                code = self._code or _CODES[subscriber.reason]
                await self._send({"type": "websocket.close", "code": code, "reason": subscriber.reason})
        except WebSocketDisconnect:
            # Granian passes over what is sent to a client that left; other servers say so.
            subscriber.end("left")
        except asyncio.CancelledError:
            if not subscriber.cut_off():
                raise
            hang_ups.ask(self._scope)
        finally:
            subscriber.finish()
            self._hub.leave(subscriber)
            if listening is not None:
                listening.cancel()

    async def _say(self, text: bytes | str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    async def _listen(self) -> None:
        subscriber = self._subscriber
        try:
            while True:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    subscriber.end("left")
                    return
                text = self._text(message)
                if text is None:
                    subscriber.end("refused")
                    return
                try:
                    await self._obey(text)
                except Problem as problem:
                    self._reply(Refused(body_of(problem, self._scope["arrival"].request_id)))
                    self._refused += 1
                    if self._refused > REFUSED_MAX:
                        subscriber.end("refused")
                        return
        except Exception as error:  # noqa: BLE001 - its end must be told, whatever it is; it is reported, not hidden
            asyncio.get_running_loop().call_exception_handler({"message": "a socket failed unforeseen", "exception": error})
            subscriber.end("failed")

    def _text(self, message: MutableMapping[str, Any]) -> bytes | None:
        """The message; None if the connection ends for it."""
        text = message.get("text")
        if text is None:
            self._code = _NO_TEXT
            return None
        # A letter is a byte or more: what is too long by its letters is not even encoded.
        body: bytes = b"" if len(text) > self._max_bytes else text.encode("utf-8", "surrogatepass")
        if len(text) > self._max_bytes or len(body) > self._max_bytes:
            self._code = _TOO_LARGE
            return None
        return body

    async def _obey(self, text: bytes) -> None:
        request = self._decode(text)
        hub, subscriber = self._hub, self._subscriber
        if isinstance(request, Ping):
            self._reply(Pong())
            return
        if request.symbols is UNSET and request.prices is UNSET:
            raise invalid("symbols", "symbols and prices are missing; allowed: one of them, or both")
        if not isinstance(request, Subscribe):
            self._reply(self._unsubscribed(request))
            return
        asked = Asked(hub, request.symbols, request.prices, request.interval_ms)
        asked.allowed(self._gate, self._scope)
        await asked.listed(hub)
        for field, held, more in (("symbols", subscriber.follows, asked.symbols), ("prices", subscriber.prices, asked.prices)):
            count = len(held.keys() | more.keys())
            if count > hub.max_symbols:
                raise invalid(field, f"{count} {field} would be followed; allowed: up to {hub.max_symbols}")
        await asked.paid(self._gate, self._scope)
        await asked.loaded(hub, hub.decider.clock())
        self._reply(Subscribed(tuple(asked.symbols), tuple(asked.prices)))
        await asked.joined(hub, subscriber, request.after)

    def _unsubscribed(self, request: Unsubscribe) -> Unsubscribed:
        hub, subscriber = self._hub, self._subscriber
        asked = Asked(hub, request.symbols, request.prices)
        decisions = hub.forget(subscriber, None if asked.all_symbols else asked.symbols)
        return Unsubscribed(tuple(decisions), tuple(hub.prices.forget(subscriber, None if asked.all_prices else asked.prices)))

    def _reply(self, message: msgspec.Struct) -> None:
        self._subscriber.give(_encode(message).decode())
