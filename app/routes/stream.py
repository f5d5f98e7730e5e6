"""GET /stream: live decisions and prices as server-sent events."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.errors import Problem, invalid
from app.http.access import Gate
from app.http.hangup import HangUps
from app.messages import INTERVAL_MAX_MS, INTERVAL_MS
from app.push.hub import Hub
from app.push.sse import HEADERS, MEDIA_TYPE, frame
from app.push.subscriber import Subscriber
from app.routes.asked import Asked

_PARAMETERS = ("symbols", "prices", "interval_ms")
_SHOWN_MAX = 40
_NOTHING: MutableMapping[str, Any] = {"type": "http.response.body", "body": b"", "more_body": False}


class StreamRoute:
    """The endpoint."""

    def __init__(self, hub: Hub, hang_ups: HangUps, gate: Gate) -> None:
        self._hub = hub
        self._hang_ups = hang_ups
        self._gate = gate

    async def get(self, request: Request) -> Response:
        """What refuses it comes before the stream begins; then what there is of each symbol, and more whenever that changes."""
        arrival = request.scope["arrival"]
        try:
            asked = self._asked(request)
            asked.allowed(self._gate, request.scope)
            if request.method == "HEAD":
                return Response(media_type=MEDIA_TYPE, headers=HEADERS)
            await asked.listed(self._hub)
        except Problem:
            await self._gate.charge(request.scope, 1)
            raise
        await asked.paid(self._gate, request.scope)
        subscriber = self._hub.enter("sse")
        try:
            await asked.loaded(self._hub, arrival.started)
        except BaseException:
            subscriber.end("refused")
            self._hub.leave(subscriber)
            raise
        # A header of Latin letters; whatever else somebody sends is no id of ours.
        after = arrival.headers.get(b"last-event-id", b"").decode("latin-1") or None
        return _Stream(self._hub, self._hang_ups, self._gate, subscriber, lambda: asked.joined(self._hub, subscriber, after))

    def _asked(self, request: Request) -> Asked:
        parameters = request.query_params.multi_items()
        for name, _ in parameters:
            if name not in _PARAMETERS:
                shown = name[:_SHOWN_MAX]
                raise invalid(shown, f"query parameter {shown!r} is unknown; allowed: {', '.join(_PARAMETERS)}")
        given: dict[str, str] = {}
        for name, value in parameters:
            given[name] = f"{given[name]},{value}" if name in given else value
        if not (given.get("symbols") or given.get("prices")):
            missing = "symbols and prices are missing; allowed: one of them, or both: symbols by commas, as in"
            raise invalid("symbols", f"{missing} /stream?symbols=AAPL,GOOG&prices=AAPL, or *, for all")
        interval_ms = self._interval_ms(given.get("interval_ms", str(INTERVAL_MS)))
        return Asked(self._hub, self._split("symbols", given), self._split("prices", given), interval_ms)

    def _split(self, field: str, given: dict[str, str]) -> list[str] | UnsetType:
        text = given.get(field)
        if text is None:
            return UNSET
        if text.count(",") >= self._hub.max_symbols:
            raise invalid(field, f"{field} has {text.count(',') + 1} elements; allowed: 1 to {self._hub.max_symbols}")
        return text.split(",")

    def _interval_ms(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text[:_SHOWN_MAX]) <= INTERVAL_MAX_MS):
            allowed = f"allowed: a whole number from 0 to {INTERVAL_MAX_MS}"
            raise invalid("interval_ms", f"interval_ms is {text[:_SHOWN_MAX]!r}; {allowed}")
        return int(text[:_SHOWN_MAX])


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
