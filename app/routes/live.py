"""GET /live: this worker's hit rate and latencies once a second, as server-sent events.

Numbers are computed once a second for all clients together, and only while there are any. Nothing is queued: each client is sent
the newest frame when it has taken the one before, so a slow one skips frames and holds up nobody. All end when the worker drains,
because a stop waits for what is under way.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.answering.decider import Decider
from app.cache.feed import Feed
from app.errors import Problem
from app.http.access import Gate
from app.http.drain import Drain
from app.messages import LiveStats
from app.observe.meters import Meters
from app.observe.request_durations import REQUEST_BUCKETS_S
from app.observe.requests import Requests
from app.observe.window import Window, quantile, share
from app.push.sse import HEADERS, MEDIA_TYPE, frame
from app.version import VERSION

MAX_CLIENTS = 64
"""At once, of a worker: people look at this, programs scrape /metrics."""
TICK_S = 1.0
WINDOW_TICKS = 10
_LOOKS_A_TICK = 4
"""How often a tick looks whether the worker drains."""
_LAST_FRAME_S = 0.5
"""How long a client that takes nothing is waited for at the end."""
_RETRY_S = 5

_HEAD = [
    (b"content-type", MEDIA_TYPE.encode()),
    *((name.lower().encode(), value.encode()) for name, value in HEADERS.items()),
]
_END: Message = {"type": "http.response.body", "body": b"", "more_body": False}
_encode = msgspec.json.Encoder().encode
Sleep = Callable[[float], Coroutine[Any, Any, None]]


class LiveRoute:
    """The endpoint. Belongs to one event loop."""

    def __init__(
        self,
        *,
        decider: Decider,
        feed: Feed,
        meters: Meters,
        requests: Requests,
        drain: Drain,
        gate: Gate,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._decider = decider
        self._feed = feed
        self._meters = meters
        self._requests = requests
        self._drain = drain
        self._gate = gate
        self._sleep = sleep
        self._started = decider.clock()
        self._clients: set[asyncio.Task[None]] = set()
        self._entered = 0
        self._frame = b""
        self._next = asyncio.Event()
        self._over = True

    @property
    def clients(self) -> int:
        """How many there are."""
        return self._entered

    async def live(self, request: Request) -> Response:
        """A stream of `LiveStats`, the first of them at once.

        Raises:
            Problem: 503 if there are too many clients already, or the worker is about to stop.
        """
        if request.method == "HEAD":
            return Response(headers={"Content-Type": MEDIA_TYPE, **HEADERS})
        retry = (("Retry-After", str(_RETRY_S)),)
        if self._drain.on:
            raise Problem(503, "draining", "Draining", "this worker is about to stop: ask another one", headers=retry)
        if self._entered >= MAX_CLIENTS:
            why = f"there are {MAX_CLIENTS} clients, the most there may be; try again in {_RETRY_S} s"
            raise Problem(503, "too-many-clients", "Too many clients", why, headers=retry)
        return _Stream(self._serve)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One client, to its end, its key's or the worker's."""
        self._entered += 1
        sending = asyncio.ensure_future(self._send_frames(send))
        gone = asyncio.ensure_future(_gone(receive))
        self._clients.add(sending)
        try:
            with self._gate.hold(scope, lambda: _cancel(gone)):
                await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left = gone.done()
            self._clients.discard(sending)
            self._entered -= 1
            for task in (sending, gone):
                task.cancel()
            await asyncio.wait({sending, gone})
        if gone.cancelled() and left:
            # Its key is no longer good: the end is said, to who listens.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(send(_END), _LAST_FRAME_S)
        # What cannot be sent to somebody who has left is no fault.
        if not left and not sending.cancelled():
            sending.result()

    async def _send_frames(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEAD})
        if self._over:
            self._begin()
        sent = b""
        while not self._over:
            if self._frame is not sent:
                sent = self._frame
                await send({"type": "http.response.body", "body": sent, "more_body": True})
            else:
                await self._next.wait()
        await send(_END)

    def _begin(self) -> None:
        """There is a client where there was none."""
        window = Window(WINDOW_TICKS + 1)
        self._show(window)
        self._over = False
        task = asyncio.ensure_future(self._tick(window))
        # Kept by the loop alone, a task may be collected.
        self._ticking = task
        task.add_done_callback(_report)

    def _show(self, window: Window) -> None:
        self._frame = frame(_encode(self._stats(window)))
        self._wake()

    def _wake(self) -> None:
        waiting, self._next = self._next, asyncio.Event()
        waiting.set()

    async def _tick(self, window: Window) -> None:
        """A frame a second until nobody is there any more, or the worker drains."""
        try:
            while self._entered and await self._second():
                self._show(window)
        finally:
            self._over = True
            self._wake()
            await self._end_clients()

    async def _second(self) -> bool:
        """Whether it has passed without a drain."""
        for _ in range(_LOOKS_A_TICK):
            await self._sleep(TICK_S / _LOOKS_A_TICK)
            if self._drain.on:
                return False
        return True

    async def _end_clients(self) -> None:
        """Those who read have their end at once; who takes nothing is left."""
        clients = set(self._clients)
        if clients:
            _, stuck = await asyncio.wait(clients, timeout=_LAST_FRAME_S)
            for client in stuck:
                client.cancel()

    def _stats(self, window: Window) -> LiveStats:
        now, totals = self._decider.clock(), self._meters.totals()
        window_s, counted = window.look(now, totals)
        p50, p95, p99 = (_milliseconds(quantile(q, REQUEST_BUCKETS_S, counted.decide_counts)) for q in (0.50, 0.95, 0.99))
        info = self._feed.run_info
        return LiveStats(
            worker=os.getpid(),
            version=VERSION,
            uptime_s=round(now - self._started, 3),
            run=None if info is None else info.run,
            window_s=round(window_s, 3),
            requests_per_s=_rate(counted.requests, window_s),
            decisions_per_s=_rate(counted.decisions, window_s),
            hit_rate=share(counted.hits, counted.misses),
            hit_rate_since_start=share(totals.hits, totals.misses),
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            l1_entries=len(self._decider.tiers.memory),
            in_flight=self._requests.in_flight - self._entered,
            feed_connected=self._feed.connected,
            feed_lag_s=round(self._feed.lag_s(), 3),
        )


class _Stream(Response):
    """A response that a function of the application sends."""

    def __init__(self, serve: Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]) -> None:
        super().__init__()
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send)


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()


async def _gone(receive: Receive) -> None:
    """Returns when the client has gone."""
    message: Message = await receive()
    while message["type"] != "http.disconnect":
        message = await receive()


def _report(task: "asyncio.Task[None]") -> None:
    """A tick that failed has ended all streams; here it is told why."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        task.get_loop().call_exception_handler({"message": "GET /live failed", "exception": error})


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000.0, 4)


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 3) if seconds else 0.0
