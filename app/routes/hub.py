"""The hub of live decisions: decides each changed symbol that somebody follows once, and gives it to all who follow it.

One a worker. The change feed tells it what changed, after L1 knows (`on_changes`); its own task decides and fans out (`run`); the
task of a new subscriber has the hub tell it what it must know at first (`join`). What holds:

*No change is lost.* A symbol is followed before its first decision is looked up, so that whatever changes afterwards comes live.
One that could not be decided on what L2 holds, because L2 did not answer, is told by the fallback ladder as everywhere, and
decided again until it could be.

*Never backwards.* Each decision has a version, in the order in which evidence was looked at, and rests on nothing older than the
one before; a subscriber is given no version below one that it was given.

*Ids are points to resume from.* An event has an id, a position of the change feed, only if with it its subscriber has been told
everything up to there: of many changes in one publication it is the last that has one.

*Nobody waits for a subscriber*, and requests wait for slices: of deciding, and of fanning out, which makes tasks ready to send.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping

from app.cache.slices import SLICE
from app.cache.store import Changes, Store
from app.cache.tiers import Lookup
from app.errors import Problem
from app.observe.streams import StreamMeters, Transport
from app.payloads import DecideRequest
from app.routes.deciding import Decider
from app.routes.recent import Recent
from app.routes.subscriber import Follow, Subscriber
from app.routes.telling import Told, Topic, heartbeat
from app.routes.turns import Turns

DECIDED_IN_A_ROW = 25
GIVEN_IN_A_ROW = 5
"""After so many decisions, or subscribers given something (under 1 ms either, their sending included), others get their turn."""
TURNS_WAITED = 3
"""So often a newcomer's decisions are looked up anew because a change came while they waited for their turn."""
AGAIN_S = 1.0
"""How soon a symbol is decided again that could not be for want of L2; and the hub's pause after a fault."""
SILENT_S = 10.0
"""How long a subscriber may follow nothing."""
_RETRY_AFTER_S = 5


class Hub:
    """Belongs to one event loop."""

    def __init__(
        self,
        decider: Decider,
        store: Store,
        meters: StreamMeters,
        turns: Turns,
        *,
        max_clients: int,
        max_symbols: int,
        max_events: int,
        heartbeat_s: float,
        wall_ms: Callable[[], int],
        rng: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.decider = decider
        self.meters = meters
        self.max_symbols = max_symbols
        self._store = store
        self._turns = turns
        self._max_clients = max_clients
        self._max_events = max_events
        self._heartbeat_s = heartbeat_s
        self._wall_ms = wall_ms
        self._rng = rng
        self._sleep = sleep
        self._topics: dict[str, Topic] = {}
        self._subscribers: set[Subscriber] = set()
        self._recent = Recent()
        self._wake = asyncio.Event()
        self._due: dict[str, None] = {}
        self._all_due = False
        self._published_ms: int | None = None
        self._position: str | None = None
        self._settled: str | None = None
        self._version = 0
        self._heard = self._anew = 0
        self._draining: asyncio.Task[None] | None = None
        self._left: dict[Subscriber, int] = {}

    def __len__(self) -> int:
        return len(self._subscribers)

    @property
    def symbols(self) -> int:
        """How many are followed by anybody."""
        return len(self._topics)

    # What the feed and the worker say.

    def on_changes(self, changes: Changes) -> None:
        """L1 knows of these. Without a ``last_id`` they are a part, and the rest follows. Awaits nothing, decides nothing."""
        self._heard += 1
        self._position = changes.last_id or self._position
        if changes.lost:
            self._recent.start(changes.last_id)
            self._all_due, self._anew = True, self._heard
        else:
            self._recent.add(changes.last_id or None, changes.symbols)
            self._due.update(dict.fromkeys(symbol for symbol in changes.symbols if symbol in self._topics))
            for symbol in self._topics.keys() & changes.withdrawn:
                self._topics[symbol].begin_anew(self._heard)
        if self._published_ms is None:
            self._published_ms = changes.published_ms
        self._wake.set()

    def drain(self) -> None:
        """This worker is about to stop: all subscribers end, and nobody comes any more."""
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._end_all())

    # Subscribers come and go.

    def enter(self, transport: Transport) -> Subscriber:
        """A new subscriber, who follows nothing yet; it must `leave`.

        Raises:
            Problem: 503 while the worker drains, or if there are as many as there may be.
        """
        draining = self._draining is not None
        if draining or len(self._subscribers) >= self._max_clients:
            detail = "this worker is about to stop" if draining else f"there are {len(self)} subscribers, the most there may be"
            raise Problem(
                503, "no-room-for-streams", "No room", f"{detail}; try again", headers=(("Retry-After", str(_RETRY_AFTER_S)),)
            )
        subscriber = Subscriber(transport, self._max_events, self.decider.clock())
        self._subscribers.add(subscriber)
        self.meters.joined(transport)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """It is gone."""
        self._subscribers.discard(subscriber)
        self.forget(subscriber, tuple(subscriber.follows))
        self.meters.ended(subscriber.transport, subscriber.reason or "left")

    def forget(self, subscriber: Subscriber, symbols: Iterable[str]) -> list[str]:
        """It follows these no longer; those that it did follow."""
        forgotten = [symbol for symbol in dict.fromkeys(symbols) if subscriber.follows.pop(symbol, None) is not None]
        for symbol in forgotten:
            topic = self._topics[symbol]
            del topic.followers[subscriber]
            if not topic.followers:
                del self._topics[symbol]
                self._due.pop(symbol, None)
        subscriber.busy_at = self.decider.clock()
        return forgotten

    def retry_ms(self) -> int:
        """How long a client that lost its connection had best wait: not as long as the others."""
        return self._rng.randrange(1000, 5000)

    async def require_known(self, symbols: Iterable[str], field: str, started: float) -> None:
        """Raise what refuses these, before anything is followed. What L2 must be asked for is then in L1.

        Raises:
            Problem: 404 for the first that is not in the universe, 503 if too many decisions are being waited for.
        """
        wanted = tuple(symbols)
        admission = self.decider.admission
        if not admission.enter(len(wanted)):
            raise admission.refusal()
        try:
            found = await self.decider.tiers.fetch_many(wanted, self.decider.budget_s(None, started))
        finally:
            admission.leave(len(wanted))
        for symbol, lookup in zip(wanted, found, strict=True):
            if lookup.evidence is None:
                raise self.decider.suggestions.unknown_now(symbol, field)

    async def join(self, subscriber: Subscriber, asked: Mapping[str, str], after: str | None) -> None:
        """Have it follow the symbols of ``asked`` (canonical to as spelled), and tell it of those that changed since ``after``:
        of all, if nothing or too little is known of that.
        """
        for symbol, requested in asked.items():
            topic = self._topics.setdefault(symbol, Topic(symbol))
            subscriber.follows[symbol] = topic.followers[subscriber] = Follow(requested)
        # Of the changes that are being told just now it is not known any more which of them it has yet to be told.
        self._left.pop(subscriber, None)
        subscriber.joining += 1
        whole = False
        try:
            changed = None if after is None else await self._recent.ask(self._store, after, asked)
            untold = list(asked if changed is None else changed)
            for first in range(0, len(untold), DECIDED_IN_A_ROW):
                if first:
                    await subscriber.room()
                if subscriber.reason is not None:
                    return
                last = first + DECIDED_IN_A_ROW >= len(untold)
                with self._turns.under_way():
                    whole = await self._tell_one(subscriber, untold[first : first + DECIDED_IN_A_ROW], last=last)
        finally:
            subscriber.joining -= 1
        if not whole:
            self._beat(subscriber)

    async def _tell_one(self, subscriber: Subscriber, symbols: list[str], *, last: bool) -> bool:
        """Whether it has been told everything with that, and has the id of it."""
        for _ in range(TURNS_WAITED):
            heard, started = self._heard, self.decider.clock()
            found = await self.decider.tiers.fetch_many(symbols, self.decider.budget_s(None, started))
            # A thousand who come at once take turns with each other, and with batches: requests wait for one slice.
            async with self._turns.slice():
                if self._heard == heard:
                    return self._tell_these(subscriber, symbols, found, started, heard, last=last)
        # It was overtaken by a change each time: so there is no turn to wait for.
        heard, started = self._heard, self.decider.clock()
        found = await self.decider.tiers.fetch_many(symbols, self.decider.budget_s(None, started))
        return self._tell_these(subscriber, symbols, found, started, heard, last=last)

    def _tell_these(
        self, subscriber: Subscriber, symbols: list[str], found: list[Lookup], started: float, heard: int, *, last: bool
    ) -> bool:
        forms, event_id = [], None
        for position, (symbol, lookup) in enumerate(zip(symbols, found, strict=True), 1):
            follow = subscriber.follows.get(symbol)
            # What came live meanwhile is as new as this, or newer, or is about to; what was unsubscribed meanwhile is nobody's.
            if follow is None or follow.seen or not self._topics[symbol].counts(heard, self._anew):
                continue
            told = self._told(self._topics[symbol], lookup, started)
            if not told.proven:
                subscriber.settled = False
                self._due[symbol] = None
                self._soon()
            follow.seen = told.version
            if last and position == len(symbols) and subscriber.settled and subscriber.joining == 1:
                event_id = self._settled
            forms.append(told.event(follow.requested).form(subscriber.transport, event_id))
        subscriber.busy_at = self.decider.clock()
        subscriber.give(*forms, bounded=False)
        return event_id is not None

    # What the hub does by itself.

    async def run(self) -> None:
        """Decide what changed, and give signs of life, for ever; ends by cancellation."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run(self._work))
            tasks.create_task(self._run(self._beat_all))

    async def _run(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - the hub must outlive what nobody foresaw; it is reported, not hidden
                _report(error)
                await self._sleep(AGAIN_S)
                self._wake.set()

    async def _work(self) -> None:
        await self._wake.wait()
        self._wake.clear()
        await self._catch_up()
        await self._recent.tidy()

    async def _end_all(self) -> None:
        for count, subscriber in enumerate(tuple(self._subscribers), 1):
            subscriber.end("draining")
            if count % GIVEN_IN_A_ROW == 0:
                await asyncio.sleep(0)

    async def _catch_up(self) -> None:
        """Decide what is due, and give it to whom it concerns."""
        due = list(self._topics) if self._all_due else list(self._due)
        self._due, self._all_due = {}, False
        position, published_ms, self._published_ms = self._position, self._published_ms, None
        try:
            if due:
                with self._turns.under_way():
                    await self._tell_all(due, position)
        except BaseException:
            # Twice is better than never.
            self._due = dict.fromkeys(due) | self._due
            raise
        self._settled = position
        if due and published_ms is not None:
            self.meters.fanned_out(max(0.0, (self._wall_ms() - published_ms) / 1000.0))

    async def _tell_all(self, due: Iterable[str], position: str | None) -> None:
        topics = await self._counted(due)
        for first in range(0, len(topics), DECIDED_IN_A_ROW):
            some = topics[first : first + DECIDED_IN_A_ROW]
            heard, started = self._heard, self.decider.clock()
            found = await self.decider.tiers.fetch_many([each.symbol for each in some], self.decider.budget_s(None, started))
            given = 0
            # Decided in one go, on nothing that was overtaken since it was looked up; what was taken back since is due again.
            for topic, told in [
                (topic, self._told_once(topic, lookup, started))
                for topic, lookup in zip(some, found, strict=True)
                if topic.counts(heard, self._anew)
            ]:
                for subscriber, follow in tuple(topic.followers.items()):
                    if told is not None and topic.followers.get(subscriber) is follow:
                        self._tell(subscriber, follow, told, position)
                    given += 1
                    if given % GIVEN_IN_A_ROW == 0:
                        await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def _counted(self, due: Iterable[str]) -> list[Topic]:
        """The topics of these symbols, and in `_left` how many of them each subscriber is to be told: with the last it has been
        told everything up to the position.
        """
        left = self._left = {each: 0 for each in self._subscribers if not each.joining}
        topics, looked_at = [], 0
        for symbol in due:
            topic = self._topics.get(symbol)
            if topic is None:
                continue
            topics.append(topic)
            for subscriber in topic.followers:
                if subscriber in left:
                    left[subscriber] += 1
                    subscriber.settled = True
            looked_at += 1 + len(topic.followers)
            if looked_at > SLICE:
                looked_at = 0
                await asyncio.sleep(0)
        return topics

    def _tell(self, subscriber: Subscriber, follow: Follow, told: Told, position: str | None) -> None:
        """Give it to one follower."""
        still = self._left.get(subscriber, 0) - 1
        if subscriber in self._left:
            self._left[subscriber] = still
        if told.version <= follow.seen:
            return
        follow.seen = told.version
        whole = still == 0 and subscriber.settled and not subscriber.joining
        subscriber.busy_at = self.decider.clock()
        subscriber.give(told.event(follow.requested).form(subscriber.transport, position if whole else None))

    def _told_once(self, topic: Topic, lookup: Lookup, started: float) -> Told | None:
        """A decision that is owed is told as long as L2 does not answer once, and not at each try; a fault is reported."""
        owed = topic.owed
        try:
            told = self._told(topic, lookup, started)
        except Exception as error:  # noqa: BLE001 - one symbol must not stand in the way of the others
            _report(error)
            told = None
        topic.owed = told is None or not told.proven
        if topic.owed:
            for subscriber in topic.followers:
                subscriber.settled = False
            self._due[topic.symbol] = None
            self._soon()
        return None if owed and topic.owed else told

    def _told(self, topic: Topic, lookup: Lookup, started: float) -> Told:
        """The decision on what was found, and on nothing older than what the one before rests on. Awaits nothing."""
        self._version += 1
        lookup = topic.rest_on(lookup)
        if lookup.evidence is None:
            return Told(topic.symbol, None, self._version, proven=True)
        decision = self.decider.answer(DecideRequest(topic.symbol), topic.symbol, lookup, started)
        return Told(topic.symbol, decision, self._version, proven=lookup.proven)

    def _soon(self) -> None:
        """What is owed is due again after a while."""
        asyncio.get_running_loop().call_later(AGAIN_S, self._wake.set)

    async def _beat_all(self) -> None:
        await self._sleep(min(1.0, self._heartbeat_s / 10))
        now = self.decider.clock()
        for count, subscriber in enumerate(tuple(self._subscribers), 1):
            silent_s = now - subscriber.busy_at
            if not subscriber.follows and silent_s >= SILENT_S:
                subscriber.end("idle")
            elif silent_s >= self._heartbeat_s and subscriber.follows:
                self._beat(subscriber)
            if count % (40 * GIVEN_IN_A_ROW) == 0:
                await asyncio.sleep(0)

    def _beat(self, subscriber: Subscriber) -> None:
        """A sign of life, with how far it has been told everything."""
        subscriber.busy_at = self.decider.clock()
        whole = subscriber.settled and not subscriber.joining
        subscriber.give(heartbeat(subscriber.transport, self._settled if whole else None))


def _report(error: Exception) -> None:
    """To the log, by way of the event loop's handler for what nobody is there to catch."""
    asyncio.get_running_loop().call_exception_handler({"message": "live decisions failed unforeseen", "exception": error})
