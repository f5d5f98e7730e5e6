"""GET /stream: live decisions as server-sent events."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.errors import Problem, invalid
from app.http.access import Gate
from app.http.hangup import HangUps
from app.push.hub import Hub
from app.push.sse import HEADERS, MEDIA_TYPE, frame
from app.push.subscriber import Subscriber

_PARAMETERS = ("symbols",)
_SHOWN_MAX = 40
_EVERYTHING = "*"
_NOTHING: MutableMapping[str, Any] = {"type": "http.response.body", "body": b"", "more_body": False}


def asked_of(symbols: list[str] | tuple[str, ...], most: int, canonical: Callable[[str, str], str]) -> dict[str, str] | None:
    """The symbols as the universe spells them, each with how it was asked for (first, if it was more than once). None: all.

    Raises:
        Problem: 422 naming the field.
    """
    if _EVERYTHING in symbols:
        if len(symbols) > 1:
            raise invalid("symbols", f"symbols has '*' and {len(symbols) - 1} more; allowed: '*' alone, for all, or symbols")
        return None
    if not 1 <= len(symbols) <= most:
        raise invalid("symbols", f"symbols has {len(symbols)} elements; allowed: 1 to {most}")
    asked: dict[str, str] = {}
    for position, symbol in enumerate(symbols):
        asked.setdefault(canonical(symbol, f"symbols[{position}]"), symbol)
    return asked


class StreamRoute:
    """The endpoint."""

    def __init__(self, hub: Hub, hang_ups: HangUps, gate: Gate) -> None:
        self._hub = hub
        self._hang_ups = hang_ups
        self._gate = gate

    async def get(self, request: Request) -> Response:
        """What refuses it comes before the stream begins; then a decision for each symbol, and a new one whenever it changes."""
        arrival = request.scope["arrival"]
        try:
            asked = self._asked(request)
            everything = asked is None
            if request.method == "HEAD":
                return Response(media_type=MEDIA_TYPE, headers=HEADERS)
            if asked is None:
                asked = await self._hub.everything("symbols")
        except Problem:
            await self._gate.charge(request.scope, 1)
            raise
        # It is told as many decisions at once as a batch would be.
        await self._gate.charge(request.scope, max(1, len(asked)), "symbols")
        subscriber = self._hub.enter("sse")
        try:
            await self._hub.decider.load(asked, arrival.started)
        except BaseException:
            subscriber.end("refused")
            self._hub.leave(subscriber)
            raise
        # A header of Latin letters; whatever else somebody sends is no id of ours.
        after = arrival.headers.get(b"last-event-id", b"").decode("latin-1") or None
        joining = partial(self._hub.join, subscriber, asked, after, everything=everything)
        return _Stream(self._hub, self._hang_ups, self._gate, subscriber, joining)

    def _asked(self, request: Request) -> dict[str, str] | None:
        parameters = request.query_params.multi_items()
        for name, _ in parameters:
            if name not in _PARAMETERS:
                raise invalid(name[:_SHOWN_MAX], f"query parameter {name[:_SHOWN_MAX]!r} is unknown; allowed: symbols")
        text = ",".join(value for _, value in parameters)
        if not text:
            raise invalid(
                "symbols", "symbols is missing; allowed: symbols by commas, as in /stream?symbols=AAPL,GOOG, or *, for all"
            )
        if text.count(",") >= self._hub.max_symbols:
            raise invalid("symbols", f"symbols has {text.count(',') + 1} elements; allowed: 1 to {self._hub.max_symbols}")
        return asked_of(text.split(","), self._hub.max_symbols, self._hub.decider.canonical)


class _Stream(Response):
    """The answer: as long as the client listens."""

    def __init__(
        self,
        hub: Hub,
        hang_ups: HangUps,
        gate: Gate,
        subscriber: Subscriber,
        join: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(media_type=MEDIA_TYPE, headers=HEADERS)
        del self.headers["content-length"]
        self._hub = hub
        self._hang_ups = hang_ups
        self._gate = gate
        self._subscriber = subscriber
        self._join = join

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until there is a reason not to."""
        with self._gate.hold(scope, lambda: self._subscriber.end("revoked")):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        subscriber = self._subscriber
        subscriber.begin()
        listening = asyncio.create_task(self._listen(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send(_part(b"retry: %d\n\n" % self._hub.retry_ms()))
            while events := await subscriber.next():
                await send(_part(b"".join(events)))  # type: ignore[arg-type]
                self._hub.meters.sent("sse", len(events))
            if subscriber.reason != "left":
                await send(_part(frame(subscriber.last_word(), "dropped")))
            await send(_NOTHING)
        except asyncio.CancelledError:
            if not subscriber.cut_off():
                raise
            self._hang_ups.ask(scope)
        finally:
            subscriber.finish()
            self._hub.leave(subscriber)
            listening.cancel()

    async def _listen(self, receive: Receive) -> None:
        """Have the hub tell what comes first, then see whether the client goes."""
        subscriber = self._subscriber
        try:
            await self._join()
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    subscriber.end("left")
                    return
                if message.get("body"):
                    # A GET has none. Whatever it is for, it is not read on.
                    subscriber.end("refused")
                    return
        except Exception as error:  # noqa: BLE001 - its end must be told, whatever it is; it is reported, not hidden
            asyncio.get_running_loop().call_exception_handler({"message": "a stream failed unforeseen", "exception": error})
            subscriber.end("failed")


def _part(body: bytes) -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}
