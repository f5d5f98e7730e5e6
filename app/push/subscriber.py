"""One caller of /stream or /ws: what waits to be sent, and why it ends.

``send`` of the server waits while the client does not read. So whoever has an event puts it into the bounded queue of each
subscriber and waits for none of them, and a task of each subscriber's own sends. Who falls behind by more than the queue is
dropped: told so, if the connection takes that within `LAST_WORD_S`, and hung up on otherwise.
"""

import asyncio
import itertools
from collections import deque
from typing import Any, Protocol

import msgspec

from app.messages import Dropped
from app.observe.streams import Reason, Transport
from app.payloads import Action

LAST_WORD_S = 2.0
"""How long the end of a subscriber may take."""
EVENTS_AT_ONCE = 64
"""So many events, at most, are on their way to the server out of the queue."""
MADE_AT_ONCE = 25
"""And so many of those that are made for it: under 1 ms."""

_encode = msgspec.json.Encoder().encode
_DETAILS: dict[Reason, str] = {
    "slow": "events came faster than they were read",
    "draining": "this worker is about to stop; connect again",
    "idle": "no symbol is subscribed to",
    "refused": "too many messages were refused",
    "revoked": "the API key is not good any more",
    "failed": "the server failed; the log has the details",
}


class Follow:
    """One symbol of one subscriber: how it spelled it, the version, substance and action that it was told last, and from when on
    it may be told again, an interval after that.
    """

    __slots__ = ("action", "interval_s", "next_at", "requested", "seen", "substance")

    def __init__(self, requested: str, action: Action | None = None, interval_s: float = 0.0) -> None:
        self.requested = requested
        self.interval_s = interval_s
        self.next_at = 0.0
        self.seen = 0
        self.substance: object = None
        self.action = action


class Latest(Protocol):
    """What counts in its newest form alone: it is made when it can be sent."""

    def frame(self) -> bytes | str | None:
        """As it is now; None if that is nothing new. Awaits nothing, raises nothing."""
        ...


class Subscriber:
    """Its queue. ``follows``, ``prices`` and what stands below them are the hub's, which tells what they mean."""

    def __init__(self, transport: Transport, max_events: int, now: float) -> None:
        self.transport = transport
        self.reason: Reason | None = None
        self.follows: dict[str, Follow] = {}
        self.prices: dict[str, Any] = {}
        self.held: dict[str, Any] = {}
        self.interval_s = 0.0
        self.joining = 0
        self.settled = True
        self.lacks_id = False
        """Whether the last event had none."""
        self.busy_at = now
        self._max_events = max_events
        self._queue: deque[bytes | str] = deque()
        self._latest: dict[Latest, None] = {}
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._task: asyncio.Task[Any] | None = None
        self._last_word: asyncio.TimerHandle | None = None
        self.was_cut = False

    @property
    def is_whole(self) -> bool:
        """Whether it has been told all that the hub has come to."""
        return self.settled and not self.joining and not self.held

    def give(self, *frames: bytes | str, bounded: bool = True) -> None:
        """Queue these. What is of the subscriber's own asking (``bounded`` is false) is bounded by who gives it."""
        if self.reason is not None or not frames:
            return
        if bounded and len(self._queue) + len(frames) > self._max_events:
            self.end("slow")
            return
        self._queue += frames
        self._room.clear()
        self._wake()

    def offer(self, latest: Latest) -> bool:
        """Have it sent once all that waits is, in the form that it has then; whether it was not waiting already."""
        if self.reason is not None or latest in self._latest:
            return self.reason is not None
        self._latest[latest] = None
        self._wake()
        return True

    def end(self, reason: Reason) -> None:
        """It ends; the first reason is the one that counts."""
        if self.reason is not None:
            return
        self.reason = reason
        # Nobody will read these; and whoever waits for room shall not wait any longer.
        self._queue.clear()
        self._latest.clear()
        self._room.set()
        self._last_word = self._loop.call_later(LAST_WORD_S, self._cut)
        self._wake()

    def last_word(self) -> bytes:
        """JSON of why it ends."""
        assert self.reason is not None
        assert self.reason != "left"
        return _encode(Dropped(self.reason, _DETAILS[self.reason]))

    async def room(self) -> None:
        """Wait until the queue is empty."""
        await self._room.wait()

    async def next(self) -> list[bytes | str]:
        """The next events to send, as soon as there are any; none at the end. For the one task that sends."""
        while True:
            while not self._queue and not self._latest and self.reason is None:
                self._waiting = self._loop.create_future()
                await self._waiting
            if len(self._queue) > EVENTS_AT_ONCE:
                return [self._queue.popleft() for _ in range(EVENTS_AT_ONCE)]
            found = list(self._queue)
            self._queue.clear()
            self._room.set()
            for each in tuple(itertools.islice(self._latest, MADE_AT_ONCE)):
                del self._latest[each]
                made = each.frame()
                if made is not None:
                    found.append(made)
            if self._latest:
                # Others first: to make them all takes its time.
                await asyncio.sleep(0)
            if found or self.reason is not None:
                return found

    def begin(self) -> None:
        """The running task is the one that sends; it must `finish`."""
        self._task = asyncio.current_task()

    def finish(self) -> None:
        """It does not send any more."""
        self._task = None
        if self._last_word is not None:
            self._last_word.cancel()

    def cut_off(self) -> bool:
        """Whether the CancelledError in the task that sends is this subscriber's own; it then counts no more as cancelled."""
        if not self.was_cut or self._task is None:
            return False
        # Somebody else may have cancelled it at the same time; that stands.
        return self._task.uncancel() == 0

    def _cut(self) -> None:
        if self._task is not None:
            self.was_cut = True
            self._task.cancel()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
