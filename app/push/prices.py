"""Prices as they change: of each followed symbol the newest, to each follower at most once in the interval that it asked for.

Belongs to the hub, beside its decisions. The change feed says what changed (`on_changes`). One task (`step`) looks it up, once
for all who follow it, and offers it: at once to who was told nothing for an interval, to others when theirs is over. What is
offered becomes an event when its subscriber's own task can send it, and says what is newest then. So who reads slowly is
told less often and nothing old, and what waits for it is bounded by the symbols that it follows.

A price rests on nothing older than the one before. It has no id: who comes back is told the newest of all.
"""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping

import msgspec

from app.answering.decider import Decider
from app.answering.latest import PriceTeller
from app.answering.listing import ListSymbols
from app.answering.suggestions import unknown_symbol
from app.answering.turns import Turns
from app.cache.loads import Lookup
from app.cache.unforeseen import report
from app.errors import Problem, invalid
from app.market_payloads import LatestPrice
from app.observe.streams import StreamMeters
from app.push.audience import Audience
from app.push.events import Event, Followed, gone, told_coverage
from app.push.subscriber import Follow, Subscriber
from app.store.protocol import Changes

LOOKED_UP_IN_A_ROW = 25
OFFERED_IN_A_ROW = 5
"""After so many prices, or subscribers that are offered one (under 1 ms either, its sending included), others get their turn."""
AGAIN_S = 1.0
"""How soon a price is looked up again that could not be for want of L2."""

_encode = msgspec.json.Encoder().encode


class PriceTopic(Followed["PriceFollow"]):
    """One whose price is followed. ``content``: what is told of it, ages aside."""

    __slots__ = ("content", "events", "looked_up_at", "lookup", "made_ms")

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self.lookup: Lookup | None = None
        self.looked_up_at = 0.0
        self.content: object = None
        self.made_ms = 0
        self.events: dict[str, Event] = {}

    def begin_anew(self, number: int) -> None:
        """What was found does not count either."""
        super().begin_anew(number)
        self.lookup = None


class PriceFollow(Follow):
    """One of a subscriber's: what it was told, when it may be told again, and whether it waits for that."""

    __slots__ = ("_make", "is_waiting", "subscriber", "topic")

    def __init__(self, subscriber: Subscriber, topic: PriceTopic, make: Callable[["PriceFollow"], bytes | str | None]) -> None:
        super().__init__("")
        self.subscriber = subscriber
        self.topic = topic
        self.is_waiting = False
        self._make = make

    @property
    def is_alive(self) -> bool:
        """Whether it is followed still."""
        return self.subscriber.prices.get(self.topic.symbol) is self

    def frame(self) -> bytes | str | None:
        """As `app.push.subscriber.Latest`."""
        return self._make(self)


class Prices:
    """Belongs to one event loop."""

    def __init__(
        self,
        decider: Decider,
        teller: PriceTeller,
        list_symbols: ListSymbols,
        meters: StreamMeters,
        turns: Turns,
        *,
        max_symbols: int,
        wall_ms: Callable[[], int],
    ) -> None:
        self._decider = decider
        self._teller = teller
        self._list_symbols = list_symbols
        self._meters = meters
        self._turns = turns
        self._wall_ms = wall_ms
        self._audience = Audience(max_symbols, lambda subscriber: subscriber.prices, PriceTopic, self._follow)
        self._waiting: list[tuple[float, int, PriceFollow]] = []
        self._dead = 0
        self._numbers = itertools.count()
        self._wake = asyncio.Event()
        self._heard = self._anew = 0
        self._published_ms: int | None = None

    @property
    def symbols(self) -> int:
        """How many are followed by anybody."""
        return len(self._audience.topics)

    @property
    def waiting(self) -> int:
        """How many intervals are waited for."""
        return len(self._waiting)

    def is_followed_by(self, subscriber: Subscriber) -> bool:
        """Whether it follows any, or all that there will be."""
        return bool(subscriber.prices) or subscriber in self._audience.everything

    def on_changes(self, changes: Changes) -> None:
        """L1 knows of these. Awaits nothing, looks nothing up."""
        self._heard += 1
        if changes.lost:
            self._audience.all_changed()
            self._anew = self._heard
        else:
            self._audience.changed(changes.symbols, changes.withdrawn, self._heard)
        if self._published_ms is None:
            self._published_ms = changes.published_ms
        self._wake.set()

    def join(self, subscriber: Subscriber, asked: Mapping[str, str], interval_s: float, *, everything: bool = False) -> None:
        """Have it follow the symbols of ``asked`` (canonical to as spelled), and be told each at once; after that at most once
        in ``interval_s``. With ``everything``, these are the universe, and what comes into it later is followed too.
        """
        subscriber.interval_s = interval_s
        self._audience.follow(subscriber, asked)
        if everything:
            self._audience.everything[subscriber] = set()
            # Something may have come since it was listed.
            self._audience.unlisted = True
        for symbol in asked:
            topic = self._audience.topics[symbol]
            if topic.lookup is None or not topic.counts(self._heard, self._anew):
                self._audience.owe(symbol)
            else:
                subscriber.offer(topic.followers[subscriber])
        self._wake.set()

    def forget(self, subscriber: Subscriber, symbols: Iterable[str] | None) -> list[str]:
        """It follows these no longer, or none at all; those that it did follow."""
        held = dict(subscriber.prices)
        if symbols is None:
            self._audience.everything.pop(subscriber, None)
        subscriber.busy_at = self._decider.clock()
        forgotten = self._audience.forget(subscriber, held if symbols is None else symbols)
        self._dead += sum(held[symbol].is_waiting for symbol in forgotten)
        if 2 * self._dead > len(self._waiting):
            self._waiting = [each for each in self._waiting if each[2].is_alive]
            heapq.heapify(self._waiting)
            self._dead = 0
        return forgotten

    async def step(self) -> None:
        """Wait for a change, or for the end of an interval, and offer what is due then."""
        pause_s = self._waiting[0][0] - self._decider.clock() if self._waiting else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), pause_s)
        self._wake.clear()
        await self._welcome()
        due = self._audience.take_due()
        published_ms, self._published_ms = self._published_ms, None
        try:
            if due:
                with self._turns.under_way():
                    await self._look_up(due)
        except BaseException:
            self._audience.give_back(due)
            self._wake.set()
            raise
        if due and published_ms is not None:
            self._meters.prices_fanned_out(max(0.0, (self._wall_ms() - published_ms) / 1000.0))
        await self._offer_those_whose_interval_is_over()

    def _follow(self, subscriber: Subscriber, topic: PriceTopic, requested: str, before: PriceFollow | None) -> PriceFollow:
        follow = before or PriceFollow(subscriber, topic, self._frame)
        follow.requested, follow.substance = requested, None
        follow.next_at, follow.interval_s = 0.0, subscriber.interval_s
        return follow

    async def _welcome(self) -> None:
        """Those who follow everything follow what has come into the universe."""
        for subscriber, symbol in await self._audience.welcome(self._list_symbols, self._soon):
            most = self._audience.max_symbols
            full = invalid("prices", f"{symbol} is not followed: {most} symbols are; allowed: no more")
            subscriber.give(gone(symbol, symbol, None, full).form(subscriber.transport, None))

    async def _look_up(self, due: Iterable[str]) -> None:
        topics = [topic for symbol in due if (topic := self._audience.topics.get(symbol)) is not None]
        for first in range(0, len(topics), LOOKED_UP_IN_A_ROW):
            some = topics[first : first + LOOKED_UP_IN_A_ROW]
            heard, started = self._heard, self._decider.clock()
            found = await self._decider.tiers.fetch_many([each.symbol for each in some], self._decider.budget_s(None, started))
            # Taken in one go, and nothing that was overtaken since it was looked up: what was taken back since is due again.
            news = [
                topic
                for topic, lookup in zip(some, found, strict=True)
                if topic.counts(heard, self._anew) and self._is_news(topic, lookup)
            ]
            given = 0
            for topic in news:
                for follow in tuple(topic.followers.values()):
                    self._offer(follow)
                    given += 1
                    if given % OFFERED_IN_A_ROW == 0:
                        await asyncio.sleep(0)
            await asyncio.sleep(0)

    def _is_news(self, topic: PriceTopic, lookup: Lookup) -> bool:
        """Keep what was found, and nothing older than what was found before; whether it is to be told otherwise than that was."""
        before = topic.lookup
        if lookup.tier == "none" and before is not None:
            # What was told is the last that is known.
            lookup = before._replace(proven=False, trouble=lookup.trouble)
        else:
            topic.looked_up_at = self._decider.clock()
        topic.lookup = topic.rest_on(lookup)
        topic.events.clear()
        topic.owed = not lookup.proven
        if topic.owed:
            self._audience.owe(topic.symbol)
            self._soon()
        told = self._told(topic, topic.symbol)
        content = told.slug if isinstance(told, Problem) else _content(told)
        if content == topic.content:
            return before is None
        topic.content = content
        return True

    def _offer(self, follow: PriceFollow) -> None:
        """It may be told what is newest, now or when its interval is over."""
        subscriber, topic = follow.subscriber, follow.topic
        is_new = True
        if not follow.is_alive:
            return
        if topic.content == "unknown-symbol" and follow.substance is None and subscriber in self._audience.everything:
            # It changed and is not in the universe: nothing that there ever was for one who follows all of that.
            self._audience.forget(subscriber, (topic.symbol,))
            self._audience.everything[subscriber].discard(topic.symbol)
        elif follow.next_at <= self._decider.clock():
            is_new = subscriber.offer(follow)
        elif follow.is_waiting:
            is_new = False
        else:
            follow.is_waiting = True
            heapq.heappush(self._waiting, (follow.next_at, next(self._numbers), follow))
        if not is_new:
            self._meters.conflated(subscriber.transport)

    async def _offer_those_whose_interval_is_over(self) -> None:
        given, now = 0, self._decider.clock()
        while self._waiting and self._waiting[0][0] <= now:
            follow = heapq.heappop(self._waiting)[2]
            follow.is_waiting = False
            if not follow.is_alive:
                self._dead -= 1
                continue
            follow.subscriber.offer(follow)
            given += 1
            if given % OFFERED_IN_A_ROW == 0:
                await asyncio.sleep(0)

    def _frame(self, follow: PriceFollow) -> bytes | str | None:
        """The event that its subscriber is sent now; None if it was told that, or nothing is known that counts."""
        topic, subscriber = follow.topic, follow.subscriber
        if topic.lookup is None or topic.content == follow.substance or not follow.is_alive:
            return None
        try:
            form = self._event(topic, follow.requested).form(subscriber.transport, None)
        except Exception as error:  # noqa: BLE001 - one price must not end a stream; it is reported, not hidden
            report("a live price failed unforeseen", error)
            return None
        follow.substance = topic.content
        subscriber.busy_at = self._decider.clock()
        follow.next_at = subscriber.busy_at + follow.interval_s
        return form

    def _event(self, topic: PriceTopic, requested: str) -> Event:
        """The same object for all who spell it so and are sent it within the same millisecond."""
        now_ms = self._decider.now_ms()
        if topic.made_ms != now_ms:
            topic.made_ms = now_ms
            topic.events.clear()
        event = topic.events.get(requested)
        if event is None:
            told = self._told(topic, requested)
            if isinstance(told, Problem):
                event = gone(topic.symbol, requested, None, told)
            else:
                event = Event("price", _encode(told), 0)
            topic.events[requested] = event
        return event

    def _told(self, topic: PriceTopic, requested: str) -> LatestPrice | Problem:
        lookup = topic.lookup
        assert lookup is not None
        if lookup.evidence is None:
            return unknown_symbol(topic.symbol, "prices")
        since_s = self._decider.clock() - topic.looked_up_at
        try:
            return self._teller.of_lookup(requested, topic.symbol, lookup._replace(age_s=lookup.age_s + since_s), "prices")
        except Problem as problem:
            return problem

    def _soon(self) -> None:
        """What is owed is due again after a while."""
        asyncio.get_running_loop().call_later(AGAIN_S, self._wake.set)


def _content(latest: LatestPrice) -> tuple[object, ...]:
    """What a price must differ in from the one before, or it is no news: not in its age, and not in when it was heard of last."""
    left_out = ("requested", "age_s", "coverage", "sequence", "cache")
    said = (getattr(latest, name) for name in latest.__struct_fields__ if name not in left_out)
    return (*said, told_coverage(latest.coverage))
