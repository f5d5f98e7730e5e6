"""The hub of live decisions: decides each changed symbol that somebody follows once, and gives it to all who follow it.

One a worker. The change feed tells it what changed, after L1 knows (`on_changes`); its own task decides and fans out (`run`); the
task of a new subscriber has the hub tell it what it must know at first (`join`). What holds:

*No change is lost.* A symbol is followed before its first decision is looked up, so that whatever changes afterwards comes live.
One that could not be decided on what L2 holds, because L2 did not answer, is told by the fallback ladder as everywhere, and
decided again until it could be.

*Real changes only.* A subscriber is told what differs from what it was told last, and its action then; of a symbol once in its
interval, and then the newest (`app.push.held`).

*Never backwards.* Each decision has a version, in the order in which evidence was looked at, and rests on nothing older than the
one before; a subscriber is given no version below one that it was given.

*Ids are points to resume from.* An event has an id, a position of the change feed, only if with it its subscriber has been told
everything up to there: of many changes in one publication it is the last that has one.

*Nobody waits for a subscriber*, and requests wait for slices: of deciding, and of fanning out, which makes tasks ready to send.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping

from app.answering.decider import Decider
from app.answering.listing import ListSymbols
from app.answering.turns import Turns
from app.cache.loads import Lookup
from app.cache.unforeseen import report
from app.errors import Problem, invalid
from app.observe.streams import StreamMeters, Transport
from app.payloads import DecideRequest
from app.push.audience import Audience
from app.push.events import Event, Told, Topic, follow_of, gone, heartbeat
from app.push.held import Held
from app.push.prices import Prices
from app.push.recent import Recent
from app.push.subscriber import Follow, Subscriber
from app.store.protocol import Changes, Store

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
_FAILED = "live decisions failed unforeseen"


class Hub:
    """Belongs to one event loop."""

    def __init__(
        self,
        decider: Decider,
        store: Store,
        list_symbols: ListSymbols,
        meters: StreamMeters,
        turns: Turns,
        prices: Prices,
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
        self.prices = prices
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
        self._audience = Audience(max_symbols, lambda subscriber: subscriber.follows, Topic, follow_of)
        self._list_symbols = list_symbols
        self._subscribers: set[Subscriber] = set()
        self._recent = Recent()
        self._wake = asyncio.Event()
        self._held = Held(decider.clock, self._wake.set, meters)
        self._published_ms: int | None = None
        self._position: str | None = None
        self._settled: str | None = None
        self._version = 0
        self._heard = self._anew = 0
        self._draining: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._subscribers)

    @property
    def symbols(self) -> int:
        """How many are followed by anybody."""
        return len(self._audience.topics)

    # What the feed and the worker say.

    def on_changes(self, changes: Changes) -> None:
        """L1 knows of these. Without a ``last_id`` they are a part, and the rest follows. Awaits nothing, decides nothing."""
        self._heard += 1
        self._position = changes.last_id or self._position
        if changes.lost:
            self._recent.start(changes.last_id)
            self._audience.all_changed()
            self._anew = self._heard
        else:
            self._recent.add(changes.last_id or None, changes.symbols)
            self._audience.changed(changes.symbols, changes.withdrawn, self._heard)
        if self._published_ms is None:
            self._published_ms = changes.published_ms
        self._wake.set()
        self.prices.on_changes(changes)

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
        self.forget(subscriber, None)
        self.prices.forget(subscriber, None)
        self.meters.ended(subscriber.transport, subscriber.reason or "left")

    def forget(self, subscriber: Subscriber, symbols: Iterable[str] | None) -> list[str]:
        """It follows these no longer, or none at all; those that it did follow."""
        if symbols is None:
            self._audience.everything.pop(subscriber, None)
        subscriber.busy_at = self.decider.clock()
        forgotten = self._audience.forget(subscriber, tuple(subscriber.follows) if symbols is None else symbols)
        for symbol in forgotten:
            subscriber.held.pop(symbol, None)
        return forgotten

    def retry_ms(self) -> int:
        """How long a client that lost its connection had best wait: not as long as the others."""
        return self._rng.randrange(1000, 5000)

    async def everything(self, field: str) -> dict[str, str]:
        """As `Audience.everything_now`."""
        return await self._audience.everything_now(self._list_symbols, field)

    async def join(
        self, subscriber: Subscriber, asked: Mapping[str, str], after: str | None, *, everything: bool = False
    ) -> None:
        """Have it follow the symbols of ``asked`` (canonical to as spelled), and tell it of those that changed since ``after``:
        of all, if nothing or too little is known of that. With ``everything``, these are the universe, and what comes into it
        later is followed too.
        """
        self._audience.follow(subscriber, asked)
        if everything:
            self._audience.everything[subscriber] = set()
            # Something may have come since it was listed.
            self._audience.unlisted = True
            self._wake.set()
        subscriber.joining += 1
        whole = False
        try:
            changed = None if after is None else await self._recent.ask(self._store, after, None if everything else asked)
            untold = list(asked if changed is None else changed)
            if everything:
                # What left the universe meanwhile is told, too.
                self._audience.follow(subscriber, {each: each for each in untold[: self.max_symbols] if each not in asked})
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
            self._beat(subscriber, self._settled)

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
            topic = self._audience.topics.get(symbol)
            if topic is None or follow is None or follow.seen or not topic.counts(heard, self._anew):
                continue
            told = self._told(topic, lookup, started)
            if not told.proven:
                subscriber.settled = False
                self._audience.owe(symbol)
                self._soon()
            subscriber.held.pop(symbol, None)
            if last and position == len(symbols) and subscriber.settled and subscriber.joining == 1 and not subscriber.held:
                event_id = self._settled
            forms.append(told.to(follow, self.decider.clock()).form(subscriber.transport, event_id))
        subscriber.busy_at, subscriber.lacks_id = self.decider.clock(), event_id is None
        subscriber.give(*forms, bounded=False)
        return event_id is not None

    # What the hub does by itself.

    async def run(self) -> None:
        """Decide what changed, and give signs of life, for ever; ends by cancellation."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run(self._work))
            tasks.create_task(self._run(self._beat_all))
            tasks.create_task(self._run(self.prices.step))

    async def _run(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - the hub must outlive what nobody foresaw; it is reported, not hidden
                report(_FAILED, error)
                await self._sleep(AGAIN_S)
                self._wake.set()

    async def _work(self) -> None:
        await self._wake.wait()
        self._wake.clear()
        await self._catch_up()
        await self._release()
        await self._recent.tidy()

    async def _end_all(self) -> None:
        for count, subscriber in enumerate(tuple(self._subscribers), 1):
            subscriber.end("draining")
            if count % GIVEN_IN_A_ROW == 0:
                await asyncio.sleep(0)

    async def _catch_up(self) -> None:
        """Decide what is due, and give it to whom it concerns."""
        position, published_ms, self._published_ms = self._position, self._published_ms, None
        for subscriber, symbol in await self._audience.welcome(self._list_symbols, self._soon):
            full = invalid("symbols", f"{symbol} is not followed: {self.max_symbols} symbols are; allowed: no more")
            self._give(subscriber, gone(symbol, symbol, None, full), None)
        due = self._audience.take_due()
        try:
            if due:
                with self._turns.under_way():
                    await self._tell_all(due, position)
        except BaseException:
            self._audience.give_back(due)
            raise
        self._settled = position
        if due and published_ms is not None:
            self.meters.fanned_out(max(0.0, (self._wall_ms() - published_ms) / 1000.0))

    async def _release(self) -> None:
        """Tell what has waited long enough; with all of that, a subscriber has been told everything there was to tell."""
        for given, (subscriber, follow, told) in enumerate(self._held.over(), 1):
            topic = self._audience.topics[told.symbol]
            if told.version > follow.seen and topic.counts(told.heard, self._anew):
                self._give(subscriber, told.to(follow, self.decider.clock()), self._settled if subscriber.is_whole else None)
            if given % GIVEN_IN_A_ROW == 0:
                await asyncio.sleep(0)

    async def _tell_all(self, due: Iterable[str], position: str | None) -> None:
        topics = await self._audience.count(due, self._subscribers)
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
                        told.heard = heard
                        self._tell(subscriber, follow, told, position)
                    given += 1
                    if given % GIVEN_IN_A_ROW == 0:
                        await asyncio.sleep(0)
            await asyncio.sleep(0)

    def _tell(self, subscriber: Subscriber, follow: Follow, told: Told, position: str | None) -> None:
        """Give it to one follower, if it is new to it."""
        is_last = self._audience.count_down(subscriber)
        if told.version <= follow.seen:
            return
        was_held = told.symbol in subscriber.held
        if told.substance is follow.substance or (was_held and told.substance == follow.substance):
            follow.seen = told.version
            subscriber.held.pop(told.symbol, None)
            # Nothing to tell; but with an event before, it has been told everything.
            if is_last and subscriber.lacks_id and subscriber.is_whole:
                self._beat(subscriber, position)
            return
        if told.is_gone and not follow.seen and subscriber in self._audience.everything:
            # It changed and is not in the universe: nothing that there ever was for one who follows all of that.
            self._audience.forget(subscriber, (told.symbol,))
            self._audience.everything[subscriber].discard(told.symbol)
            return
        if not self._held.takes(subscriber, follow, told):
            whole = is_last and subscriber.is_whole
            self._give(subscriber, told.to(follow, self.decider.clock()), position if whole else None)

    def _give(self, subscriber: Subscriber, event: Event, event_id: str | None) -> None:
        subscriber.busy_at, subscriber.lacks_id = self.decider.clock(), event_id is None
        subscriber.give(event.form(subscriber.transport, event_id))

    def _told_once(self, topic: Topic, lookup: Lookup, started: float) -> Told | None:
        """A decision that is owed is told as long as L2 does not answer once, and not at each try; a fault is reported."""
        owed = topic.owed
        try:
            told = self._told(topic, lookup, started)
        except Exception as error:  # noqa: BLE001 - one symbol must not stand in the way of the others
            report(_FAILED, error)
            told = None
        topic.owed = told is None or not told.proven
        if topic.owed:
            for subscriber in topic.followers:
                subscriber.settled = False
            self._audience.owe(topic.symbol)
            self._soon()
        return None if owed and topic.owed else told

    def _told(self, topic: Topic, lookup: Lookup, started: float) -> Told:
        """The decision on what was found, and on nothing older than what the one before rests on. Awaits nothing."""
        self._version += 1
        lookup = topic.rest_on(lookup)
        decision = None
        if lookup.evidence is not None:
            decision = self.decider.answer(DecideRequest(topic.symbol), topic.symbol, lookup, started)
        substance = topic.substance(lookup.evidence, decision)
        return Told(topic.symbol, decision, self._version, substance, proven=decision is None or lookup.proven)

    def _soon(self) -> None:
        """What is owed is due again after a while."""
        asyncio.get_running_loop().call_later(AGAIN_S, self._wake.set)

    async def _beat_all(self) -> None:
        await self._sleep(min(1.0, self._heartbeat_s / 10))
        now = self.decider.clock()
        for count, subscriber in enumerate(tuple(self._subscribers), 1):
            silent_s = now - subscriber.busy_at
            decisions = subscriber.follows or subscriber in self._audience.everything
            follows = decisions or self.prices.is_followed_by(subscriber)
            if not follows and silent_s >= SILENT_S:
                subscriber.end("idle")
            elif silent_s >= self._heartbeat_s and follows:
                self._beat(subscriber, self._settled)
            if count % (40 * GIVEN_IN_A_ROW) == 0:
                await asyncio.sleep(0)

    def _beat(self, subscriber: Subscriber, position: str | None) -> None:
        """A sign of life, with how far it has been told everything."""
        whole = subscriber.is_whole
        subscriber.busy_at, subscriber.lacks_id = self.decider.clock(), not whole
        subscriber.give(heartbeat(subscriber.transport, position if whole else None))
