"""A hub in this process, on a store of plain records and clocks that a test controls, and what its subscribers were given."""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, cast

from prometheus_client import CollectorRegistry

from app.answering.decider import Decider
from app.answering.latest import PriceTeller
from app.answering.turns import Turns
from app.cache.loads import Lookup
from app.observe.clocks import ReplayClock
from app.observe.streams import StreamMeters
from app.payloads import DecideRequest, DecideResponse
from app.push.hub import Hub
from app.push.prices import Prices
from app.push.subscriber import Subscriber
from app.store.protocol import Changes, Record, Stored
from app.worker import Worker
from tests.kit.clock import Clock
from tests.kit.records import AS_OF_MS, row
from tests.kit.serving import settings_of
from tests.kit.settle import until
from tests.kit.store import UNIVERSE, FakeStore


class SlowStore(FakeStore):
    """Reads answer as of when they were asked, ``turns`` of the loop later."""

    turns = 0

    async def get_many(self, symbols: Sequence[str]) -> list[Stored]:
        """As it was."""
        found = await super().get_many(symbols)
        for _ in range(self.turns):
            await asyncio.sleep(0)
        return found


class Spoilt:
    """A decider as any other, until ``fault`` is set: then it fails once, in looking up or in deciding on one symbol."""

    def __init__(self, inner: Decider) -> None:
        self._inner = inner
        self.fault: str | None = None
        self.tiers = self

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the other has
        return getattr(self._inner, name)

    def _fail(self, where: str) -> None:
        if self.fault == where:
            self.fault = None
            raise ValueError("told to fail")

    async def fetch_many(self, symbols: Sequence[str], budget_s: float) -> list[Lookup]:
        """As `Tiers` does."""
        self._fail("fetch_many")
        return await self._inner.tiers.fetch_many(symbols, budget_s)

    def answer(self, request: DecideRequest, symbol: str, lookup: Lookup, started: float) -> DecideResponse:
        """As `Decider` does."""
        self._fail(symbol)
        return self._inner.answer(request, symbol, lookup, started)


class HubHouse:
    """A hub whose feed is the test. Pauses of the hub are as long as the loop takes to turn."""

    def __init__(self, store: FakeStore | None = None, **settings: object) -> None:
        self.store = FakeStore(*UNIVERSE) if store is None else store
        self.clock = Clock()
        self.settings, constants = settings_of(settings)
        self.parts = Worker(self.settings, self.store, clock=self.clock, rng=random.Random(1), logs=None, constants=constants)
        self.meters = StreamMeters(CollectorRegistry())
        self.decider = Spoilt(self.parts.decider)
        replay = self.parts.now_ms
        assert isinstance(replay, ReplayClock)
        replay.start_at(AS_OF_MS)
        self.turns = Turns(lambda: 0.005, lambda _: None)
        decider = cast("Decider", self.decider)
        self.prices = Prices(
            decider,
            PriceTeller(self.parts.decider, self.parts.meters, self.turns),
            self.parts.list_symbols,
            self.meters,
            self.turns,
            max_symbols=self.settings.stream_max_symbols,
            wall_ms=lambda: 1000,
        )
        self.hub = Hub(
            decider,
            self.store,
            self.parts.list_symbols,
            self.meters,
            self.turns,
            self.prices,
            max_clients=self.settings.stream_max_clients,
            max_symbols=self.settings.stream_max_symbols,
            max_events=constants.stream_queue,
            heartbeat_s=constants.stream_heartbeat_s,
            wall_ms=lambda: 1000,
            rng=random.Random(1),
            sleep=self._sleep,
        )
        self.position = 0
        self.running = asyncio.create_task(self.hub.run())
        self.change(lost=True)

    async def _sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.sleep(0.001)

    def change(self, *symbols: str, lost: bool = False, withdrawn: bool = False) -> str:
        """As the feed does: L1 learns of it, then the hub. The id of the change."""
        tiers, taken = self.parts.tiers, symbols if withdrawn else ()
        tiers.withdraw(taken)
        if lost:
            tiers.invalidate_all()
        else:
            tiers.invalidate(symbols)
        self.parts.universe.changed()
        self.position += 1
        self.hub.on_changes(Changes(str(self.position), symbols, lost=lost, published_ms=900, withdrawn=taken))
        return str(self.position)

    def trade(self, *values: Record) -> str:
        """These come by themselves, as last trades do: L1 has them, then the hub. The id of the change."""
        self.parts.tiers.apply(values)
        self.position += 1
        self.hub.on_changes(Changes(str(self.position), tuple(each.key for each in values), lost=False, values=values))
        return str(self.position)

    def publish(self, number: int, *symbols: str) -> str:
        """New records of these symbols; ``number`` tells them apart in ``as_of`` and run."""
        for symbol in symbols:
            self.store.put(row(symbol, AS_OF_MS + number, f"run-{number}"))
        return self.change(*symbols)

    async def publish_in_parts(self, number: int, *symbols: str) -> str:
        """The same, as the feed does with many: each symbol is a part by itself, and the id comes with the last."""
        for symbol in symbols:
            self.store.put(row(symbol, AS_OF_MS + number, f"run-{number}"))
        for symbol in symbols[:-1]:
            self.parts.tiers.invalidate([symbol])
            self.hub.on_changes(Changes("", (symbol,), lost=False, published_ms=900))
            for _ in range(5):
                await asyncio.sleep(0)
        return self.change(symbols[-1])

    async def follow(
        self,
        *symbols: str,
        after: str | None = None,
        transport: Any = "sse",  # noqa: ANN401
        interval_s: float = 0.0,
    ) -> Subscriber:
        """A new subscriber, told what it is to be told at first."""
        subscriber = self.hub.enter(transport)
        subscriber.interval_s = interval_s
        await self.hub.join(subscriber, {each.upper(): each for each in symbols}, after)
        return subscriber

    async def follow_everything(self, after: str | None = None) -> Subscriber:
        """The same for all symbols."""
        subscriber = self.hub.enter("sse")
        await self.hub.join(subscriber, await self.hub.everything("symbols"), after, everything=True)
        return subscriber

    async def settled(self) -> None:
        """Return once the hub has told everything: nothing is due, and what was due is told, what it owed for want of L2 too."""
        await until(lambda: not (self.hub._audience.is_due or self.turns._under_way) and self.hub._settled == str(self.position))

    async def close(self) -> None:
        """The hub ends by cancellation and by nothing else."""
        assert not self.running.done()
        self.running.cancel()
        await asyncio.wait([self.running])
        assert self.running.cancelled()


def run(work: Callable[[HubHouse], Any], store: FakeStore | None = None, **settings: object) -> None:
    """Run ``work`` on a house of its own."""

    async def whole() -> None:
        house = HubHouse(store, **settings)
        try:
            await work(house)
        finally:
            await house.close()

    asyncio.run(whole())


def queued(subscriber: Subscriber) -> list[tuple[str, str | None, dict[str, Any]]]:
    """What waits for a subscriber of server-sent events, taken out: name, id and data of each event, heartbeats left out."""
    found = []
    while subscriber._queue:
        frame = subscriber._queue.popleft()
        assert isinstance(frame, bytes)
        fields = dict(line.split(": ", 1) for line in frame.decode().split("\n") if ": " in line)
        if "event" in fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    subscriber._room.set()
    return found


def told(subscriber: Subscriber) -> list[tuple[str, str | None, str]]:
    """The same, of decisions and ends: symbol, id, and the run that it rests on (``gone`` for an end)."""
    return [
        (data["symbol"], event_id, "gone" if name == "gone" else str(data["cache"]["run"]))
        for name, event_id, data in queued(subscriber)
    ]
