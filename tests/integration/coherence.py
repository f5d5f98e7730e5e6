"""For the coherence machine: an L2 and what may happen to it, a worker's cache and what it has shown, callers who are slow."""

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, cast

import msgspec
import redis
from starlette.types import ASGIApp

from app.cache.feed import Feed
from app.cache.loads import Lookup
from app.cache.memory import order_of
from app.domain.records import KINDS
from app.domain.ticks import TickRecord
from app.domain.vector import AgentRecord, PriceRecord
from app.errors import StoreEmpty
from app.main import build
from app.observe.clocks import ReplayClock
from app.payloads import DecideResponse
from app.store.codec import decode
from app.store.opening import open_store
from app.store.protocol import Changes
from app.store.redis import RedisStore
from app.store.sqlite import EmbeddedStore
from app.worker import Worker
from tests.kit.clock import Clock
from tests.kit.emptying import remove_file
from tests.kit.faulty import FaultyStore
from tests.kit.records import AS_OF_MS
from tests.kit.serving import http_scope, part, settings_of

SYMBOLS = "ABCD"
START_MS = AS_OF_MS + 1000
"""Where the caches' domain clocks begin: after all records, so that an age tells which record it is of."""
LEASE_S = 5.0
_SETTINGS: dict[str, object] = {
    "l1_ttl_s": 60.0,
    "l1_ttl_jitter": 0.0,
    "l1_stale_s": 604_800.0,
    "l1_lease_s": LEASE_S,
    "negative_ttl_s": 3600.0,
    "feed_wait_ms": 1.0,
    "l2_timeout_ms": 100.0,
    "breaker_failures": 3,
    "breaker_pause_s": 8.0,
    "body_timeout_s": 60.0,
    "clock": "replay",
}

_CROWD = 100
_KINDS = ("price", "agents", "tick")
_KEYS = tuple(product(SYMBOLS, _KINDS))

Record = PriceRecord | AgentRecord | TickRecord


def _kind(record: Record) -> str:
    return {PriceRecord: "price", AgentRecord: "agents", TickRecord: "tick"}[type(record)]


def _as_of_ms(record: Record | None) -> int | None:
    return None if record is None else record.as_of_ms


class Truth:
    """Which record L2 held of each symbol and kind, by its ``as_of``, and since when. None: none, as after a removal."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[tuple[str, str], list[tuple[float, int | None]]] = {}

    def now(self, key: tuple[str, str]) -> int | None:
        """What it holds."""
        return self._held.get(key, [(0.0, None)])[-1][1]

    def change(self, key: tuple[str, str], as_of_ms: int | None) -> None:
        """From now on it holds this."""
        self._held.setdefault(key, [(0.0, None)]).append((self._clock(), as_of_ms))

    def check(self, symbol: str, shown: dict[str, int | None] | None, since: float) -> None:
        """What is shown of ``symbol`` as proven was so at some time after ``since``. None: that there is no such symbol."""
        if shown is None:
            held = [self._after((symbol, kind), since) for kind in _KINDS]
            assert not any(all(as_of_ms is not None for as_of_ms in each) for each in held), f"{symbol} was there since {since}"
            return
        for kind, as_of_ms in shown.items():
            held_ms = self._after((symbol, kind), since)
            assert as_of_ms in held_ms, f"{symbol}: {kind} of {as_of_ms} is shown as proven; since {since}: {held_ms}"

    def _after(self, key: tuple[str, str], since: float) -> list[int | None]:
        found = self._held.get(key, [(0.0, None)])
        before = [as_of_ms for at, as_of_ms in found if at < since][-1:]
        return before + [as_of_ms for at, as_of_ms in found if at >= since]


class LateCaller:
    """One POST /decide. The head is sent when it is made, the body by `send_body`."""

    def __init__(self, app: ASGIApp, symbol: str) -> None:
        self.symbol = symbol
        self._body = asyncio.Event()
        self._sent: list[MutableMapping[str, Any]] = []
        self._task = asyncio.ensure_future(app(http_scope(), self._receive, self._send))

    async def _receive(self) -> MutableMapping[str, Any]:
        await self._body.wait()
        return part(msgspec.json.encode({"symbol": self.symbol}))

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self._sent.append(message)

    async def send_body(self, now_ms: int) -> tuple[bool, dict[str, int | None] | None]:
        """Whether the answer claims to be proven, and the ``as_of`` of what it rests on, by kind; None: no such symbol."""
        self._body.set()
        await self._task
        status, body = self._sent[0]["status"], b"".join(message.get("body", b"") for message in self._sent[1:])
        if status == 404:
            return True, None
        assert status == 200, (status, body)
        answer = msgspec.json.decode(body, type=DecideResponse)
        inputs = answer.inputs
        trade_s = None if inputs.tick is msgspec.UNSET else inputs.tick.age_s
        ages_s = {"price": inputs.price.age_s, "agents": inputs.agents.age_s, "tick": trade_s}
        proven = answer.cache.hit or answer.cache.tier == "l2"
        return proven, {kind: None if age_s is None else now_ms - round(age_s * 1000) for kind, age_s in ages_s.items()}


class Place:
    """One L2 and what may happen to it. ``lives`` has all that was ever published there, each with how often its symbol's record
    of that kind had been gone before; ``truth`` what it holds.
    """

    def __init__(self, url: str, path: Path, clock: Clock) -> None:
        self.url = url
        self.path = path
        self.truth = Truth(clock)
        self.lives: dict[Record, int] = {}
        self._gone: dict[tuple[str, str], int] = {}
        self.upserted: set[str] = set()
        """Symbols that are there and that no run has brought."""

    def open(self) -> RedisStore | EmbeddedStore:
        """A store of its own connections."""
        return open_store(redis_url=self.url, store_path=self.path, key_prefix="decide:1", read_timeout_s=5, kinds=KINDS)

    @cached_property
    def store(self) -> RedisStore | EmbeddedStore:
        """Whoever publishes, takes back, and knows what is there."""
        return self.open()

    def note(self, records: Sequence[Record], *, prune: bool) -> None:
        """These records are published."""
        named = {record.symbol for record in records}
        if prune:
            # A symbol that is named without any record is pruned as one that is not named.
            self._end_lives(key for key in _KEYS if key[0] not in named | self.upserted)
        self.upserted -= {record.symbol for record in records if self._is_new(record)}
        self._note(records)

    def note_upsert(self, records: Sequence[Record]) -> None:
        """These come by themselves."""
        held = {symbol for symbol, kind in _KEYS if self.truth.now((symbol, kind)) is not None}
        self.upserted |= {record.symbol for record in records} - held
        self._note(records)

    def _is_new(self, record: Record) -> bool:
        held_ms = self.truth.now((record.symbol, _kind(record)))
        return held_ms is None or held_ms <= record.as_of_ms

    def _note(self, records: Sequence[Record]) -> None:
        for record in records:
            key = record.symbol, _kind(record)
            self.lives[record] = self._gone.get(key, 0)
            if self._is_new(record):
                self.truth.change(key, record.as_of_ms)

    def _end_lives(self, keys: Iterable[tuple[str, str]]) -> None:
        """Whatever is taken away from L2 is noted here."""
        for key in keys:
            self._gone[key] = self._gone.get(key, 0) + 1
            self.truth.change(key, None)
        self.upserted &= {symbol for symbol, kind in _KEYS if self.truth.now((symbol, kind)) is not None}

    def is_over(self, record: Record) -> bool:
        """Whether it is gone, or was, for all that is known of it."""
        return self.lives[record] < self._gone.get((record.symbol, _kind(record)), 0)

    async def withdraw(self, symbols: str, run: str = "") -> None:
        """What there is of these, or was written by that run, is taken back."""
        with contextlib.suppress(StoreEmpty):
            taken = [
                record
                for symbol, stored in zip(SYMBOLS, await self.store.get_many(list(SYMBOLS)), strict=True)
                for kind, raw in stored.records.items()
                for record in (cast("Record", decode(KINDS.by_name[kind], raw, symbol)),)
                if symbol in symbols or (run and record.run == run)
            ]
            self._end_lives((record.symbol, _kind(record)) for record in taken)
            done = await self.store.withdraw(symbols=tuple(symbols), run=run)
            assert sum(done.records.values()) == len(taken)

    def empty(self) -> None:
        """FLUSHALL, or the file deleted."""
        self._end_lives(_KEYS)
        if self.url:
            self._client(lambda client: client.flushall())
            return
        remove_file(self.path)

    def trim(self) -> None:
        """All of the feed's entries are gone."""
        if self.url:
            self._client(lambda client: client.xtrim("decide:1:changes", maxlen=0, approximate=False))
            self._client(lambda client: client.xtrim("decide:1:values", maxlen=0, approximate=False))
            return
        self._write("DELETE FROM changes", "DELETE FROM value_changes")

    def crowd(self) -> None:
        """As many small changes of another symbol as come with one read of the feed."""
        if self.url:
            self._client(lambda client: self._add_crowd(client.pipeline(transaction=False)))
            return
        self._write(*["INSERT INTO changes (run, symbols) VALUES ('crowd', 'Z')"] * _CROWD)

    @staticmethod
    def _add_crowd(pipeline: Any) -> None:  # noqa: ANN401 - redis-py's has no narrower type
        for _ in range(_CROWD):
            pipeline.xadd("decide:1:changes", {"run": "crowd", "symbols": "Z"})
        pipeline.execute()

    def cut(self) -> None:
        """Every connection ends; a file has none."""
        if self.url:
            self._client(lambda client: client.client_kill_filter(_type="normal", skipme=True))

    def _write(self, *statements: str) -> None:
        async def make() -> None:
            store = self.open()
            await store.ping()
            await store.close()

        asyncio.run(make())
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def _client(self, work: Callable[["redis.Redis"], object]) -> None:
        with redis.Redis.from_url(self.url) as client:
            work(client)


class Cache:
    """One worker's cache, its feed, and what it has shown: the newest ``as_of`` by symbol and kind of record."""

    def __init__(self, place: Place, clock: Clock, number: int) -> None:
        self.place = place
        self.store = FaultyStore(place.open(), number)
        self.clock = clock
        settings, constants = settings_of(_SETTINGS)
        self.parts = Worker(
            settings, self.store, clock=clock, rng=random.Random(number), logs=None, constants=constants, kinds=KINDS
        )
        assert isinstance(self.parts.now_ms, ReplayClock)
        self.parts.now_ms.start_at(START_MS)
        self.tiers = self.parts.tiers
        # Redis ends waits ten times a second, so a short one is a long one.
        self.feed = Feed(
            self.store,
            self.tiers,
            self.parts.meters,
            wait_s=0.0,
            rng=random.Random(number),
            lease_s=LEASE_S,
            clock=clock,
            now_ms=lambda: AS_OF_MS,
            on_changes=self._hear,
        )
        self._told: set[Record] = set()
        self.shown: dict[tuple[str, str], Record] = {}
        self.waiting: list[asyncio.Task[list[Lookup]]] = []
        self.late: list[LateCaller] = []
        self._held_since: float | None = None

    @cached_property
    def app(self) -> ASGIApp:
        """The server around it. Made when first needed: it takes as long as ten steps."""
        return build(self.parts, self.clock)

    async def hear_all(self) -> None:
        """The feed is read to its end. A connection that was cut may fail once more; what came may take several looks."""
        for _ in range(100):
            if await self.feed.step() and self.feed.lag_s() == 0:
                break

    def hold(self) -> None:
        """The next read of L2 is held up, be it a caller's or one that nobody waits for."""
        self.store.held = True
        self._held_since = self._asked_at()

    async def deliver(self) -> None:
        """What was held up is here, and whoever asks from now on joins none of it."""
        self.store.release()
        waiting, self.waiting = self.waiting, []
        await asyncio.gather(*waiting)
        await self.tiers.close()
        self._held_since = None

    def _asked_at(self) -> float:
        """When somebody asks who does so now: for one who may join what is held up, when that was. No budget of a server lasts so
        long.
        """
        return self.clock() if self._held_since is None else self._held_since

    def _hear(self, changes: Changes) -> None:
        """L1 knows."""
        self._told.update(
            record for record in self.place.lives if record.symbol in changes.withdrawn and self.place.is_over(record)
        )
        self.parts.hub.on_changes(changes)

    def show(self, symbol: str, found: Lookup, asked_at: float) -> None:
        """A caller sees this, who asked at that time."""
        evidence = found.evidence
        if found.proven:
            as_of_ms = (
                None if evidence is None else dict(zip(_KINDS, map(_as_of_ms, evidence.records[: len(_KINDS)]), strict=True))
            )
            self.place.truth.check(symbol, as_of_ms, min(asked_at, self.clock() - LEASE_S))
        if evidence is None:
            # Gone, and said so: what comes next is another life of that symbol.
            for kind in _KINDS:
                self.shown.pop((symbol, kind), None)
            return
        for kind, record, trouble in zip(_KINDS, evidence.records, evidence.troubles, strict=False):
            if record is None:
                if trouble == "absent":
                    self.shown.pop((symbol, kind), None)
                continue
            lives = self.place.lives
            assert record in lives, f"{symbol}: {kind} was never published"
            assert record.symbol == symbol
            # Not even as stale.
            assert record not in self._told, f"{symbol}: {kind} of {record.run} was taken back, L1 was told, and it is shown"
            before = self.shown.get((symbol, kind), record)
            forward = order_of(record) >= order_of(before) or lives[record] > lives[before]
            assert forward, (
                f"{symbol}: {kind} went back from {before.run} of {before.as_of_ms} to {record.run} of {record.as_of_ms}"
            )
            self.shown[symbol, kind] = record

    async def read(self, symbols: str, budget_s: float = 0.0) -> list[Lookup]:
        """A batch, shown as soon as it is there."""
        asked_at = self._asked_at()
        # Whoever joins a load that is held up gives up on it soon.
        found = await self.tiers.fetch_many(list(symbols), budget_s or (10.0 if self._held_since is None else 0.02))
        for symbol, each in zip(symbols, found, strict=True):
            self.show(symbol, each, asked_at)
        return found

    async def send_bodies(self) -> None:
        """All heads that came have their bodies now, one after the other."""
        late, self.late = self.late, []
        for caller in late:
            proven, as_of_ms = await caller.send_body(self.parts.now_ms())
            if proven:
                # Asked for is what is so now, whenever the head came.
                self.place.truth.check(caller.symbol, as_of_ms, min(self._asked_at(), self.clock() - LEASE_S))
