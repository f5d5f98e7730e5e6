"""What every source does: put messages into the log as they are due, whatever becomes of the log.

While it is away, messages wait. Once as many wait as there is room for, the source makes no more: none is lost. An append that
failed may have been done, so some may be there twice; trades are told apart by their ids.
"""

import threading
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from app.errors import DecideError, MarketError, OffsetMoved, StoreError
from warm.stream.log import MESSAGES_MAX, Log, LogError, Outgoing
from warm.stream.metrics import IngestMeters

if TYPE_CHECKING:
    from warm.stream.spans import SourceSpans

BUFFER_MAX = 10_000
"""Messages that wait for the log."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
_LOOK_S = 1.0
"""A clock that was set is noticed within so long."""

T = TypeVar("T")


class Source(Protocol):
    """What messages come from."""

    def next_us(self, now_us: int) -> int | None:
        """When there is more to tell; None: never again."""
        ...

    def make(self, now_us: int) -> list[Outgoing]:
        """All that is to be told by now, of which nothing is told again."""
        ...


class Target(NamedTuple):
    """Which topic of which log; it is made where it is not there, with as many partitions."""

    log: Log
    topic: str
    partitions: int
    retention_ms: int | None = None

    def create(self) -> str:
        """Have the topic there; its id."""
        return self.log.create(self.topic, self.partitions, self.retention_ms).topic_id


class Begun(NamedTuple):
    """A source that messages for the topic of that id come from, and what is ``told`` of it. ``taken`` hears of how many more of
    its messages are in the log, which takes them in their order; ``close`` gives back what it holds, and hears whether the source
    is at its end.
    """

    source: Source
    topic_id: str
    told: Mapping[str, object] = {}
    taken: Callable[[int], None] = lambda _: None
    close: Callable[[bool], None] = lambda _: None


class LogAnew(DecideError):
    """The log has another topic now. Where a source goes on depends on what the log had: it begins anew."""


class Ingesting:
    """From a source to ``target``. ``say`` is told of what happens: an event and its facts; ``stop`` ends it, and is what it
    waits by. ``spans``: where trades are traced.
    """

    def __init__(
        self,
        begun: Begun,
        target: Target,
        say: Callable[..., None],
        stop: threading.Event,
        now_us: Callable[[], int],
        meters: IngestMeters,
        *,
        buffer_max: int = BUFFER_MAX,
        spans: "SourceSpans | None" = None,
    ) -> None:
        self._target, self._say, self._stop, self._now_us, self._meters, self._spans = target, say, stop, now_us, meters, spans
        self._source, self._topic_id, self._taken, self._buffer_max = begun.source, begun.topic_id, begun.taken, buffer_max
        self._waiting: list[Outgoing] = []
        meters.waiting.set_function(lambda: len(self._waiting))
        self._pause_s, self._again_us = 0.0, 0
        self._is_full = False

    def run(self) -> int:
        """Until it is to stop, or the source is at its end; how many messages the log did not take by then.

        Raises:
            LogAnew: what waits is of no use any more.
        """
        while not self._stop.is_set():
            now_us = self._now_us()
            self._make(now_us)
            # Also where the clock was set back.
            if self._waiting and not 0 < self._again_us - now_us <= self._pause_s * 1e6:
                self._flush(now_us)
            if (idle_s := self._idle_s(self._now_us())) is None:
                break
            self._stop.wait(idle_s)
        if self._waiting:
            self._flush(self._now_us())
        return len(self._waiting)

    def _make(self, now_us: int) -> None:
        is_full = len(self._waiting) >= self._buffer_max
        if is_full and not self._is_full:
            self._say("waiting_for_log", messages=len(self._waiting))
        self._is_full = is_full
        if not is_full:
            made = self._source.make(now_us)
            self._waiting += made if self._spans is None else self._spans.begin(made)

    def _flush(self, now_us: int) -> None:
        """Append what waits, in order. After a failure the next try comes later each time."""
        try:
            if self._pause_s and self._target.create() != self._topic_id:
                raise LogAnew(f"{self._target.topic} is another topic now")
            while some := list(islice(self._waiting, MESSAGES_MAX)):
                began_s = time.perf_counter()
                positions = self._target.log.append(self._target.topic, some)
                self._meters.appended(some, time.perf_counter() - began_s)
                if self._spans is not None:
                    self._spans.acknowledged(some, positions)
                del self._waiting[: len(some)]
                self._taken(len(some))
        except LogError as error:
            self._meters.failures.inc()
            if not self._pause_s:
                self._say("log_away", error=str(error))
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S) or FIRST_PAUSE_S
            self._again_us = now_us + int(self._pause_s * 1e6)
        else:
            if self._pause_s:
                self._say("log_back")
            self._pause_s = 0.0

    def _idle_s(self, now_us: int) -> float | None:
        """None: nothing is to come, and nothing waits."""
        next_us = None if len(self._waiting) >= self._buffer_max else self._source.next_us(now_us)
        if next_us is None and not self._waiting:
            return None
        due_us = [each for each in (next_us, self._again_us if self._pause_s else None) if each is not None]
        return min(_LOOK_S, max(0, min(due_us, default=now_us) - now_us) / 1e6)


def persistently(do: Callable[[], T], say: Callable[..., None], stop: threading.Event) -> T | None:
    """What ``do`` gives, tried again, later each time, as long as log, market store or L2 fail; None once it is to stop."""
    pause_s = FIRST_PAUSE_S
    while not stop.is_set():
        try:
            return do()
        except (LogError, MarketError, OffsetMoved, StoreError) as error:
            say("failed", error=str(error), again_in_s=pause_s)
            stop.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    return None
